import { runProcess } from '@im/service-kit'
import { start } from './start.ts'

await runProcess(start)
