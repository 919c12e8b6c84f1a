/** A service that keeps the nickname of each user, as told by events. Run by ../events.ts; reports how long each event took. */
import { userUpdated } from '@im/contracts/user'
import {
  type Change,
  connectRuntime,
  type DatabaseConfig,
  exactlyOnce,
  handleEvents,
  type Outbox,
  type ServiceConfig,
  serviceConfig,
} from '@im/service-kit'

/** Events that were committed since the last report: how long (ms) each took from its announcement. */
export interface HandlingReport {
  took: number[]
}

const config = serviceConfig('social', { own: {}, database: true }).read(process.env) as ServiceConfig & DatabaseConfig
const runtime = await connectRuntime('social', config)
const names = runtime.db.collection<{ _id: number; nickname: string; changes: number }>('names')
await runtime.db.createCollection('names')

/** When the events were announced that a transaction has in hand. */
const inHand = new WeakMap<Change, number[]>()
let took: number[] = []

/** Tells when a transaction was committed. */
const outbox: Outbox = {
  ...runtime.outbox,
  async commit(work) {
    let announced: number[] = []
    const result = await runtime.outbox.commit((change) => {
      announced = []
      inHand.set(change, announced)
      return work(change)
    })
    const now = Date.now()
    took.push(...announced.map((at) => now - at))
    return result
  },
}

const handling = handleEvents({ ...runtime, outbox }, [
  exactlyOnce(userUpdated, async ({ userId, nickname }, change, { at }) => {
    const update = { $set: { nickname }, $inc: { changes: 1 } }
    await names.updateOne({ _id: userId }, update, { session: change.session, upsert: true })
    inHand.get(change)?.push(at)
  }),
])

const reporting = setInterval(() => {
  const report: HandlingReport = { took }
  took = []
  process.send?.(report)
}, 50)

process.once('message', async () => {
  clearInterval(reporting)
  await handling.close()
  await runtime.close()
  process.disconnect()
})
