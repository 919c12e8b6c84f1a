/** Run by tests, and killed by them: a service that keeps a row of each user. */
import { type ReplayedRow, streams } from '@im/contracts'
import { replayedUsers, userLocked, userRegistered, userUpdated } from '@im/contracts/user'
import {
  catchUp,
  connectRuntime,
  createServiceClient,
  type DatabaseConfig,
  exactlyOnce,
  handleEvents,
  type ServiceConfig,
  serviceConfig,
} from '@im/service-kit'

type Row = ReplayedRow<typeof replayedUsers.pageUsers>

const config = serviceConfig('social', { own: {}, database: true }).read(process.env) as ServiceConfig & DatabaseConfig
const runtime = await connectRuntime('social', config)
const baseUrl = process.env['USER_URL'] ?? ''
const user = createServiceClient({ baseUrl, serviceKeys: config.serviceKeys, timeoutMs: 10_000 })
const people = runtime.db.collection<Partial<Row> & { _id: number }>('people')
await runtime.db.createCollection('people').catch(() => {})

const projection = { name: 'people', stream: streams.user }
handleEvents(runtime, [
  exactlyOnce(
    userRegistered,
    async ({ userId, nickname, account, telephone, userType, registeredAt }, { session }) => {
      const row = { userId, nickname, account, telephone, userType, registeredAt, locked: false }
      await people.replaceOne({ _id: userId }, row, { session, upsert: true })
    },
    { projection },
  ),
  exactlyOnce(
    userUpdated,
    async ({ userId, nickname, account }, { session }) => {
      await people.updateOne({ _id: userId }, { $set: { nickname, account } }, { session, upsert: true })
    },
    { projection },
  ),
  exactlyOnce(
    userLocked,
    async ({ userId, locked }, { session }) => {
      await people.updateOne({ _id: userId }, { $set: { locked } }, { session, upsert: true })
    },
    { projection },
  ),
])
catchUp<Row>(runtime, {
  projection,
  page: (after) => user.call(replayedUsers.pageUsers, { after, pageSize: Number(process.env['PAGE_SIZE']) }),
  apply: (rows, { session }) =>
    people.bulkWrite(
      rows.map((row) => ({ replaceOne: { filter: { _id: row.userId }, replacement: row, upsert: true } })),
      { session, ordered: false },
    ),
})
console.log('started')
