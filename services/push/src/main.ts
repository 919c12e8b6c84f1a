import { runProcess } from '@im/service-kit'
import { service } from './service.ts'

await runProcess(service)
