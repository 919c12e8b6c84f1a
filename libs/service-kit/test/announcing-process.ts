/** Run by tests, and killed or stopped by them: commits changes with events until it is told to stop by a signal it can't handle. */
import { userUpdated } from '@im/contracts/user'
import { connectRuntime } from '@im/service-kit'
import { readConfig, update } from './runtime.ts'

const { outbox, db } = await connectRuntime('user', readConfig(process.env))
const people = db.collection('people')
for (let n = 1; n <= Number(process.argv[2]); n++) {
  await outbox.commit(async (change) => {
    await people.insertOne({ n }, { session: change.session })
    change.announce(userUpdated, String(n % 5), update((n % 5) + 1, String(n)))
  })
  if (n === 60) console.log('announcing')
}
