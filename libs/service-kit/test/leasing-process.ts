/** Run by tests, and killed or stopped by them: holds a lease, and says when it wins and loses it. */
import { once } from 'node:events'
import { connectRuntime, holdLease } from '@im/service-kit'
import { readConfig } from './runtime.ts'

holdLease(await connectRuntime('user', readConfig(process.env)), {
  name: 'a',
  async work(signal) {
    console.log('won')
    await once(signal, 'abort')
    console.log('lost')
  },
})
