import { blacklists, friends } from '@im/contracts/social'
import { countRoundTrips, eventually, ownServer, slowProxy, startService, testEnv } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { KeptRows } from '../src/relations/kept-rows.ts'
import { newRelation } from '../src/relations/pair.ts'
import { longestList } from '../src/relations/relations-repository.ts'
import { service } from '../src/service.ts'
import { startSocial } from './start-social.ts'

test('a list that was read is shown again without the database, and never after a change', async (t) => {
  const nats = await ownServer(t, 'nats')
  const social = await startSocial(t, nats ? { NATS_URL: nats.url } : {})
  const { api, deps, person, others } = social
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

  const talked = async () => {
    const listed = await api.call(friends.listFriends, {}, as)
    return listed.flatMap(({ toUserId, msgNum, lastTalkTime }) => (toUserId === bob ? [msgNum, lastTalkTime] : []))
  }
  for (const [unread, lastTalkTime] of [
    [1, 5],
    [2, 5],
    [2, 6],
  ] as const) {
    others.talks.set(`${alice}:${bob}`, { unread, lastTalkTime })
    t.strictSame(await talked(), [unread, lastTalkTime])
  }

  // A change while the list is read: its row is read once more.
  await remark('before')
  const { relations } = deps
  const read = relations.rowsAbout.bind(relations)
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  relations.rowsAbout = async (...asked) => {
    relations.rowsAbout = read
    const rows = await read(...asked)
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

  relations.rowsAbout = async () => {
    relations.rowsAbout = read
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

test('after changes only their rows are read, and the list is as if it had been read anew', async (t) => {
  const { api, deps, person, others: neighbours } = await startSocial(t)
  const alice = await person('alice')
  const others = await Promise.all(Array.from({ length: 6 }, (_, n) => person(`other ${n}`, { friendsVerify: 0 })))
  const { relations, keptRows } = deps
  await keptRows.unblockedBy(alice)
  const read = relations.unblockedBy.bind(relations)
  let reads = 0
  relations.unblockedBy = (...asked) => {
    reads++
    return read(...asked)
  }
  const [own, as] = [{ as: alice }, (toUserId: number) => ({ as: toUserId })]
  const deeds: ((toUserId: number) => Promise<unknown>)[] = [
    (toUserId) => api.envelope(friends.addFriend, { toUserId }, own),
    (toUserId) => api.envelope(friends.deleteFriend, { toUserId }, own),
    (toUserId) => api.envelope(friends.remarkFriend, { toUserId, remarkName: `r${toUserId % 7}` }, own),
    (toUserId) => api.envelope(blacklists.blockUser, { toUserId }, own),
    (toUserId) => api.envelope(blacklists.unblockUser, { toUserId }, own),
    (toUserId) => api.envelope(friends.deleteFriend, { toUserId: alice }, as(toUserId)),
    (toUserId) => api.envelope(blacklists.blockUser, { toUserId: alice }, as(toUserId)),
    (toUserId) => api.envelope(blacklists.unblockUser, { toUserId: alice }, as(toUserId)),
    (toUserId) => api.envelope(friends.addFriend, { toUserId: alice }, as(toUserId)),
    async (toUserId) => {
      const key = `${alice}:${toUserId}`
      const { unread } = neighbours.talks.get(key) ?? { unread: 0 }
      neighbours.talks.set(key, { unread: (unread + 1) % 3, lastTalkTime: 1_700_000_000 + (unread % 2) })
    },
  ]
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(deeds.length - 1), fc.nat(others.length - 1)), { minLength: 1, maxLength: 4 }),
      async (chosen) => {
        await Promise.all(chosen.map(([deed, other]) => deeds[deed]?.(others[other] as number)))
        t.strictSame(await keptRows.unblockedBy(alice), await read(alice, [1, 2]))
        // Pages are written row by row.
        const page = await api.call(friends.pageFriends, { pageSize: 100 }, own)
        t.strictSame(await api.call(friends.listFriends, {}, own), 'pageData' in page && page.pageData)
      },
    ),
    { numRuns: 40 },
  )
  // A busy machine may answer the ping of NATS too late: then the whole list is read.
  t.ok(reads < 10, `read whole ${reads} times`)
})

test('what a replica that alone lost NATS changes, others show soon, and it shows what they change', async (t) => {
  const { NATS_URL = '' } = testEnv()
  const nats = await slowProxy(t, NATS_URL)
  // The first replica relays the events.
  const cutOff = await startSocial(t, { NATS_URL: nats.url }, {}, NATS_URL)
  const other = await startService(t, service, { env: { ...cutOff.env, NATS_URL } })
  const [alice, bob, carol] = [
    await cutOff.person('alice'),
    await cutOff.person('bob', { friendsVerify: 0 }),
    await cutOff.person('carol', { friendsVerify: 0 }),
  ]
  const as = { as: alice }
  await cutOff.api.call(friends.addFriend, { toUserId: bob }, as)
  await cutOff.api.call(friends.addFriend, { toUserId: carol }, { as: bob })
  const shown = async ({ api }: Pick<typeof other, 'api'>, owner = alice, peer = bob) =>
    (await api.call(friends.listFriends, {}, { as: owner })).flatMap((row) =>
      row.toUserId === peer ? [`${row.remarkName} ${row.toNickname}`] : [],
    )
  const hasNats = () =>
    cutOff.deps.bus.ping().then(
      () => true,
      () => false,
    )
  t.strictSame([await shown(other), await shown(cutOff)], [[' bob'], [' bob']])
  // A list whose row is known to have changed is no proof: what follows is not told of this one.
  const areTold = async () => (await other.deps.db.collection('outbox').countDocuments()) === 0
  await eventually(areTold)
  await eventually(async () => {
    t.strictSame(await shown(cutOff, bob, carol), [' carol'])
    return (await countRoundTrips(cutOff.deps, () => shown(cutOff, bob, carol))).commands.length === 0
  })
  const cut = nats.cut()
  t.after(() => cut.open())
  await eventually(async () => !(await hasNats()), 20_000)
  await cutOff.api.call(friends.remarkFriend, { toUserId: bob, remarkName: 'B' }, as)
  await eventually(async () => (await shown(other)).join() === 'B bob', 20_000)
  await other.api.call(friends.remarkFriend, { toUserId: bob, remarkName: 'C' }, as)
  t.strictSame(await shown(cutOff), ['C bob'])
  // As another replica writes it, which hears of it.
  await other.deps.db.collection<{ _id: number }>('people').updateOne({ _id: bob }, { $set: { nickname: 'Robert' } })
  t.strictSame(await shown(cutOff), ['C Robert'])
  await other.api.call(friends.remarkFriend, { toUserId: carol, remarkName: 'X' }, { as: bob })
  // Told before the replica hears again.
  await eventually(areTold)
  cut.open()
  await eventually(hasNats, 20_000)
  t.strictSame(await shown(cutOff), ['C Robert'])
  t.strictSame(await shown(cutOff, bob, carol), ['X carol'], 'nor is what was read before shown again')
})

test('a list of ten thousand is read whole after a change, because rows behind it may move up', async (t) => {
  const { deps } = await startSocial(t)
  const row = newRelation({ userId: 1, toUserId: 2, chatRecordTimeOut: -1, now: 0 })
  const rows = Array.from({ length: longestList + 1 }, (_, n) => ({ ...row, toUserId: n + 2, status: 2 as const }))
  const kept = new KeptRows({
    unblockedBy: async () => rows.slice(0, longestList),
    rowsAbout: async () => new Map(),
  })
  const following = kept.follow(deps)
  t.teardown(() => following.close())
  await kept.unblockedBy(1)
  const [gone] = rows.splice(0, 1)
  kept.changed({ userId: 1, toUserId: gone!.toUserId })
  t.equal((await kept.unblockedBy(1)).length, longestList)
})
