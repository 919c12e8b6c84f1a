import { archive, friendsTold, talks } from '@im/contracts/message'
import {
  blacklistChanged,
  contactRegistered,
  friendChanged,
  friendRequested,
  friendRowChanged,
  labelChanged,
  pairOf,
  userErased,
} from '@im/contracts/social'
import { messageKeysChanged, userDeleted } from '@im/contracts/user'
import { eventPublisher, eventually, recordEvents } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, carol, startMessage } from './start-message.ts'

test('changes of friends and labels reach the own devices', async (t) => {
  const { online, user, env } = await startMessage(t)
  const publish = eventPublisher(t, env)
  user.contacts.set(carol, { multipleDevices: 0 })
  const streams = [await online(alice), await online(bob), await online(carol)]
  const at = Date.now()
  const row = { remarkName: 'B', offlineNoPushMsg: 1, isOpenSnapchat: 0, isOpenTopChat: 0, chatRecordTimeOut: -1, at }
  for (const userId of [carol, alice]) {
    await publish(friendRowChanged, pairOf(userId, bob), { userId, toUserId: bob, ...row })
    await publish(labelChanged, userId, { userId, at })
  }
  await eventually(() => streams[0]!.messages.length === 2)
  const bodies = streams.map(({ messages }) => messages.map(({ body }) => JSON.parse(body)))
  t.match(
    bodies[0]!.sort((a, b) => b.type - a.type),
    [
      { type: 801, fromUserId: String(alice), toUserId: String(bob), toUserName: `n${bob}`, content: '' },
      { type: 800, objectId: 'sync_label', toUserId: String(alice) },
    ],
  )
  t.strictSame(bodies.slice(1), [[], []])
})

test('requests in the name of who asked many, news of contacts and of removed users', async (t) => {
  const { deps, online, user, env } = await startMessage(t)
  const publish = eventPublisher(t, env)
  const erased = 10000099
  user.contacts.set(carol, { exists: 0 })
  const at = Date.now()
  await publish(friendRequested, pairOf(alice, bob), { userId: alice, toUserId: bob, at })
  await publish(contactRegistered, alice, {
    ...{ userId: alice, nickname: 'alice', telephone: '8613800000001', registeredAt: 1, at },
    owners: [bob, carol].map((userId) => ({ userId, telephone: `86139${userId}` })),
  })
  await publish(userErased, erased, { userId: erased, friends: [bob, carol], at })
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 3)
  const stream = await online(bob)
  await eventually(() => stream.messages.length === 3)
  const told = stream.messages
    .map(({ from, body }) => ({ from: from.split('@')[0], ...JSON.parse(body) }))
    .sort((a, b) => a.type - b.type)
  t.match(told, [
    { from: String(alice), type: 500, fromUserId: String(alice), toUserId: String(bob), content: '' },
    { from: String(alice), type: 511, fromUserName: 'alice', toUserId: String(bob) },
    {
      from: '10005',
      type: 512,
      fromUserId: '10005',
      objectId: String(erased),
      content: '后台管理员解除了你们好友关系',
    },
  ])
  t.strictSame(JSON.parse(told[1].content), {
    ...{ telephone: `86139${bob}`, toTelephone: '8613800000001' },
    ...{ toUserId: alice, toUserName: 'alice', userId: bob },
  })
})

test('what users tell each other about being friends is told to the list of new friends', async (t) => {
  const { online, user, env } = await startMessage(t)
  user.pairs.set(pairOf(alice, bob), { low: { status: 1, hasBlocked: false } })
  const told = await recordEvents(t, env, friendsTold)
  const sender = await online(alice)
  const refused = sender.say({ to: bob, body: { type: 501, content: 'forged' } })
  const id = sender.say({ to: bob, body: { type: 500, content: `hello${'!'.repeat(1000)}` } })
  sender.say({ to: bob, body: { type: 1, content: 'talk' } })
  await eventually(() => told.length > 0 && sender.refusals.has(refused))
  t.match(
    told.flatMap(({ messages }) => messages),
    [{ messageId: id, from: alice, to: bob, contentType: 500 }],
  )
  t.equal(told[0]!.messages[0]!.content.length, 500)
})

test('a chat leaves the lists when a friend is deleted or blocked, and comes back with the next message', async (t) => {
  const { api, deps, online, env } = await startMessage(t)
  const publish = eventPublisher(t, env)
  const sender = await online(alice)
  const listed = async (userId: number) => (await api.call(archive.listLastChats, {}, { as: userId })).length
  const say = async () => {
    const id = sender.say({ to: bob, body: { content: 'hi' } })
    await eventually(() => sender.receipts.includes(id))
    return id
  }
  /** As an app does whose connection broke before the receipt. */
  const sayAgain = async (id: string) => {
    const before = sender.receipts.length
    sender.say({ id, to: bob, body: { content: 'hi' } })
    await eventually(() => sender.receipts.length > before)
  }
  await say()
  t.strictSame([await listed(alice), await listed(bob)], [1, 1])
  await publish(blacklistChanged, pairOf(alice, bob), { userId: bob, toUserId: alice, blocked: true, at: Date.now() })
  await eventually(async () => (await listed(bob)) === 0)
  t.equal(await listed(alice), 1)
  const id = await say()
  t.equal(await listed(bob), 1)
  await publish(friendChanged, pairOf(alice, bob), {
    ...{ userId: bob, toUserId: alice, status: 0, toStatus: 0, how: 'deleted', at: Date.now() },
  })
  await eventually(async () => (await listed(bob)) === 0 && (await listed(alice)) === 0)
  deps.recentMessages.clear()
  await sayAgain(id)
  t.strictSame([await listed(alice), await listed(bob)], [0, 0], 'a copy is nothing new')
  t.equal((await deps.messages.collection.find().toArray()).length, 2, 'the history stays')
  await say()
  t.strictSame([await listed(alice), await listed(bob)], [1, 1])
})

test('unread messages are counted for their receiver until they are read, recalled, hidden, cleared or expired', async (t) => {
  let ahead = 0
  const { api, online } = await startMessage(t, { overrides: { now: () => Date.now() + ahead } })
  const [a, b] = [await online(alice), await online(bob)]
  const say = async (stream: typeof a, to: number, body: Record<string, unknown> = {}) => {
    const id = stream.say({ to, body: { type: 1, content: 'x', ...body } })
    await eventually(() => stream.receipts.includes(id))
    return id
  }
  const unread = async (userId: number, peer: number) =>
    (await api.call(talks.getTalks, { userId, peers: String(peer) })).talks[0]?.unread
  const ids: string[] = []
  for (let n = 0; n < 6; n++) ids.push(await say(a, bob, { timeSend: Math.floor(Date.now() / 1000) - 10 + n }))
  await say(b, alice)
  t.equal(await unread(bob, alice), 6, 'not the own message')
  t.equal(await unread(alice, bob), 1)
  t.equal(await unread(carol, alice), undefined)

  await say(b, alice, { type: 26, content: ids[1] })
  await eventually(async () => (await unread(bob, alice)) === 4, 2000)
  await api.call(archive.markRead, { messageId: ids[2] }, { as: bob })
  t.equal(await unread(bob, alice), 3)
  await api.call(archive.deleteMessages, { messageId: ids[3], delete: 2 }, { as: alice })
  t.equal(await unread(bob, alice), 2, 'recalled')
  await api.call(archive.deleteMessages, { messageId: ids[4], delete: 1 }, { as: bob })
  t.equal(await unread(bob, alice), 1, 'hidden by the receiver')
  await api.call(archive.deleteMessages, { messageId: ids[5], delete: 1 }, { as: alice })
  t.equal(await unread(bob, alice), 1, 'hidden by the sender alone')
  await say(a, bob, { deleteTime: Math.floor(Date.now() / 1000) + 100 })
  t.equal(await unread(bob, alice), 2)
  ahead = 200_000
  t.equal(await unread(bob, alice), 1, 'expired')
  await api.call(archive.clearChats, { toUserId: alice }, { as: bob })
  t.equal(await unread(bob, alice), 0, 'cleared')
})

test('friends hear of new keys, and a removed user of their removal before their streams close', async (t) => {
  const { online, user, env } = await startMessage(t, { env: { STREAM_GRACE_MS: '300' } })
  const publish = eventPublisher(t, env)
  user.friends.push(10000, bob, carol)
  const [a, b, c] = [await online(alice), await online(bob), await online(carol)]
  const at = Date.now()
  await publish(messageKeysChanged, alice, { userId: alice, at })
  await eventually(() => [a, b, c].every(({ messages }) => messages.length === 1))
  const told = [a, b, c].map(({ messages }) => JSON.parse(messages[0]!.body))
  const keys = { type: 803, fromUserId: String(alice), content: 'dhPublicKey,rsaPublicKey' }
  t.match(told, [
    { type: 801, toUserId: String(alice) },
    { ...keys, toUserId: String(bob) },
    { ...keys, toUserId: String(carol) },
  ])
  user.contacts.set(alice, { exists: 0, status: -1 })
  const erasedAt = Date.now()
  await publish(userDeleted, alice, { userId: alice, nickname: 'alice', at: erasedAt })
  await eventually(() => a.messages.length === 2)
  t.match(JSON.parse(a.messages[1]!.body), { type: 512, objectId: String(alice), toUserName: 'alice' })
  await eventually(() => a.closedWith === 'not-authorized')
})
