import { blacklists, friends } from '@im/contracts/social'
import { countRoundTrips, eventually, ownServer, startService } from '@im/service-kit/testing'
import { test } from 'tap'
import { service } from '../src/service.ts'
import { startSocial } from './start-social.ts'

test('a list that was read is shown again without the database, and never after a change', async (t) => {
  const nats = await ownServer(t, 'nats')
  const social = await startSocial(t, nats ? { NATS_URL: nats.url } : {})
  const { api, deps, person } = social
  const second = await startService(t, service, { env: social.env })
  const [alice, bob] = [await person('alice'), await person('bob', { friendsVerify: 0 })]
  const as = { as: alice }
  const remarks = async (from = api) => {
    const listed = await from.call(friends.listFriends, {}, as)
    return listed.flatMap(({ toUserId, remarkName }) => (toUserId === bob ? [remarkName] : []))
  }
  const remark = (remarkName: string, at = api) => at.call(friends.remarkFriend, { toUserId: bob, remarkName }, as)

  t.strictSame([await remarks(), await remarks(second.api)], [[], []])
  await api.call(friends.addFriend, { toUserId: bob }, as)
  t.strictSame(await remarks(), [''])
  t.strictSame(await remarks(second.api), [''], 'by the other replica, too')
  // A busy machine may answer the ping of NATS too late: then it is read anew.
  await eventually(async () => (await countRoundTrips(deps, () => remarks())).commands.length === 0)

  for (const name of ['B', 'Bobby', '']) {
    await remark(name)
    t.strictSame([await remarks(second.api), await remarks()], [[name], [name]])
  }

  await api.call(blacklists.blockUser, { toUserId: bob }, as)
  t.strictSame(await remarks(), [])
  const bobs = await api.call(friends.listFriends, {}, { as: bob })
  t.equal(bobs.find(({ toUserId }) => toUserId === alice)?.isBeenBlack, 1)
  await api.call(blacklists.unblockUser, { toUserId: bob }, as)
  await api.call(friends.addFriend, { toUserId: bob }, as)
  t.strictSame(await remarks(), [''])

  // A change while the list is read: what was read is not kept.
  await remark('before')
  const { relations } = deps
  const read = relations.unblockedBy.bind(relations)
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  relations.unblockedBy = async (...asked) => {
    const rows = await read(...asked)
    relations.unblockedBy = read
    reached.resolve()
    await gate.promise
    return rows
  }
  const asked = remarks()
  await reached.promise
  await remark('after')
  gate.resolve()
  await asked
  t.strictSame(await remarks(), ['after'])

  relations.unblockedBy = async () => {
    relations.unblockedBy = read
    throw new Error('the database is away')
  }
  await remark('once more')
  await api.envelope(friends.listFriends, {}, as)
  t.strictSame(await remarks(), ['once more'], 'a failure is not kept')

  if (!nats) return
  await remarks(second.api)
  nats.freeze()
  t.after(() => nats.thaw())
  await remark('nobody hears')
  t.strictSame([await remarks(), await remarks(second.api)], [['nobody hears'], ['nobody hears']])
  nats.thaw()
})
