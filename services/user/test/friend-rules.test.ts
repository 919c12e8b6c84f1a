import { friendRules, userSettings } from '@im/contracts/user'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('social learns how users may be befriended, as their settings are now', async (t) => {
  const { api, internal, person } = await startUser(t)
  const [alice, bob] = [await person('alice'), await person('bob')]
  await api.call(
    userSettings.updateSettings,
    { friendsVerify: 1, allowAtt: 0, friendFromList: '2,1' },
    { as: bob.caller },
  )
  const { users } = await internal.call(friendRules.getFriendRules, {
    userIds: `${bob.userId},10005,77,${alice.userId}`,
  })
  t.strictSame(
    users.map(({ userId }) => userId).sort(),
    [alice.userId, bob.userId],
    'neither who is unknown nor the sender of notices',
  )
  t.match(
    users.find(({ userId }) => userId === bob.userId),
    {
      ...{ nickname: 'bob', userType: 0, telephone: { areaCode: '86', number: bob.phone } },
      ...{ allowAtt: 0, friendsVerify: 1, friendFromList: '1,2', chatRecordTimeOut: -1 },
    },
  )
})

test('a telephone finds who has it, unless they hide from it', async (t) => {
  const { api, internal, person } = await startUser(t)
  const people = [await person('alice'), await person('bob'), await person('carol')]
  const [, bob, carol] = people
  await api.call(userSettings.updateSettings, { phoneSearch: 0 }, { as: bob!.caller })
  const telephones = [...people.map(({ phone }) => `86:${phone}`), '86:13700000000', `1:${carol!.phone}`]
  const found = async () =>
    (await internal.call(friendRules.findByTelephones, { telephones: telephones.join() })).users.map(
      ({ userId, telephone }) => [userId, telephone],
    )
  t.strictSame((await found()).sort(), [
    [people[0]!.userId, telephones[0]],
    [carol!.userId, telephones[2]],
  ])
  await api.call(userSettings.updateSettings, { phoneSearch: 1 }, { as: bob!.caller })
  t.equal((await found()).length, 3)
})
