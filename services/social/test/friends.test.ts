import { blacklists, follows, friendChanged, friends } from '@im/contracts/social'
import { systemUserId } from '@im/contracts/user'
import { eventually, failure, recordEvents } from '@im/service-kit/testing'
import { test } from 'tap'
import { startSocial } from './start-social.ts'

test('a request, its acceptance, and what both sides see', async (t) => {
  const { api, env, person } = await startSocial(t)
  const announced = await recordEvents(t, env, friendChanged)
  const [alice, bob] = [await person('alice'), await person('bob')]
  const ask = () => api.envelope(follows.follow, { toUserId: bob, fromAddType: 4 }, { as: alice })
  t.match(await ask(), { resultCode: 1, resultMsg: '关注成功，已关注目标用户', data: { type: 1, fromAddType: 4 } })
  t.match(await ask(), { resultMsg: '关注失败，已关注目标用户', data: { type: 3 } })
  await t.rejects(api.call(friends.addFriend, { toUserId: bob }, { as: alice }), failure('NoFriendRequest'))
  t.match(await api.call(friends.getFriend, { toUserId: bob }, { as: alice }), {
    ...{ userId: alice, toUserId: bob, toNickname: 'bob', status: 1, blacklist: 0, isBeenBlack: 0, fromAddType: 4 },
    ...{ remarkName: '', describe: '', chatRecordTimeOut: -1, msgNum: 0, lastTalkTime: 0, groupName: '', talkTime: 0 },
  })
  t.equal(await api.call(friends.getFriend, { toUserId: alice }, { as: bob }), undefined)
  t.match(await api.call(friends.listNewFriends, {}, { as: bob }), [
    { toUserId: alice, nickname: 'alice', from: alice, direction: 1, type: 500, status: 0 },
  ])

  await api.call(friends.addFriend, { toUserId: alice }, { as: bob })
  await api.call(friends.addFriend, { toUserId: alice }, { as: bob })
  t.match(await ask(), { resultMsg: '关注失败，已互为好友', data: { type: 4 } })
  const listed = (userId: number) => api.call(friends.listFriends, {}, { as: userId })
  t.match(await listed(alice), [
    { toUserId: bob, status: 2 },
    { toUserId: systemUserId, toUserType: 2, status: 2 },
  ])
  t.match(await listed(bob), [{ toUserId: alice, status: 2 }, { toUserId: systemUserId }])
  t.match(await api.call(friends.listNewFriends, {}, { as: alice }), [
    { toUserId: bob, from: bob, direction: 1, type: 501, status: 2 },
  ])
  const between = () => announced.filter((one) => one.userId !== systemUserId && one.toUserId !== systemUserId)
  await eventually(() => between().length === 2)
  t.match(between(), [
    { userId: alice, toUserId: bob, status: 1, toStatus: 0, how: 'followed' },
    { userId: bob, toUserId: alice, status: 2, toStatus: 2, how: 'befriended' },
  ])
})

test('nobody accepts the request of one who blocked them meanwhile', async (t) => {
  const { api, person } = await startSocial(t)
  const [alice, bob] = [await person('alice'), await person('bob')]
  await api.call(follows.follow, { toUserId: bob }, { as: alice })
  await api.call(blacklists.blockUser, { toUserId: bob }, { as: alice })
  await t.rejects(api.call(friends.addFriend, { toUserId: alice }, { as: bob }), failure('BlacklistedByTarget'))
  t.match(await api.call(friends.getFriend, { toUserId: alice }, { as: bob }), undefined)
})

test('what the other allows decides: no consent, no followers, ways of adding, public accounts, blacklists', async (t) => {
  const { api, person } = await startSocial(t)
  const alice = await person('alice')
  const add = (toUserId: number, fromAddType = 0) =>
    api.call(follows.follow, { toUserId, fromAddType }, { as: alice }).then(({ type }) => type)
  t.equal(await add(await person('open', { friendsVerify: 0 })), 2)
  t.equal(await add(await person('news', { userType: 2 })), 2)
  const closed = await person('closed', { allowAtt: 0, friendsVerify: 0 })
  await t.rejects(add(closed), failure('FollowRefused'))
  await t.rejects(api.call(friends.addFriend, { toUserId: closed }, { as: alice }), failure('NoFriendRequest'))
  const picky = await person('picky', { friendFromList: '1,3' })
  await t.rejects(add(picky, 4), failure('AddWayNotAllowed'))
  t.equal(await add(picky, 3), 1)
  t.equal(await add(await person('none', { friendFromList: '' }), 6), 1)
  const strict = await person('strict', { friendFromList: '1' })
  await api.call(follows.follow, { toUserId: alice }, { as: strict })
  await t.rejects(add(strict, 4), failure('AddWayNotAllowed'), 'nor by who was asked')

  const noted = await person('noted', { friendsVerify: 0 })
  await api.call(friends.remarkFriend, { toUserId: alice, remarkName: 'A' }, { as: noted })
  t.equal(await add(noted), 2)
  t.match(await api.call(friends.listNewFriends, {}, { as: noted }), [{ type: 508 }], 'a note is no request')

  await api.call(follows.follow, { toUserId: alice }, { as: closed })
  t.equal(await add(closed), 2, 'who asked takes the request back')

  const bob = await person('bob')
  await api.call(blacklists.blockUser, { toUserId: alice }, { as: bob })
  await t.rejects(add(bob), failure('BlacklistedByTarget'))
  await api.call(blacklists.unblockUser, { toUserId: alice }, { as: bob })
  await api.call(blacklists.blockUser, { toUserId: bob }, { as: alice })
  t.equal(await add(bob), 1)
  t.match(await api.call(friends.getFriend, { toUserId: bob }, { as: alice }), { blacklist: 0, status: 1 })
})

test('who is deleted while the users are read again does not come back', async (t) => {
  const { person, erase, others, deps } = await startSocial(t)
  const [alice, bob] = [await person('alice'), await person('bob')]
  const isGone = async () => (await deps.people.find([alice])).get(alice)?.gone
  others.beforeAnswer = async (path) => {
    if (path !== '/internal/users/page') return
    others.beforeAnswer = async () => {}
    await erase(alice)
    await eventually(async () => (await isGone()) && !(await deps.relations.byId(alice, systemUserId)))
  }
  const catchUps = deps.db.collection<{ _id: string }>('catch_ups')
  const isRead = async () => (await catchUps.countDocuments({ _id: 'people', finishedAt: { $exists: true } })) === 1
  await eventually(isRead)
  await catchUps.updateOne({ _id: 'people' }, { $inc: { round: 1 }, $unset: { finishedAt: 1 } })
  deps.bus.wake('catch-up.social')
  await eventually(isRead)
  t.ok(await deps.relations.byId(bob, systemUserId))
  t.notOk(await deps.relations.byId(alice, systemUserId))
  t.match((await deps.people.find([alice])).get(alice), { nickname: '', gone: true })
})
