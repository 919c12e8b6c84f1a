import { messageRecalled, messagesPassed } from '@im/contracts/message'
import { badges, internalBadges, pushTokens } from '@im/contracts/push'
import { friendChanged, friendRowChanged } from '@im/contracts/social'
import { doNotDisturbChanged, sessionOpened, userUpdated } from '@im/contracts/user'
import { inTransaction } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import type { Deps } from '../src/deps.ts'
import { alice, bob, carol, startPush } from './start-push.ts'

const singleChat = (a: number, b: number) => `u:${Math.min(a, b)}:${Math.max(a, b)}`

test('a message to somebody who is away is pushed to each of their devices, with the badge raised', async (t) => {
  const { api, internal, channels, say, publish } = await startPush(t)
  t.strictSame(await internal.call(internalBadges.getBadge, { userId: bob }), { count: 0 })
  await api.call(pushTokens.registerApns, { token: 'a1', isVoip: 0, appId: 'im.app' }, { as: bob })
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  await api.call(badges.setBadge, { num: 4 }, { as: bob })
  const id = await say(alice, bob, { text: '晚上好' })
  await eventually(() => channels.sent.length === 2)
  const [shown] = channels.on('a1')
  t.match(shown, {
    provider: 'apns',
    title: 'alice',
    body: 'alice:晚上好',
    badge: 5,
    kind: 'message',
    threadId: String(alice),
  })
  t.match(channels.on('f1'), [{ provider: 'fcm', body: 'alice:晚上好', badge: 5, id: shown?.id }])
  t.strictSame(Object.keys(shown!.data), [
    'from',
    'fromUserName',
    'to',
    'messageType',
    'messageId',
    'isGroup',
    'timeSend',
  ])
  t.match(shown!.data, { from: String(alice), fromUserName: 'alice', to: String(bob), messageType: '1', messageId: id })
  await say(alice, bob, { text: 'x'.repeat(60) })
  await eventually(() => channels.on('a1').length === 2)
  t.strictSame(await internal.call(internalBadges.getBadge, { userId: bob }), { count: 6 })
  t.match(channels.on('a1')[1], { badge: 6, body: `alice:${'x'.repeat(44)}...` })
  await publish(sessionOpened, bob, { userId: bob, device: 'ios', at: Date.now() })
  await eventually(async () => {
    await say(alice, bob, { type: 2 })
    return channels.on('a1').some(({ badge }) => badge === 1)
  })
  t.match(channels.on('a1').at(-1), { body: 'alice:[图片]' })
})

test('the number on an icon stays within 32 bits, which apps read it into', async (t) => {
  const { api, internal, channels, say } = await startPush(t)
  const highest = 2 ** 31 - 1
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  await api.call(badges.setBadge, { num: highest }, { as: bob })
  await say(alice, bob)
  await eventually(() => channels.sent.length === 1)
  t.match(channels.sent, [{ badge: highest }])
  t.strictSame(await internal.call(internalBadges.getBadge, { userId: bob }), { count: highest })
})

/** The next work on numbers of icons breaks off after so many of its writes, as when the process dies there. */
function breakOffAfter(writes: number, { badges, pushes }: Pick<Deps, 'badges' | 'pushes'>) {
  const { raise } = badges
  const { count } = pushes
  let left = writes
  async function write(work: Promise<void>): Promise<void> {
    await work
    if (--left === 0) throw new Error('the work breaks off here')
  }
  badges.raise = (...args) => write(raise.apply(badges, args))
  pushes.count = (...args) => write(count.apply(pushes, args))
}

test('the number on an icon counts a message once, wherever the work on it breaks off', async (t) => {
  const { api, channels, say, deps } = await startPush(t)
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  for (const writes of [1, 2]) {
    breakOffAfter(writes, deps)
    await say(alice, bob)
    await eventually(() => channels.on('f1').length === writes, 20_000)
    t.equal(channels.on('f1').at(-1)?.badge, writes, `after ${writes} of two writes`)
  }
  t.strictSame([...(await deps.badges.of([bob]))], [[bob, 2]])
})

test('of two workers that hold the same push one raises the number', async (t) => {
  const { say, deps, api } = await startPush(t, { env: { PUSH_DELAY: '60' } })
  const { pushes, db, mongoClient } = deps
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  const messageId = await say(alice, bob)
  const queued = await eventually(() => db.collection<{ _id: string }>('pushes').findOne({ messageId }))
  const raise = () => inTransaction(mongoClient, (session) => pushes.count([queued._id], session))
  await raise()
  await t.rejects(raise())
})

test('who is online, comes online meanwhile, wants nothing, or is told of something old gets no push', async (t) => {
  // So long that bob is there before his push is due.
  const { api, channels, say, state, publish, deps } = await startPush(t, { env: { PUSH_DELAY: '2' } })
  for (const userId of [bob, carol]) await api.call(pushTokens.registerFcm, { token: `t${userId}` }, { as: userId })
  const arriving = await say(alice, bob)
  await eventually(async () => (await deps.pushes.ofMessages(singleChat(alice, bob), [arriving])).length === 1)
  state.present.add(bob)
  await say(alice, carol, { arrivedAt: Date.now() - 3_600_001 })
  await say(alice, carol, { type: 95 })
  await say(alice, 10_000)
  const row = { isOpenSnapchat: 0, isOpenTopChat: 0, chatRecordTimeOut: -1, at: Date.now() }
  const muted = { userId: carol, toUserId: alice, remarkName: '', offlineNoPushMsg: 1, ...row }
  await publish(friendRowChanged, singleChat(alice, carol), muted)
  await eventually(async () => (await deps.friendRows.find([`${carol}:${alice}`])).size === 1)
  const silent = await say(alice, carol)
  await eventually(async () => {
    const [push] = await deps.pushes.ofMessages(singleChat(alice, carol), [silent])
    return push && !push.dueAt
  })
  await publish(friendRowChanged, singleChat(alice, carol), { ...muted, remarkName: '阿丽', offlineNoPushMsg: 0 })
  await eventually(async () => [...(await deps.friendRows.find([`${carol}:${alice}`])).values()][0]?.remark === '阿丽')
  await say(alice, carol, { text: 'first that counts' })
  await eventually(() => channels.on(`t${carol}`).length > 0)
  t.match(channels.sent, [{ title: '阿丽', body: '阿丽:first that counts', badge: 1 }], 'and nothing else was pushed')
  await publish(doNotDisturbChanged, carol, { userId: carol, offlineNoPushMsg: 1, at: Date.now() })
  await eventually(async () => (await deps.people.find([carol])).get(carol)?.isMuted === true)
  await say(alice, carol)
  state.present.delete(bob)
  await publish(userUpdated, alice, { userId: alice, nickname: 'alicia', account: 'a', updatedAt: Date.now() })
  await eventually(async () => (await deps.people.find([alice])).get(alice)?.nickname === 'alicia')
  await say(alice, bob, { isEncrypt: true, text: '' })
  await eventually(() => channels.on(`t${bob}`).length > 0)
  t.match(channels.sent.slice(1), [{ token: `t${bob}`, body: 'alicia:[消息]' }])
})

test('calls, friend events and burnt messages are pushed though they are not archived', async (t) => {
  const { api, channels, publish } = await startPush(t)
  await api.call(pushTokens.registerApns, { token: 'normal', isVoip: 0 }, { as: bob })
  await api.call(pushTokens.registerApns, { token: 'voip' }, { as: bob })
  await api.call(pushTokens.registerFcm, { token: 'phone' }, { as: bob })
  const pass = (messageId: string, contentType: number, isReadDel = false) => ({
    ...{
      messageId,
      from: alice,
      to: bob,
      contentType,
      timeSend: 1,
      arrivedAt: Date.now(),
      isEncrypt: false,
      isReadDel,
    },
  })
  const messages = [pass('m1', 100), pass('m2', 500), pass('m3', 1, true), pass('m4', 103), pass('m5', 104)]
  await publish(messagesPassed, 'log:1', { messages })
  await eventually(() => channels.sent.length >= 8)
  t.equal(channels.on('phone').filter(({ kind }) => kind === 'call').length, 1, 'another device has no token for calls')
  t.match(channels.on('voip'), [{ kind: 'call', body: 'alice邀请您语音通话', provider: 'apns_voip' }])
  t.same(channels.on('voip').length, 1)
  t.strictSame(
    new Set(channels.on('normal').map(({ body }) => body)),
    new Set(['alice请求加为好友', 'alice:[点击查看T]', 'alice取消了语音通话']),
  )
})

test('a message is pushed once, however often its event comes; a dead token goes, a paused one rests', async (t) => {
  const { api, channels, say, deps } = await startPush(t)
  for (const [userId, token] of [
    [bob, 'dead'],
    [carol, 'paused'],
  ] as const)
    await api.call(pushTokens.registerFcm, { token }, { as: userId })
  await api.call(pushTokens.registerApns, { token: 'good', isVoip: 0 }, { as: bob })
  channels.answer = (token) =>
    token === 'dead' ? { kind: 'dead', since: Date.now() } : { kind: token === 'paused' ? 'paused' : 'accepted' }
  const [id] = [await say(alice, bob), await say(alice, carol)]
  await say(alice, bob, { id })
  await eventually(async () => (await deps.tokens.of([bob, carol])).length === 1)
  t.strictSame(
    (await deps.tokens.of([bob, carol])).map(({ token }) => token),
    ['good'],
  )
  await say(alice, bob, { id })
  await say(alice, bob)
  await eventually(() => channels.on('good').length === 2)
  t.not(channels.on('good')[0]?.id, channels.on('good')[1]?.id)
  channels.answer = () => ({ kind: 'accepted' })
  await api.call(pushTokens.registerFcm, { token: 'paused' }, { as: carol })
  await say(alice, carol)
  await eventually(() => channels.on('paused').length === 1)

  let answers = 0
  channels.answer = async () => {
    await api.call(pushTokens.registerFcm, { token: 'paused' }, { as: carol })
    answers++
    return { kind: 'paused' }
  }
  const late = await say(alice, carol)
  const conversation = `u:${alice}:${carol}`
  await eventually(async () => answers && !(await deps.pushes.ofMessages(conversation, [late]))[0]?.dueAt)
  t.equal((await deps.tokens.of([carol])).length, 1, 'what a provider said of an older registration says nothing of it')
})

test('while a provider is in trouble nothing is lost, and nothing is doubled', async (t) => {
  const { api, channels, say } = await startPush(t)
  await api.call(pushTokens.registerFcm, { token: 'down' }, { as: bob })
  await api.call(pushTokens.registerApns, { token: 'up', isVoip: 0 }, { as: bob })
  let tries = 0
  channels.answer = (token) => {
    if (token === 'up' || ++tries > 6) return { kind: 'accepted' }
    return { kind: tries % 2 ? 'retry' : 'slow', retryAfterMs: 10 }
  }
  for (const text of ['one', 'two', 'three']) await say(alice, bob, { text })
  await eventually(() => channels.sent.length === 6, 20_000)
  t.strictSame(new Set(channels.on('down').map(({ body }) => body)), new Set(['alice:one', 'alice:two', 'alice:three']))
  t.strictSame(
    channels
      .on('up')
      .map(({ badge }) => badge)
      .sort(),
    [1, 2, 3],
  )
})

test('a recall withdraws a push that was not sent and replaces one that was', async (t) => {
  const { api, channels, say, publish, state } = await startPush(t, { env: { PUSH_DELAY: '0.3' } })
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  await api.call(pushTokens.registerBaidu, { channelId: 'b1', deviceId: '2' }, { as: bob })
  const sent = await say(alice, bob, { text: 'oops' })
  await eventually(() => channels.sent.length === 2)
  const conversation = singleChat(alice, bob)
  const unsent = await say(alice, bob, { text: 'never seen' })
  for (const id of [sent, unsent]) state.texts.delete(id)
  const recalled = { conversation, messageIds: [sent, unsent], by: alice, at: Date.now() }
  await publish(messageRecalled, conversation, recalled)
  await say(alice, bob, { type: 202, text: '', recalled: [sent, unsent] })
  await eventually(() => channels.on('f1').length === 2)
  await say(alice, bob, { text: 'later' })
  await eventually(() => channels.on('f1').length === 3 && channels.on('b1').length === 2)
  const [first, replaced] = channels.on('f1')
  t.match(replaced, { id: first?.id, kind: 'withdrawn', body: 'alice:撤回了一条消息', badge: 1 })
  t.strictSame(
    channels.on('b1').map(({ body }) => body),
    ['alice:oops', 'alice:later'],
    'baidu cannot replace',
  )
})

test('that a message was recalled is told to the devices that showed it, and to no other one of the user', async (t) => {
  const { api, channels, say, publish, deps } = await startPush(t)
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  const id = await say(alice, bob, { text: 'oops' })
  await eventually(() => channels.on('f1').length === 1)
  await api.call(pushTokens.registerApns, { token: 'later', isVoip: 0 }, { as: bob })
  const conversation = singleChat(alice, bob)
  await publish(messageRecalled, conversation, { conversation, messageIds: [id], by: alice, at: Date.now() })
  await eventually(() => channels.on('f1').length === 2)
  await say(alice, bob, { text: 'more' })
  await eventually(() => channels.on('f1').length === 3 && channels.on('later').length === 1)
  t.strictSame(
    channels.on('later').map(({ kind }) => kind),
    ['message'],
  )
  const underWay = { withdraws: id, dueAt: { $exists: true } }
  await eventually(async () => (await deps.db.collection('pushes').countDocuments(underWay)) === 0)
})

test('a message that is recalled goes from the devices of those who want to hear of nothing more, without a sound', async (t) => {
  const { api, channels, say, publish, deps } = await startPush(t)
  for (const userId of [bob, carol]) await api.call(pushTokens.registerFcm, { token: `f${userId}` }, { as: userId })
  const ids = [await say(alice, bob, { text: 'oops' }), await say(alice, carol, { text: 'oops' })]
  await eventually(() => channels.sent.length === 2)
  const row = { remarkName: '', isOpenSnapchat: 0, isOpenTopChat: 0, chatRecordTimeOut: -1, at: Date.now() }
  await publish(friendRowChanged, singleChat(alice, bob), {
    ...{ userId: bob, toUserId: alice, offlineNoPushMsg: 1, ...row },
  })
  await publish(doNotDisturbChanged, carol, { userId: carol, offlineNoPushMsg: 1, at: Date.now() })
  await eventually(async () => (await deps.friendRows.find([`${bob}:${alice}`])).size === 1)
  await eventually(async () => (await deps.people.find([carol])).get(carol)?.isMuted === true)
  for (const [n, to] of [bob, carol].entries()) {
    const conversation = singleChat(alice, to)
    await publish(messageRecalled, conversation, { conversation, messageIds: [ids[n]!], by: alice, at: Date.now() })
  }
  await eventually(() => channels.sent.length === 4)
  for (const userId of [bob, carol])
    t.match(channels.on(`f${userId}`), [{ body: 'alice:oops' }, { kind: 'withdrawn', isSilent: true }])
})

test('what two say of each other ends with their friendship, and of who unfollows with their own row', async (t) => {
  const { publish, deps } = await startPush(t)
  const row = { isOpenSnapchat: 0, isOpenTopChat: 0, chatRecordTimeOut: -1, at: Date.now() }
  const ids = [`${alice}:${bob}`, `${bob}:${alice}`]
  const noted = async () => [...(await deps.friendRows.find(ids)).keys()].sort()
  for (const [how, left] of [
    ['unfollowed', [`${bob}:${alice}`]],
    ['deleted', []],
  ] as const) {
    for (const [userId, toUserId] of [
      [alice, bob],
      [bob, alice],
    ] as const)
      await publish(friendRowChanged, singleChat(alice, bob), {
        ...{ userId, toUserId, remarkName: 'x', offlineNoPushMsg: 1, ...row },
      })
    await eventually(async () => (await noted()).length === 2)
    await publish(friendChanged, singleChat(alice, bob), {
      ...{ userId: alice, toUserId: bob, status: 0, toStatus: 0, how, at: Date.now() },
    })
    await eventually(async () => (await noted()).length === left.length)
    t.strictSame(await noted(), left)
  }
})

test('who was not told of a message before its recall is not told, whatever the message service answers', async (t) => {
  const { api, channels, say, publish, deps } = await startPush(t, { env: { PUSH_DELAY: '0.5' } })
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  const id = await say(alice, bob, { text: 'oops' })
  const queued = deps.db.collection('pushes')
  await eventually(async () => (await queued.countDocuments({ messageId: id })) === 1)
  const conversation = singleChat(alice, bob)
  await publish(messageRecalled, conversation, { conversation, messageIds: [id], by: alice, at: Date.now() })
  await eventually(async () => (await queued.countDocuments({ messageId: id, dueAt: { $exists: false } })) === 1)
  t.strictSame(channels.sent, [])
})
