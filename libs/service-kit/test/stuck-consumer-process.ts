/** Run by tests, and killed by them: takes an event and never ends handling it. */
import { userUpdated } from '@im/contracts/user'
import { commonSettings, connectRuntime, loadConfig, mongoSettings, natsSettings, redisSettings } from '@im/service-kit'
import { Type } from 'typebox'

const settings = Type.Object({ ...commonSettings, ...mongoSettings, ...redisSettings, ...natsSettings })
const { bus } = await connectRuntime('kit', loadConfig(settings, process.env))
await bus.subscribe(userUpdated, {
  service: 'kit',
  handle() {
    console.log('taken')
    return new Promise(() => {})
  },
})
