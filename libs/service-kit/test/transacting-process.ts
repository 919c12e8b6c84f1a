/** Run by tests, and killed by them in the middle of a transaction. */
import { connectRuntime, inTransaction } from '@im/service-kit'
import { readConfig } from './runtime.ts'

const { mongoClient, db } = await connectRuntime('user', readConfig(process.env))
const rows = db.collection<{ _id: string; by: string }>('rows')
await inTransaction(mongoClient, async (session) => {
  await rows.insertOne({ _id: 'a', by: 'the process' }, { session })
  // At once: no beat tells of the session any more.
  console.log('holds a row')
  await new Promise(() => {})
})
