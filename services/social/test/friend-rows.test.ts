import { errors } from '@im/contracts'
import { blacklists, follows, friendRowChanged, friends } from '@im/contracts/social'
import { systemUserId } from '@im/contracts/user'
import { eventually, failure, recordEvents } from '@im/service-kit/testing'
import { test } from 'tap'
import { befriendWithin } from '../src/friends/befriend-account.ts'
import { startSocial } from './start-social.ts'

async function twoFriends(t: Parameters<typeof startSocial>[0], env: Record<string, string> = {}) {
  const social = await startSocial(t, env)
  const [alice, bob] = [
    await social.person('alice', { friendsVerify: 0 }),
    await social.person('bob', { friendsVerify: 0 }),
  ]
  await social.api.envelope(follows.follow, { toUserId: bob }, { as: alice })
  return { ...social, alice, bob }
}

test('remarks, switches and lives of messages belong to one side, and are told to its devices', async (t) => {
  const { api, env, alice, bob, person } = await twoFriends(t)
  const told = await recordEvents(t, env, friendRowChanged)
  const as = { as: alice }
  await api.call(friends.remarkFriend, { toUserId: bob, remarkName: '  Bo\u200bb ', describe: 'a\nfriend' }, as)
  await api.call(friends.updateFriend, { toUserId: bob, chatRecordTimeOut: 0.04 }, as)
  const pinned = await api.call(friends.switchForFriend, { toUserId: bob, offlineNoPushMsg: 1, type: 2 }, as)
  t.match(pinned, { isOpenTopChat: 1, offlineNoPushMsg: 0, toUserId: bob, toNickname: 'bob' })
  t.ok(Math.abs(pinned.openTopChatTime - Date.now() / 1000) < 60)
  await api.call(friends.switchForFriend, { toUserId: bob, offlineNoPushMsg: 1 }, as)
  await api.call(friends.switchForFriend, { toUserId: bob, offlineNoPushMsg: 1, type: 1 }, as)
  t.match(await api.call(friends.switchForFriend, { toUserId: bob, offlineNoPushMsg: 0, type: 2 }, as), {
    ...{ remarkName: 'Bob', describe: 'a\nfriend', chatRecordTimeOut: 0.04 },
    ...{ offlineNoPushMsg: 1, isOpenSnapchat: 1, isOpenTopChat: 0, openTopChatTime: 0 },
  })
  t.match(await api.call(friends.getFriend, { toUserId: alice }, { as: bob }), { remarkName: '', offlineNoPushMsg: 0 })
  await eventually(() => told.length === 6)
  t.match(told.at(-1), { userId: alice, toUserId: bob, remarkName: 'Bob', offlineNoPushMsg: 1, isOpenTopChat: 0 })

  await api.call(friends.remarkFriend, { toUserId: bob, remarkName: '', describe: ' ' }, as)
  t.match(await api.call(friends.getFriend, { toUserId: bob }, as), { remarkName: '', describe: '', status: 2 })

  const carol = await person('carol')
  await api.call(friends.remarkFriend, { toUserId: carol, remarkName: 'C' }, as)
  t.match(await api.call(friends.getFriend, { toUserId: carol }, as), { status: 0, remarkName: 'C' })
  t.notOk((await api.call(friends.listFriends, {}, as)).some(({ toUserId }) => toUserId === carol))
  await api.call(friends.remarkFriend, { toUserId: carol }, as)
  t.equal(await api.call(friends.getFriend, { toUserId: carol }, as), undefined, 'a row that says nothing is gone')
})

test('deleting, unfollowing and blocking leave what the chapter says', async (t) => {
  const { api, alice, bob, others, person } = await twoFriends(t)
  const row = (as: number, toUserId: number) => api.call(friends.getFriend, { toUserId }, { as })
  await api.call(follows.unfollow, { toUserId: bob }, { as: alice })
  t.equal(await row(alice, bob), undefined)
  t.match(await row(bob, alice), { status: 1 }, 'a friend goes on following')
  t.match(await api.call(follows.listFans, {}, { as: alice }), [
    { userId: alice, toUserId: bob, toNickname: 'bob', status: 0 },
    { toUserId: systemUserId, toUserType: 2, status: 2 },
  ])
  t.equal((await api.call(follows.follow, { toUserId: bob }, { as: alice })).type, 2)

  await t.rejects(api.call(blacklists.unblockUser, { toUserId: alice }, { as: bob }), failure('NotOnBlacklist'))
  await api.call(blacklists.blockUser, { toUserId: alice }, { as: bob })
  await api.call(friends.remarkFriend, { toUserId: alice, remarkName: 'a liar', describe: 'tall' }, { as: bob })
  await t.rejects(api.call(blacklists.blockUser, { toUserId: alice }, { as: bob }), failure('AlreadyOnBlacklist'))
  t.match(await row(alice, bob), { status: 2, isBeenBlack: 1, blacklist: 0 })
  t.match(await row(bob, alice), { status: 2, isBeenBlack: 0, blacklist: 1 })
  const listed = async (as: number) => (await api.call(friends.listFriends, {}, { as })).map(({ toUserId }) => toUserId)
  t.strictSame(await listed(bob), [systemUserId], 'blocked friends are in no list of friends')
  t.strictSame(await listed(alice), [bob, systemUserId])
  t.match(await api.call(blacklists.listBlocked, {}, { as: bob }), [{ toUserId: alice, blacklist: 1 }])
  t.match(await api.call(follows.listFollowed, {}, { as: bob }), [{ toUserId: alice }, { toUserId: systemUserId }])
  t.strictSame(await api.call(friends.listFriendIds, { type: 'blackList' }, { as: bob }), [alice])
  t.strictSame(await api.call(friends.listFriendIds, { type: 'friendList' }, { as: bob }), [systemUserId])
  t.notOk((await api.call(follows.listFans, {}, { as: bob })).some(({ toUserId }) => toUserId === alice))

  await api.call(friends.deleteFriend, { toUserId: bob }, { as: alice })
  t.equal(await row(alice, bob), undefined)
  const left = { status: 0, blacklist: 1, remarkName: '', describe: '' }
  t.match(await row(bob, alice), left, 'what bob blocked stays blocked, and nothing else')
  t.match(await api.call(follows.listFollowed, {}, { as: bob }), [left, { toUserId: systemUserId }])
  others.talks.set(`${bob}:${alice}`, { unread: 3, lastTalkTime: 1_700_000_005 })
  t.match(await api.call(blacklists.unblockUser, { toUserId: alice }, { as: bob }), {
    ...{ status: 0, blacklist: 0, msgNum: 3, lastTalkTime: 1_700_000_005 },
  })
  t.equal(await row(bob, alice), undefined)
  await t.rejects(api.call(blacklists.unblockUser, { toUserId: alice }, { as: bob }), failure('NotOnBlacklist'))
  await t.rejects(api.call(friends.deleteFriend, { toUserId: bob }, { as: alice }), failure('NotFriends'))

  const news = await person('news', { userType: 2 })
  await api.call(follows.follow, { toUserId: news }, { as: alice })
  await api.call(follows.unfollow, { toUserId: news }, { as: alice })
  t.equal(await row(news, alice), undefined, 'a public account follows nobody who does not follow it')
  await api.call(follows.follow, { toUserId: news }, { as: alice })
  await api.call(blacklists.blockUser, { toUserId: alice }, { as: news })
  await api.call(follows.unfollow, { toUserId: news }, { as: alice })
  t.match(await row(news, alice), { status: 0, blacklist: 1 }, 'but what it blocked stays blocked')
})

test('what a stranger notes is theirs, and what a row says of notifications ends with it', async (t) => {
  const { api, env, person } = await startSocial(t)
  const told = await recordEvents(t, env, friendRowChanged)
  const [alice, mallory] = [await person('alice'), await person('mallory')]
  await api.call(friends.remarkFriend, { toUserId: mallory, remarkName: 'a liar' }, { as: alice })
  await api.call(friends.remarkFriend, { toUserId: alice, remarkName: 'x' }, { as: mallory })
  await api.call(friends.deleteFriend, { toUserId: alice }, { as: mallory })
  t.equal(await api.call(friends.getFriend, { toUserId: alice }, { as: mallory }), undefined)
  t.match(await api.call(friends.getFriend, { toUserId: mallory }, { as: alice }), { remarkName: 'a liar' })

  await api.call(blacklists.blockUser, { toUserId: alice }, { as: mallory })
  await api.call(friends.switchForFriend, { toUserId: alice, offlineNoPushMsg: 1 }, { as: mallory })
  await api.call(blacklists.unblockUser, { toUserId: alice }, { as: mallory })
  t.equal(await api.call(friends.getFriend, { toUserId: alice }, { as: mallory }), undefined)
  const ofMallory = () => told.flatMap(({ userId, offlineNoPushMsg }) => (userId === mallory ? [offlineNoPushMsg] : []))
  await eventually(() => ofMallory().join() === '0,0,1,0')

  await api.call(blacklists.blockUser, { toUserId: alice }, { as: mallory })
  await api.call(friends.switchForFriend, { toUserId: alice, offlineNoPushMsg: 1 }, { as: mallory })
  await api.call(friends.remarkFriend, { toUserId: alice, remarkName: 'x' }, { as: mallory })
  await api.call(friends.deleteFriend, { toUserId: alice }, { as: mallory })
  await eventually(() => told.length === 8)
  t.match(
    told.at(-1),
    { userId: mallory, remarkName: '', offlineNoPushMsg: 0 },
    'although they were nothing but blocked',
  )

  await api.call(follows.follow, { toUserId: alice }, { as: mallory })
  await api.call(friends.deleteFriend, { toUserId: alice }, { as: mallory })
  t.match(await api.call(friends.getFriend, { toUserId: mallory }, { as: alice }), { remarkName: 'a liar' })
  await eventually(() => told.length === 9)
  t.match(
    told.at(-1),
    { userId: alice, toUserId: mallory, remarkName: 'a liar' },
    'what an end leaves is told after it',
  )
})

test('users who are unknown, deleted, oneself or of the system, and other bad input', async (t) => {
  const { api, alice, bob, erase, deps } = await twoFriends(t)
  const calls = [
    [follows.follow, {}],
    [follows.unfollow, {}],
    [friends.addFriend, {}],
    [friends.deleteFriend, {}],
    [friends.getFriend, {}],
    [friends.updateFriend, { chatRecordTimeOut: 1 }],
    [friends.remarkFriend, { remarkName: 'x' }],
    [friends.switchForFriend, { offlineNoPushMsg: 1 }],
    [blacklists.blockUser, {}],
    [blacklists.unblockUser, {}],
  ] as const
  const codes = async (toUserId: number) => {
    const found = await Promise.all(
      calls.map(([endpoint, params]) => api.envelope(endpoint, { ...params, toUserId } as never, { as: alice })),
    )
    return [...new Set(found.map(({ resultCode }) => resultCode))]
  }
  t.strictSame(await codes(99999999), [errors.UserNotFound.code])
  t.strictSame(await codes(10005), [errors.UserNotFound.code], 'the sender of notices is nobody')
  t.strictSame(await codes(alice), [errors.CannotAddSelf.code])
  for (const endpoint of [blacklists.blockUser, friends.deleteFriend, follows.unfollow])
    await t.rejects(api.call(endpoint, { toUserId: systemUserId }, { as: alice }), failure('SystemAccountProtected'))
  const fails = async (endpoint: (typeof calls)[number][0], params: object, name: keyof typeof errors) =>
    t.equal((await api.envelope(endpoint, params as never, { as: alice })).resultCode, errors[name].code, name)
  await fails(friends.switchForFriend, { toUserId: bob, offlineNoPushMsg: 1, type: 3 }, 'InvalidParams')
  await fails(friends.switchForFriend, { toUserId: bob, offlineNoPushMsg: 2 }, 'InvalidParams')
  await fails(friends.remarkFriend, { toUserId: bob, remarkName: '\u200b\u202e\u3164' }, 'InvalidParams')
  await fails(friends.remarkFriend, { toUserId: bob, remarkName: 'x'.repeat(65) }, 'InvalidParams')
  await fails(follows.follow, { toUserId: bob, fromAddType: 7 }, 'InvalidParams')
  await fails(follows.follow, {}, 'MissingParam')
  const foreign = await api.envelope(friends.listFriends, { userId: bob }, { as: alice })
  t.equal(foreign.resultCode, errors.PermissionDenied.code)
  const tooMany = Array.from({ length: 1001 }, (_, n) => n + 1).join()
  t.equal(
    (await api.envelope(follows.followMany, { toUserIds: tooMany }, { as: alice })).resultCode,
    errors.InvalidParams.code,
  )
  t.equal(
    (await api.envelope(follows.followMany, { toUserIds: ' , ' }, { as: alice })).resultCode,
    errors.MissingParam.code,
  )
  t.equal(
    (await api.envelope(friends.listFriendIds, { type: 'x' }, { as: alice })).resultCode,
    errors.InvalidParams.code,
  )

  await erase(bob)
  await eventually(async () => !(await deps.relations.byId(alice, bob)))
  await eventually(async () => (await codes(bob)).join() === String(errors.UserNotFound.code))
})

test('lists: search, order, pages, unread counts, and the two profiles of the API', async (t) => {
  const { api, others, alice, bob, person, rename } = await twoFriends(t)
  for (const name of ['zoe', 'Ann', '小红'])
    await api.call(follows.follow, { toUserId: await person(name, { friendsVerify: 0 }) }, { as: alice })
  others.talks.set(`${alice}:${bob}`, { unread: 3, lastTalkTime: 1_700_000_000 })
  const names = async (keyword = '') =>
    (await api.call(friends.listFriends, { keyword }, { as: alice })).map(({ toNickname }) => toNickname)
  t.strictSame(await names(), ['Ann', 'bob', 'zoe', '小红', '系统消息'])
  t.strictSame(await names('AN'), ['Ann'])
  t.strictSame(await names('红'), ['小红'])
  await api.call(friends.remarkFriend, { toUserId: bob, remarkName: 'Zz' }, { as: alice })
  t.strictSame(await names(), ['Ann', 'bob', 'zoe', '小红', '系统消息'], 'Zz stands between Ann and zoe')
  t.strictSame(await names('zz'), ['bob'])
  t.match(await api.call(friends.listFriends, { keyword: 'bob' }, { as: alice }), [
    { msgNum: 3, lastTalkTime: 1_700_000_000 },
  ])
  const unreadOf = async () =>
    (await api.call(friends.listFriends, {}, { as: alice })).find(({ toUserId }) => toUserId === bob)?.msgNum
  for (const unread of [3, 4, 0]) {
    others.talks.set(`${alice}:${bob}`, { unread, lastTalkTime: 1_700_000_000 })
    t.equal(await unreadOf(), unread)
  }
  const page = await api.call(friends.pageFriends, { pageIndex: 1, pageSize: 2 }, { as: alice })
  t.match(page, {
    pageIndex: 1,
    pageSize: 2,
    pageCount: 3,
    total: 5,
    pageData: [{ toNickname: 'zoe' }, { toNickname: '小红' }],
  })
  await rename(bob, 'Robert')
  await eventually(async () => (await names()).includes('Robert'))
  others.isAway = true
  t.equal((await names()).length, 5, 'without counts while they are out of reach')
})

test('API_PROFILE=spec tells outcomes as resultCode and answers bare lists', async (t) => {
  const { api, alice, bob } = await twoFriends(t, { API_PROFILE: 'spec' })
  t.match(await api.envelope(follows.follow, { toUserId: bob, language: 'en' }, { as: alice }), {
    ...{ resultCode: 4, resultMsg: 'You are already friends', data: { type: 4, fromAddType: 0 } },
  })
  t.match(await api.call(friends.pageFriends, {}, { as: alice }), [{ toUserId: bob }, { toUserId: systemUserId }])
})

test('1,000 friends are listed by a query for the rows and one for the names', async (t) => {
  const { api, deps, alice } = await twoFriends(t)
  const many = Array.from({ length: 1000 }, (_, n) => 20_000_000 + n)
  await deps.outbox.commit(async (change) => {
    await deps.people.put(
      many.map((userId) => ({ _id: userId, nickname: `n${userId}`, userType: 0 })),
      change,
    )
  })
  for (let at = 0; at < many.length; at += 200)
    await deps.outbox.commit((change) => befriendWithin(deps, alice, many.slice(at, at + 200), change))
  let commands = 0
  deps.mongoClient.on('commandStarted', ({ commandName }) => {
    if (['find', 'getMore', 'aggregate'].includes(commandName)) commands++
  })
  await eventually(async () => {
    commands = 0
    const listed = await api.call(friends.listFriends, {}, { as: alice })
    return listed.length === 1002 && commands <= 2
  })
  t.ok(commands <= 2, `${commands} queries`)
})

test('followed users of one status are those who are not blocked; all of them include these', async (t) => {
  const { api, person } = await startSocial(t)
  const [alice, bob] = [await person('alice'), await person('bob', { friendsVerify: 0 })]
  const as = { as: alice }
  await api.call(friends.addFriend, { toUserId: bob }, as)
  const listed = async (status?: number) =>
    (await api.call(follows.listFollowed, status === undefined ? {} : { status }, as)).map(({ toUserId }) => toUserId)
  t.strictSame(await listed(2), [bob, systemUserId])
  await api.call(blacklists.blockUser, { toUserId: bob }, as)
  t.strictSame([await listed(2), await listed(1)], [[systemUserId], []])
  t.strictSame(
    [await listed(), await listed(0)].map((ids) => ids.includes(bob)),
    [true, true],
  )
})
