/** Run by tests, and killed by them: commits changes with events until it is told to stop by a signal it can't handle. */
import { userUpdated } from '@im/contracts/user'
import { connectRuntime } from '@im/service-kit'
import { readConfig } from './runtime.ts'

const { outbox, db } = await connectRuntime('kit', readConfig(process.env))
const people = db.collection('people')
for (let userId = 1; userId <= Number(process.argv[2]); userId++) {
  await outbox.commit(async (change) => {
    await people.insertOne({ userId }, { session: change.session })
    change.announce(userUpdated, String(userId % 5), { userId, nickname: '', account: '', updatedAt: 1 })
  })
  if (userId === 60) console.log('announcing')
}
