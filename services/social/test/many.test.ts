import { errors } from '@im/contracts'
import { friendsTold } from '@im/contracts/message'
import {
  addressBook,
  blacklists,
  follows,
  friendChanged,
  friendRequested,
  friends,
  internalNewcomers,
  labelChanged,
  labels,
  userErased,
} from '@im/contracts/social'
import { systemUserId, userRegistered } from '@im/contracts/user'
import { eventually, failure, recordEvents } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { eraseUser } from '../src/people/erase-user.ts'
import { startSocial } from './start-social.ts'

test('asking many at once: friends where nothing hinders, requests else, nobody who can not be asked', async (t) => {
  const { api, env, person } = await startSocial(t)
  const requests = await recordEvents(t, env, friendRequested)
  const alice = await person('alice')
  const [open, shy, asked, closed, blocking] = [
    await person('open', { friendsVerify: 0 }),
    await person('shy'),
    await person('asked'),
    await person('closed', { allowAtt: 0, friendsVerify: 0 }),
    await person('blocking'),
  ]
  await api.call(follows.follow, { toUserId: alice }, { as: asked })
  await api.call(blacklists.blockUser, { toUserId: alice }, { as: blocking })
  const contact = await person('contact')
  await api.call(addressBook.uploadContacts, { uploadStr: '13800000007' }, { as: alice })
  await api.call(addressBook.uploadContacts, { uploadStr: '+86 138-0000-0001' }, { as: contact })
  const wanted = [alice, systemUserId, 99999999, open, shy, asked, closed, blocking, contact]
  await api.call(follows.followMany, { toUserIds: JSON.stringify(wanted) }, { as: alice })
  const rows = await api.call(follows.listFollowed, {}, { as: alice })
  const statusOf = (userId: number) => rows.find(({ toUserId }) => toUserId === userId)?.status
  t.strictSame([open, shy, asked, closed, blocking, contact].map(statusOf), [2, 1, 2, undefined, undefined, 2])
  await eventually(() => requests.length > 0)
  t.match(requests, [{ userId: alice, toUserId: shy }])
  await api.call(follows.followMany, { toUserIds: wanted.join() }, { as: alice })
  t.equal(rows.find(({ toUserId }) => toUserId === open)?.fromAddType, 4)
  t.equal(requests.length, 1, 'nobody is asked twice')
})

test('requests have a limit a day, however they are made', async (t) => {
  const { api, person } = await startSocial(t, { LIMIT_FACTOR: '0.03' })
  const alice = await person('alice')
  const others = [await person('b'), await person('c'), await person('d'), await person('e')]
  await api.call(follows.follow, { toUserId: others[0]! }, { as: alice })
  await api.call(follows.followMany, { toUserIds: others.join() }, { as: alice })
  const followed = (await api.call(follows.listFollowed, { status: 1 }, { as: alice })).length
  t.equal(followed, 3)
  await t.rejects(api.call(follows.follow, { toUserId: others[3]! }, { as: alice }), failure('RateLimited'))
  await t.rejects(api.call(follows.followMany, { toUserIds: String(others[3]) }, { as: alice }), failure('RateLimited'))

  const open = await person('open', { friendsVerify: 0 })
  await t.rejects(api.call(friends.addFriend, { toUserId: open }, { as: alice }), failure('RateLimited'))
  t.equal(await api.call(friends.getFriend, { toUserId: open }, { as: alice }), undefined)
  await api.call(follows.follow, { toUserId: alice }, { as: open })
  await api.call(friends.addFriend, { toUserId: open }, { as: alice })
  t.match(
    await api.call(friends.getFriend, { toUserId: open }, { as: alice }),
    { status: 2 },
    'who asked costs nothing',
  )
})

test('everybody begins with the system account and the configured friends', async (t) => {
  const { api, env, internal, person, publish } = await startSocial(t)
  const helper = await person('helper')
  const alice = await person('alice', { defaultFriends: [helper, systemUserId] })
  await eventually(async () => {
    const list = await api.call(friends.listFriends, {}, { as: alice })
    return (
      list.map(({ toUserId, fromAddType }) => `${toUserId} ${fromAddType}`).join() === `${helper} 0,${systemUserId} 0`
    )
  })
  t.match(await api.call(friends.getFriend, { toUserId: alice }, { as: helper }), { status: 2 })

  const told = await recordEvents(t, env, friendChanged)
  const newcomer = { userId: 20_000_001, nickname: 'bob', userType: 0, defaultFriends: [helper] }
  const counts = { attCount: 2, fansCount: 2, friendsCount: 2 }
  t.strictSame(await internal.call(internalNewcomers.welcomeUser, newcomer), counts)
  const known = async () =>
    (await api.call(friends.listFriends, {}, { as: newcomer.userId })).map((row) => row.toUserId)
  t.strictSame(await known(), [helper, systemUserId], 'from the answer of the registration on')
  await api.call(friends.deleteFriend, { toUserId: helper }, { as: newcomer.userId })
  const ofEvent = { ...newcomer, account: 'bob', telephone: '', registeredAt: 1 }
  await publish(userRegistered, newcomer.userId, ofEvent)
  await publish(userRegistered, 20_000_002, { ...ofEvent, userId: 20_000_002 })
  await eventually(() => told.some(({ userId }) => userId === 20_000_002))
  t.equal(told.filter(({ userId }) => userId === newcomer.userId).length, 3, 'the event tells nobody again')
  t.strictSame(await known(), [systemUserId], 'nor does it bring back who was deleted meanwhile')
})

test('a super administrator makes a public account everybody’s friend, others only their own', async (t) => {
  const { api, person, deps } = await startSocial(t)
  const [alice, bob] = [await person('alice'), await person('bob')]
  const news = await person('news', { userType: 2 })
  const caller = { userId: alice, sessionId: '', device: 'android', kind: 'user' } as const
  const call = (toUserId: number, role: number) =>
    api.call(friends.befriendSystemAccount, { toUserId }, { as: { ...caller, role } })
  await t.rejects(call(bob, 0), failure('InvalidParams'))
  await call(news, 0)
  t.equal((await deps.relations.byId(alice, news))?.status, 2)
  t.equal(await deps.relations.byId(bob, news), undefined)
  await call(news, 6)
  await eventually(async () => (await deps.relations.byId(bob, news))?.status === 2)
  t.equal((await deps.relations.byId(news, bob))?.status, 2)
  t.equal(await deps.relations.byId(news, news), undefined)

  const blocked = await person('blocked')
  await api.call(blacklists.blockUser, { toUserId: blocked }, { as: news })
  await api.call(friends.befriendSystemAccount, { toUserId: news }, { as: blocked })
  await call(news, 6)
  await eventually(async () => (await deps.db.collection('everybodys_friends').countDocuments()) === 0)
  t.equal(await deps.relations.byId(blocked, news), undefined, 'whom an account blocked it is no friend of')
})

test('a deleted user leaves every list, label and address book; friends are told once', async (t) => {
  const { api, env, person, erase, deps } = await startSocial(t)
  const told = await recordEvents(t, env, userErased)
  const [alice, bob, carol] = [await person('alice'), await person('bob', { friendsVerify: 0 }), await person('carol')]
  await api.call(follows.follow, { toUserId: bob }, { as: alice })
  await api.call(follows.follow, { toUserId: carol }, { as: bob })
  const { groupId } = await api.call(labels.addLabel, { groupName: 'near' }, { as: alice })
  await api.call(labels.setLabelFriends, { groupId, userIdListStr: String(bob) }, { as: alice })
  await api.call(addressBook.uploadContacts, { uploadStr: '13800000002' }, { as: alice })
  t.equal((await api.call(addressBook.listContacts, {}, { as: alice })).length, 1)
  await erase(bob)
  await eventually(
    async () =>
      (await deps.db.collection('relations').countDocuments({ $or: [{ userId: bob }, { toUserId: bob }] })) === 0,
  )
  await eventually(async () => (await api.call(addressBook.listContacts, {}, { as: alice })).length === 0)
  t.match(await api.call(labels.listLabels, {}, { as: alice }), [{ userIdList: [] }])
  t.strictSame((await api.call(friends.listNewFriends, {}, { as: carol })).length, 0)
  await eventually(() => told.length === 1)
  t.strictSame([...told[0]!.friends].sort(), [systemUserId, alice].sort())
})

test('a deleted account is in no list of ids from the moment on that its deletion is told', async (t) => {
  const { api, deps, person, erase } = await startSocial(t)
  const [alice, bob] = [await person('alice'), await person('bob')]
  const news = await person('news', { userType: 2 })
  const as = { as: alice }
  for (const toUserId of [bob, news]) await api.call(follows.follow, { toUserId }, as)
  await api.call(friends.addFriend, { toUserId: alice }, { as: bob })
  const ids = (type: 'friendList' | 'blackList') => api.call(friends.listFriendIds, { type }, as)
  t.strictSame((await ids('friendList')).sort(), [systemUserId, bob, news].sort())
  // What removes the rows comes later: followers are told of by no event, and their lists are kept.
  const { relations } = deps
  const removing = relations.someOf.bind(relations)
  const gate = Promise.withResolvers<void>()
  relations.someOf = async (...asked) => {
    await gate.promise
    return removing(...asked)
  }
  const fans = async () => (await api.call(follows.listFans, {}, as)).map(({ toUserId }) => toUserId)
  t.ok((await fans()).includes(bob))
  const erasedAt = performance.now()
  await erase(bob)
  await eventually(async () => (await ids('friendList')).length === 2)
  t.notOk((await fans()).includes(bob))
  t.ok(performance.now() - erasedAt < 5000, `${performance.now() - erasedAt} ms`)
  await api.call(blacklists.blockUser, { toUserId: news }, as)
  t.strictSame(await ids('blackList'), [news])
  await erase(news)
  await eventually(async () => (await ids('blackList')).length === 0)
  gate.resolve()
  await eventually(async () => !(await relations.byId(alice, bob)) && !(await relations.byId(alice, news)))
  t.strictSame(await ids('friendList'), [systemUserId])
})

test('nothing is left of a deleted user, in whatever order events and calls come', async (t) => {
  const { api, deps, others, publish, person, erase } = await startSocial(t)
  const [alice, bob, helper] = [
    await person('alice'),
    await person('bob', { friendsVerify: 0 }),
    await person('helper'),
  ]
  const rowsOf = (userId: number) =>
    Promise.all(
      ['relations', 'new_friends'].map((name) =>
        deps.db.collection(name).countDocuments({ $or: [{ userId }, { toUserId: userId }] }),
      ),
    )
  const isGone = (userId: number) => eventually(async () => (await rowsOf(userId)).join() === '0,0')

  others.beforeAnswer = async (path) => {
    if (path !== '/internal/users/friend-rules') return
    others.beforeAnswer = async () => {}
    await eraseUser(deps, { userId: bob })
  }
  await api.call(follows.follow, { toUserId: bob }, { as: alice })
  t.strictSame(await rowsOf(bob), [0, 0], 'who was deleted while they were made a friend is none')

  const news = await person('news', { userType: 2 })
  others.beforeAnswer = async (path) => {
    if (path !== '/internal/users/friend-rules') return
    others.beforeAnswer = async () => {}
    await eraseUser(deps, { userId: news })
  }
  await api.call(friends.befriendSystemAccount, { toUserId: news }, { as: alice })
  await deps.everybodysFriends.add(news)
  await eventually(async () => (await deps.db.collection('everybodys_friends').countDocuments()) === 0)
  t.strictSame(await rowsOf(news), [0, 0], 'nobody becomes a friend of an account that is gone')

  const caller = await person('caller')
  others.beforeAnswer = async (path) => {
    if (path !== '/internal/users/friend-rules') return
    others.beforeAnswer = async () => {}
    others.users.delete(caller)
    await eraseUser(deps, { userId: caller })
  }
  await api.envelope(addressBook.uploadContacts, { uploadStr: '13812345678' }, { as: caller })
  t.equal(await deps.db.collection('contacts').countDocuments({ userId: caller }), 0, 'nor is their address book kept')

  await erase(helper)
  await isGone(helper)
  await person('newcomer', { defaultFriends: [helper] })
  await isGone(helper)
  t.strictSame(await rowsOf(helper), [0, 0], 'configured friends of new users are those that are there')

  const message = { messageId: 'm', from: alice, to: helper, contentType: 502, content: 'why?', arrivedAt: Date.now() }
  const late = { ...message, from: helper, to: alice, messageId: 'n' }
  const other = await person('other')
  await publish(friendsTold, 'log:x', { messages: [message, late, { ...message, to: other }] })
  await eventually(async () => (await api.call(friends.listNewFriends, {}, { as: other })).length === 1)
  t.strictSame(await rowsOf(helper), [0, 0], 'messages that come late say nothing of them')
})

test('labels: names are taken once, friends only, 200 at most', async (t) => {
  const { api, env, person } = await startSocial(t)
  const changes = await recordEvents(t, env, labelChanged)
  const [alice, bob, carol] = [await person('alice'), await person('bob', { friendsVerify: 0 }), await person('carol')]
  await api.call(follows.follow, { toUserId: bob }, { as: alice })
  await api.call(follows.follow, { toUserId: carol }, { as: alice })
  const as = { as: alice }
  t.strictSame(await api.call(labels.listLabels, {}, as), [])
  const near = await api.call(labels.addLabel, { groupName: ' near ' }, as)
  t.match(near, { groupName: 'near', userId: alice, userIdList: [] })
  const far = await api.call(labels.addLabel, { groupName: 'far' }, as)
  await t.rejects(api.call(labels.addLabel, { groupName: 'n\u200bear' }, as), failure('LabelNameTaken'))
  await t.rejects(api.call(labels.addLabel, { groupName: '\u2800' }, as), failure('InvalidParams'))
  await t.rejects(
    api.call(labels.renameLabel, { groupId: far.groupId, groupName: 'near' }, as),
    failure('LabelNameTaken'),
  )
  await t.rejects(
    api.call(labels.renameLabel, { groupId: far.groupId, groupName: 'x' }, { as: bob }),
    failure('LabelNotFound'),
  )
  await t.rejects(api.call(labels.deleteLabel, { groupId: 'nonsense' }, as), failure('LabelNotFound'))
  await api.call(labels.setLabelFriends, { groupId: near.groupId, userIdListStr: [bob, carol, alice].join() }, as)
  await api.call(labels.setFriendLabels, { toUserId: bob, groupIdStr: `${near.groupId},${far.groupId}` }, as)
  const lists = async () =>
    (await api.call(labels.listLabels, {}, as)).map(({ groupName, userIdList }) => [groupName, ...userIdList])
  t.strictSame(await lists(), [
    ['far', bob],
    ['near', bob],
  ])
  await api.call(labels.setFriendLabels, { toUserId: bob, groupIdStr: far.groupId }, as)
  t.strictSame(await lists(), [['far', bob], ['near']])
  await t.rejects(
    api.call(labels.setFriendLabels, { toUserId: carol, groupIdStr: far.groupId }, as),
    failure('NotFriends'),
  )
  const unknown = 'a'.repeat(24)
  await t.rejects(
    api.call(labels.setFriendLabels, { toUserId: bob, groupIdStr: unknown }, as),
    failure('LabelNotFound'),
  )
  await api.call(friends.deleteFriend, { toUserId: alice }, { as: bob })
  t.strictSame(await lists(), [['far'], ['near']], 'who is no friend any more has no label')
  await api.call(labels.deleteLabel, { groupId: near.groupId }, as)
  t.strictSame(await lists(), [['far']])
  await eventually(() => changes.length === 7)
  for (const part of ['k', 'l', 'm', 'n'])
    await Promise.all(Array.from({ length: 49 }, (_, n) => api.call(labels.addLabel, { groupName: `${part}${n}` }, as)))
  const codes = await Promise.all(
    Array.from({ length: 6 }, (_, n) => api.envelope(labels.addLabel, { groupName: `at once ${n}` }, as)),
  )
  t.equal(codes.filter(({ resultCode }) => resultCode === 1).length, 3, 'no more of those that come at once')
  t.equal((await api.call(labels.listLabels, {}, as)).length, 200)
  t.equal((await api.envelope(labels.addLabel, { groupName: 'more' }, as)).resultCode, errors.InvalidParams.code)
})

test('whatever happens at the same moment, labels hold friends only; nobody reads the others in them for that', async (t) => {
  const { api, deps, person } = await startSocial(t)
  const alice = await person('alice', { friendsVerify: 0 })
  const others = [await person('bob', { friendsVerify: 0 }), await person('carol', { friendsVerify: 0 })]
  const as = { as: alice }
  const groups = await Promise.all(
    ['a', 'b', 'c'].map(async (groupName) => (await api.call(labels.addLabel, { groupName }, as)).groupId),
  )
  const read: unknown[] = []
  deps.mongoClient.on('commandSucceeded', ({ reply }) => {
    const { cursor } = reply as { cursor?: { ns: string; firstBatch?: object[] } }
    if (cursor?.ns.endsWith('.labels')) read.push(...(cursor.firstBatch ?? []).filter((row) => 'friends' in row))
  })
  const deeds: ((friend: number, group: number) => Promise<unknown>)[] = [
    (toUserId) => api.envelope(friends.addFriend, { toUserId }, as),
    (toUserId) => api.envelope(friends.deleteFriend, { toUserId }, as),
    (friend) => api.envelope(friends.deleteFriend, { toUserId: alice }, { as: friend }),
    (_, group) => api.envelope(labels.setLabelFriends, { groupId: groups[group], userIdListStr: others.join() }, as),
    (toUserId) => api.envelope(labels.setFriendLabels, { toUserId, groupIdStr: groups.slice(1).join() }, as),
  ]
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(deeds.length - 1), fc.nat(1), fc.nat(2)), { minLength: 2, maxLength: 5 }),
      async (chosen) => {
        await Promise.all(others.map((toUserId) => api.call(friends.addFriend, { toUserId }, as)))
        await Promise.all(chosen.map(([deed, other, group]) => deeds[deed]?.(others[other]!, group)))
        t.equal(read.length, 0)
        const known = await deps.relations.rowsAbout(alice, others)
        const labelled = (await deps.labels.of(alice)).flatMap((label) => label.friends)
        read.length = 0
        return labelled.every((friend) => known.get(friend)?.status === 2)
      },
    ),
    { numRuns: 25 },
  )
})

test('labels of one user hold 50,000 friends together', async (t) => {
  const { api, deps, person } = await startSocial(t)
  const [alice, bob] = [await person('alice'), await person('bob', { friendsVerify: 0 })]
  const as = { as: alice }
  await api.call(friends.addFriend, { toUserId: bob }, as)
  const [full, other] = await Promise.all(
    ['full', 'other'].map(async (groupName) => (await api.call(labels.addLabel, { groupName }, as)).groupId),
  )
  const many = Array.from({ length: 49_999 }, (_, n) => 20_000_000 + n)
  await deps.db.collection('labels').updateOne({ userId: alice, name: 'full' }, { $set: { friends: many } })
  const setOf = (groupIdStr: string) => api.envelope(labels.setFriendLabels, { toUserId: bob, groupIdStr }, as)
  const set = (userIdListStr: string) => api.envelope(labels.setLabelFriends, { groupId: other!, userIdListStr }, as)
  t.equal((await setOf(`${full},${other}`)).resultCode, errors.InvalidParams.code)
  t.equal((await setOf(full!)).resultCode, 1)
  t.equal((await set(String(bob))).resultCode, errors.InvalidParams.code)
  t.equal((await setOf('')).resultCode, 1, 'fewer are always taken')
  t.equal((await set(String(bob))).resultCode, 1)

  // As from before there was a limit.
  await api.call(labels.addLabel, { groupName: 'even more' }, as)
  const more = { $set: { friends: [...many, ...many.map((id) => id + 50_000)] } }
  await deps.db.collection('labels').updateOne({ userId: alice, name: 'even more' }, more)
  const listed = await api.call(labels.listLabels, {}, as)
  t.strictSame(
    listed.map(({ groupName, userIdList }) => [groupName, userIdList.length]),
    [
      ['even more', 50_000],
      ['full', 0],
      ['other', 0],
    ],
  )
  t.equal((await setOf('')).resultCode, 1, 'who holds more may take some out')
})

test('who is blocked is passed over when many are asked', async (t) => {
  const { api, deps, person } = await startSocial(t)
  const [alice, bob] = [await person('alice'), await person('bob', { friendsVerify: 0 })]
  await api.call(blacklists.blockUser, { toUserId: bob }, { as: alice })
  await api.call(follows.followMany, { toUserIds: String(bob) }, { as: alice })
  t.match(await deps.relations.byId(alice, bob), { status: 0, blacklist: 1 })
})

test('what two tell each other by calls and by messages, on machines whose clocks differ: the later one stands', async (t) => {
  const { api, deps, person, publish } = await startSocial(t)
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')]
  const rowOf = async (as: number) =>
    (await api.call(friends.listNewFriends, {}, { as })).find(({ toUserId }) => [alice, bob].includes(toUserId))
  let sent = 0
  /** A message whose machine's clock says that it is so many milliseconds after the row, before it when negative. */
  const tell = async (from: number, contentType: number, content: string, after: number) => {
    const row = await deps.db.collection('new_friends').findOne({ userId: alice, toUserId: bob })
    const arrivedAt = row!['changedAt'] + after
    const to = from === alice ? bob : alice
    const message = { messageId: `m${++sent}`, from, to, contentType, content, arrivedAt }
    // What comes behind it in the same partition tells that it was handled.
    const mark = { ...message, messageId: `n${sent}`, from: carol, to: alice, content: `after ${sent}` }
    await publish(friendsTold, 'log:x', { messages: [message] })
    await publish(friendsTold, 'log:x', { messages: [{ ...mark, arrivedAt: Date.now() + sent * 10_000 }] })
    await eventually(async () =>
      (await api.call(friends.listNewFriends, {}, { as: carol })).some((row) => row.content === mark.content),
    )
  }
  await api.call(follows.follow, { toUserId: bob }, { as: alice })
  t.match(await rowOf(bob), { content: '', direction: 1 })
  await tell(alice, 500, 'hello', -900)
  t.match(await rowOf(bob), { type: 500, content: 'hello', direction: 1 }, 'the message of a call follows it')
  const before = (await rowOf(bob))!.modifyTime
  await tell(bob, 502, 'who?', -1500)
  t.match(await rowOf(bob), { content: 'hello' }, 'what is older by more than clocks differ changes nothing')
  await tell(bob, 502, 'who are you?', 60_000)
  t.match(await rowOf(alice), { type: 502, content: 'who are you?', direction: 1 })
  t.ok((await rowOf(alice))!.modifyTime >= before + 59)

  // The clock of the message service is ahead by a minute: what a call says afterwards is newer whatever its own clock says.
  await api.call(follows.follow, { toUserId: alice }, { as: bob })
  t.match(await rowOf(alice), { type: 501, content: '', direction: 1 })
  t.ok((await rowOf(alice))!.modifyTime >= before + 59, 'the time never goes back')
  await tell(bob, 501, 'a friend', 0)
  t.match(await rowOf(alice), { type: 501, content: 'a friend' })

  const at = Date.now() + 120_000
  const two = [
    { from: bob, to: alice, content: 'last', arrivedAt: at },
    { from: alice, to: bob, content: 'first', arrivedAt: at - 1 },
  ].map((message, n) => ({ ...message, messageId: `two ${n}`, contentType: 502 }))
  await publish(friendsTold, 'log:x', { messages: two })
  await eventually(async () => (await rowOf(bob))?.content !== 'a friend')
  t.match(await rowOf(bob), { content: 'last' }, 'of those that are told together, too')
})

test('a name that was told counts before the copy has it', async (t) => {
  const { api, deps, person, rename } = await startSocial(t)
  const [alice, bob] = [await person('alice'), await person('bob', { friendsVerify: 0 })]
  await api.call(friends.addFriend, { toUserId: bob }, { as: alice })
  await rename(bob, 'Robert')
  await eventually(async () => (await deps.people.find([bob])).get(bob)?.nickname === 'Robert')
  // The copy of a replica that is not as far.
  deps.people.find = async (userIds) => new Map(userIds.map((userId) => [userId, { nickname: 'bob', userType: 0 }]))
  const named = async () => (await deps.names.of([bob])).get(bob)?.nickname
  await eventually(async () => (await named()) === 'Robert')
  t.equal(await named(), 'Robert')
})
