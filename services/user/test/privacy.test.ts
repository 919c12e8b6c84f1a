import { profiles, userSearch, userSettings } from '@im/contracts/user'
import { test } from 'tap'
import type { TestRelation } from './start-peers.ts'
import { startUser } from './start-user.ts'

/** What a viewer is to the user who is looked at, and by which values of a switch they see what it hides. */
const viewers: [what: string, relation: TestRelation | undefined, sees: number[]][] = [
  ['a stranger', undefined, [1]],
  ['somebody with a remark', { status: 0 }, [1]],
  ['a follower', { status: 1 }, [1]],
  ['a friend', { status: 2 }, [1, 2]],
  ['somebody in the address book', { isContact: true }, [1, 3]],
  ['a friend in the address book', { status: 2, isContact: true }, [1, 2, 3]],
]

test('telephones and logins are shown to those whom a user lets see them, wherever users are shown', async (t) => {
  const { api, person, peers } = await startUser(t)
  const shown = await person('shown', { longitude: 10, latitude: 10 })
  const viewer = await person('viewer')
  const as = { as: viewer.caller }
  for (const value of [1, 2, 3, -1]) {
    const switches = { showTelephone: value, showLastLoginTime: value } as never
    await api.call(userSettings.updateSettings, switches, { as: shown.caller })
    for (const [what, relation, sees] of viewers) {
      peers.relations.clear()
      if (relation) peers.relate(viewer, shown, relation)
      const user = await api.call(profiles.getUser, { userId: String(shown.userId) }, as)
      const cards = [
        ...(await api.call(userSearch.searchUsers, { nickname: 'shown' }, as)),
        ...(await api.call(userSearch.findNearby, { nickname: 'shown' }, as)),
        ...(await api.call(userSearch.findNearby, { longitude: 10, latitude: 10 }, as)),
        ...(await api.call(userSearch.listNewUsers, {}, as)).filter(({ userId }) => userId === shown.userId),
      ]
      t.equal(cards.length, 4)
      const isSeen = sees.includes(value)
      for (const { telephone, phone } of [user, ...cards])
        t.strictSame([telephone !== undefined, phone !== undefined], [isSeen, isSeen], `${value} by ${what}`)
      t.equal(user.showLastLoginTime > 0, isSeen, `login ${value} by ${what}`)
      for (const card of [user, ...cards])
        t.notMatch(JSON.stringify(card), /openid|loginNames|numberNames|inviteCode|argon2/i)
    }
  }
  const own = await api.call(profiles.getUser, {}, { as: shown.caller })
  t.equal(own.phone, shown.phone, 'who hides it from everybody still sees it')
})
