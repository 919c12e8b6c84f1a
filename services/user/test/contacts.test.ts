import { internalUsers } from '@im/contracts/user'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('contact cards come in the order of the question, also of users who do not exist or are locked', async (t) => {
  const { internal, person } = await startUser(t)
  const alice = await person('Alice')
  const bob = await person('Bob')
  await internal.call(internalUsers.setLocked, { userId: bob.userId, locked: 1 })
  const unknown = 2_000_000_000
  const { contacts } = await internal.call(internalUsers.getContacts, {
    userIds: [bob.userId, unknown, alice.userId].join(','),
  })
  t.match(contacts, [
    { userId: bob.userId, exists: 1, status: -1, nickname: 'Bob' },
    { userId: unknown, exists: 0, status: -1, nickname: '' },
    { userId: alice.userId, exists: 1, status: 1, nickname: 'Alice', allowGreet: 1, multipleDevices: 1 },
  ])
})
