/** Run by tests: a service as its main.ts runs it. */
import { runProcess } from '@im/service-kit'
import { service } from '../example/service.ts'

await runProcess(service)
console.log('started')
