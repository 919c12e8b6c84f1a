/** Run by tests, and killed or stopped by them: writes down the events it hears, and waits a while in each transaction. */
import { setTimeout as delay } from 'node:timers/promises'
import { userUpdated } from '@im/contracts/user'
import { connectRuntime, exactlyOnce, handleEvents } from '@im/service-kit'
import { readConfig } from './runtime.ts'

const [name = '', waitMs = '0'] = process.argv.slice(2)
const runtime = await connectRuntime('user', readConfig(process.env))
const heard = runtime.db.collection('heard')
handleEvents(runtime, [
  exactlyOnce(userUpdated, async ({ userId, nickname }, { session }) => {
    await heard.insertOne({ userId, nickname, by: name }, { session })
    console.log('taken')
    await delay(Number(waitMs))
  }),
])
