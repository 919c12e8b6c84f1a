/** Run by tests, and killed by them: takes an event and never ends handling it. */
import { userUpdated } from '@im/contracts/user'
import { connectRuntime, on } from '@im/service-kit'
import { readConfig } from './runtime.ts'

const { bus } = await connectRuntime('kit', readConfig(process.env))
await bus.subscribe([
  on(userUpdated, () => {
    console.log('taken')
    return new Promise(() => {})
  }),
])
