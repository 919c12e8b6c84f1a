import { messageRecalled, roomMessagesPassed } from '@im/contracts/message'
import { badges, pushTokens } from '@im/contracts/push'
import {
  memberChanged,
  memberDoNotDisturbChanged,
  memberLeft,
  membersJoined,
  noticePublished,
  roomChanged,
  roomCreated,
  roomDissolved,
} from '@im/contracts/room'
import { friendRowChanged } from '@im/contracts/social'
import { userDeleted } from '@im/contracts/user'
import { causedId, eraseAgainAfter } from '@im/service-kit'
import { collectionsWith, eventually, expiriesIn, startService, watchQueries } from '@im/service-kit/testing'
import { test } from 'tap'
import { pushId } from '../src/pushes/push-document.ts'
import { service } from '../src/service.ts'
import { alice, bob, carol, startPush } from './start-push.ts'

const roomId = 'a'.repeat(24)
const jid = 'b'.repeat(32)
const room = {
  ...{ roomId, jid, name: '周末', ownerId: alice, locked: 0, talkTime: 0, isAttritionNotice: 1, showRead: 0 },
  ...{ isLook: 1, isNeedVerify: 0, showMember: 1, allowSendCard: 1, allowInviteFriend: 1, allowUploadFile: 1 },
  ...{ allowConference: 1, allowSpeakCourse: 1, maxUserSize: 1000, chatRecordTimeOut: -1 },
}
const member = (userId: number, name: string) => ({ userId, name, role: 3, talkTime: 0, joinedAt: 1 })

/** Each of the three has one device, with the token `a`, `b` or `c`. */
async function registerAll(api: Awaited<ReturnType<typeof startPush>>['api']): Promise<void> {
  for (const [userId, token] of [
    [alice, 'a'],
    [bob, 'b'],
    [carol, 'c'],
  ] as const)
    await api.call(pushTokens.registerFcm, { token }, { as: userId })
}

test('members who are away are told what is said in a room, under the names they know', async (t) => {
  const push = await startPush(t, {
    prepare: (state) => {
      const members = [alice, bob, carol].map((userId) => ({ userId, offlineNoPushMsg: userId === carol ? 1 : 0 }))
      state.rooms.push({
        aggregate: roomId,
        sequence: 0,
        data: { roomId, jid, name: '周末', dissolved: false, members },
      })
      const remark = { remarkName: '老板', offlineNoPushMsg: 1 }
      state.relations.push({
        ...{ aggregate: `${alice}:${bob}`, sequence: 0, data: { low: alice, high: bob, ofHigh: remark } },
      })
    },
  })
  const { api, channels, say, publish, deps, state } = push
  await registerAll(api)
  const id = await say(alice, jid, { text: 'who comes?' })
  await eventually(() => channels.on('b').length === 1)
  t.match(channels.on('b'), [
    {
      ...{ title: '周末', body: '老板(周末):who comes?', threadId: jid },
      data: { isGroup: '1', roomJid: jid, roomId, to: jid, fromUserName: '老板', from: String(alice), messageId: id },
    },
  ])
  t.same([channels.on('a').length, channels.on('c').length], [0, 0], 'not the sender, not who muted the room')

  await say(alice, jid, { text: 'you, too', mentioned: [carol] })
  await say(alice, jid, { text: 'all', mentionsAll: true })
  await eventually(() => channels.on('b').length === 3 && channels.on('c').length === 1)
  t.same(
    channels.on('c').map(({ body }) => body),
    ['alice(周末):[有人@我]you, too'],
    'a mention of them is pushed',
  )
  t.match(channels.on('b').at(-1), { body: '老板(周末):[有全体消息]all' })

  const about = { room, by: { userId: alice, name: 'alice' }, at: Date.now() }
  await publish(memberChanged, roomId, {
    ...{ ...about, member: member(alice, '组长'), roleBefore: 1, changed: ['nickname'] },
  })
  await publish(memberDoNotDisturbChanged, roomId, { roomId, jid, userId: carol, offlineNoPushMsg: 0, at: Date.now() })
  await publish(roomChanged, roomId, { ...about, room: { ...room, name: '周日' }, changed: ['name'] })
  await eventually(async () => (await deps.rooms.byJids([jid])).get(jid)?.name === '周日')
  state.present.add(bob)
  await say(alice, jid, { text: 'later' })
  await eventually(() => channels.on('c').length === 2)
  t.match(channels.on('c').at(-1), { title: '周日', body: '组长(周日):later' })
  t.equal(channels.on('b').length, 3, 'bob is there')
})

test('who joins, or comes back, is told nothing of what was said before', async (t) => {
  const joinedAt = Date.now() - 1000
  const push = await startPush(t, {
    prepare: (state) => {
      const members = [alice, bob].map((userId) => ({ userId, offlineNoPushMsg: 0, joinedAt: joinedAt / 1000 }))
      state.rooms.push({
        aggregate: roomId,
        sequence: 0,
        data: { roomId, jid, name: '周末', dissolved: false, members },
      })
    },
  })
  const { api, channels, say, publish, deps } = push
  await registerAll(api)
  await say(alice, jid, { text: 'before bob', arrivedAt: joinedAt - 1 })
  await say(alice, jid, { text: 'bob is here', arrivedAt: joinedAt })
  await eventually(() => channels.on('b').length === 1)
  t.match(channels.on('b'), [{ body: 'alice(周末):bob is here' }])

  const about = { room, by: { userId: alice, name: 'alice' } }
  const gone = { ...about, at: Date.now(), member: { userId: bob, name: 'bob' } }
  await publish(memberLeft, roomId, gone)
  const backAt = Date.now()
  const members = [member(bob, 'bob'), member(carol, 'carol')].map((one) => ({ ...one, joinedAt: backAt / 1000 }))
  await publish(membersJoined, roomId, { ...about, at: backAt, members })
  await eventually(async () => (await deps.rooms.membersOf([roomId])).get(roomId)?.length === 3)
  await say(alice, jid, { text: 'a secret', mentioned: [bob], mentionsAll: true, arrivedAt: backAt - 1 })
  await say(alice, jid, { text: 'welcome', arrivedAt: backAt })
  const shown = (token: string) => channels.on(token).map(({ body }) => body)
  await eventually(() => [shown('b'), shown('c')].every((all) => all.includes('alice(周末):welcome')))
  const pushes = deps.db.collection('pushes')
  await eventually(async () => (await pushes.countDocuments({ dueAt: { $exists: true } })) === 0)
  t.notOk([...shown('b'), ...shown('c')].some((body) => body.includes('secret')))
})

test('members are told what happens to them in a room', async (t) => {
  const { api, channels, publish } = await startPush(t)
  await registerAll(api)
  const about = () => ({ room, by: { userId: alice, name: 'alice' }, at: Date.now() })
  await publish(roomCreated, roomId, about())
  await publish(membersJoined, roomId, { ...about(), members: [member(alice, 'alice'), member(bob, 'bob')] })
  const carolJoins = { room, by: { userId: carol, name: 'carol' }, at: Date.now(), members: [member(carol, 'carol')] }
  await publish(membersJoined, roomId, carolJoins)
  await eventually(() => channels.on('b').length === 1)
  await publish(memberChanged, roomId, {
    ...{ ...about(), member: { ...member(bob, 'bob'), talkTime: 99, role: 2 }, roleBefore: 3 },
    changed: ['talkTime', 'role'],
  })
  await eventually(() => channels.on('b').length === 3)
  await publish(noticePublished, roomId, { ...about(), noticeId: 'n', text: 'x' })
  await eventually(() => channels.on('b').length === 4 && channels.on('c').length === 1)
  await publish(memberLeft, roomId, { ...about(), member: { userId: bob, name: 'bob' } })
  await eventually(() => channels.on('b').length === 5)
  await publish(roomDissolved, roomId, { ...about(), memberIds: [alice, carol] })
  await eventually(() => channels.on('c').length === 2)
  const told = channels.on('b').map(({ body }) => body)
  t.strictSame(
    [told[0], ...told.slice(1, 3).sort(), ...told.slice(3)],
    [
      'alice邀请你加入了群组',
      ...['alice你被禁言了', 'alice把你设为管理员'].sort(),
      'alice发布了群公告',
      'alice把你移出了群组',
    ],
  )
  t.strictSame(
    channels.on('c').map(({ body }) => body),
    ['alice发布了群公告', 'alice群组已被解散'],
  )
  t.same(channels.on('a').length, 0, 'nobody is told of what they did')
  t.match(channels.on('b')[0]?.data, { isGroup: '1', messageType: '907', roomId })
  const messageId = channels.on('b')[0]!.data['messageId']!
  t.equal(pushId({ conversation: `r:${jid}`, messageId, from: alice }), channels.on('b')[0]?.id)
  t.equal(causedId('e', 907, bob).length, messageId.length)
})

test('calls in a room and burnt messages are pushed to members who are away, with mentions', async (t) => {
  const { api, channels, publish } = await startPush(t, {
    prepare: (state) => {
      const members = [alice, bob, carol].map((userId) => ({ userId, offlineNoPushMsg: userId === carol ? 1 : 0 }))
      const data = { roomId, jid, name: '周末', dissolved: false, members }
      state.rooms.push({ aggregate: roomId, sequence: 0, data })
    },
  })
  await registerAll(api)
  await api.call(pushTokens.registerApns, { token: 'i', isVoip: 0 }, { as: bob })
  await api.call(pushTokens.registerApns, { token: 'v' }, { as: bob })
  const pass = (messageId: string, contentType: number, mentioned: number[] = [], isReadDel = false) => ({
    ...{ messageId, from: alice, roomJid: jid, contentType, timeSend: 1, arrivedAt: Date.now(), isEncrypt: false },
    ...{ isReadDel, mentioned, mentionsAll: false },
  })
  const messages = [pass('m1', 120), pass('m2', 1, [carol], true), pass('m3', 110), pass('m4', 111)]
  await publish(roomMessagesPassed, 'log:1', { messages })
  await publish(roomMessagesPassed, 'log:1', { messages })
  await eventually(
    () => channels.on('b').length === 3 && channels.on('c').length === 1 && channels.on('i').length === 2,
  )
  t.strictSame(
    new Set(channels.on('b').map(({ title, body }) => `${title} ${body}`)),
    new Set(['周末 alice邀请您加入语音会议', '周末 alice(周末):[点击查看T]', '周末 alice邀请您视频通话']),
  )
  t.match(channels.on('c'), [{ body: 'alice(周末):[有人@我][点击查看T]', data: { isGroup: '1', messageId: 'm2' } }])
  t.match(channels.on('v'), [{ kind: 'call', body: 'alice邀请您视频通话' }])
  t.same(channels.on('a'), [], 'not the caller')
})

test('an admin who recalls what was said in a room is not told of it: the others are', async (t) => {
  const { api, channels, say, publish, deps } = await startPush(t, {
    prepare: (state) => {
      const members = [alice, bob, carol].map((userId) => ({ userId, offlineNoPushMsg: 0 }))
      const data = { roomId, jid, name: '周末', dissolved: false, members }
      state.rooms.push({ aggregate: roomId, sequence: 0, data })
    },
  })
  await registerAll(api)
  const id = await say(alice, jid, { text: 'oops' })
  await eventually(() => channels.sent.length === 2)
  const conversation = `r:${jid}`
  await publish(messageRecalled, conversation, { conversation, messageIds: [id], by: bob, at: Date.now() })
  const withdrawals = deps.db.collection('pushes')
  await eventually(async () => await withdrawals.findOne({ withdraws: id, dueAt: { $exists: false } }))
  const shown = (token: string) => channels.on(token).map(({ kind, body }) => `${kind} ${body}`)
  t.strictSame(shown('c'), ['message alice(周末):oops', 'withdrawn bob(周末):撤回了一条消息'])
  t.strictSame([shown('a'), shown('b')], [[], ['message alice(周末):oops']])
})

test('a room of 1,000 absent members costs as many queries as one of two', async (t) => {
  const userIds = Array.from({ length: 1000 }, (_, n) => bob + 10 + n)
  const small = { id: 'c'.repeat(24), jid: 'c'.repeat(32), members: userIds.slice(0, 2) }
  const large = { id: 'd'.repeat(24), jid: 'd'.repeat(32), members: userIds }
  const { deps, channels, say, state } = await startPush(t, {
    prepare: (state) => {
      for (const { id, jid, members } of [small, large])
        state.rooms.push({
          ...{ aggregate: id, sequence: 0 },
          data: {
            ...{ roomId: id, jid, name: 'r', dissolved: false },
            members: members.map((userId) => ({ userId, offlineNoPushMsg: 0 })),
          },
        })
    },
  })
  await deps.people.put(
    [...userIds, alice].map((_id) => ({ _id, nickname: `n${_id}`, isMuted: false })),
    {} as never,
  )
  await deps.db.collection('tokens').insertMany(
    userIds.map((userId) => ({
      ...{ _id: `t${userId}`, userId, device: 'android', provider: 'fcm', token: `t${userId}`, isForCalls: false },
      registeredAt: new Date(),
    })) as never[],
  )
  const ofRepositories = ['tokens', 'badges', 'people', 'friend_rows', 'rooms', 'members']
  const cost = async (room: { jid: string; members: number[] }) => {
    const queries: string[] = []
    // The queue is looked at by a beat, and by this test: what of it depends on receivers is counted as documents below.
    const count = ({ command, commandName }: { command: Record<string, unknown>; commandName: string }) => {
      const collection = String(commandName === 'getMore' ? command['collection'] : command[commandName])
      if (ofRepositories.includes(collection)) queries.push(`${commandName} ${collection}`)
    }
    const [asked, sent] = [state.asked.length, channels.sent.length]
    deps.mongoClient.on('commandStarted', count)
    const id = await say(alice, room.jid)
    const pushed = await eventually(async () => {
      const [push] = await deps.db.collection('pushes').find({ messageId: id }).toArray()
      return push && !push['dueAt'] ? push : undefined
    }, 20_000)
    deps.mongoClient.off('commandStarted', count)
    t.equal(channels.sent.length - sent, room.members.length)
    t.equal(pushed['sent'].length, room.members.length)
    return { queries, asked: state.asked.slice(asked) }
  }
  const [few, many] = [await cost(small), await cost(large)]
  t.strictSame(many, few, 'the stores and other services are asked the same, and as often')
})

test('nothing is left of a user who is deleted', async (t) => {
  const { api, deps, env, publish } = await startPush(t, {
    prepare: (state) => {
      const member = { userId: bob, name: 'bobby', offlineNoPushMsg: 0 }
      state.rooms.push({
        ...{ aggregate: roomId, sequence: 0 },
        data: { roomId, jid, name: 'room', dissolved: false, members: [member] },
      })
      state.relations.push({
        ...{ aggregate: `${alice}:${bob}`, sequence: 0 },
        data: { low: alice, high: bob, ofLow: { remarkName: 'B', offlineNoPushMsg: 0 } },
      })
    },
  })
  await api.call(pushTokens.registerFcm, { token: 'f' }, { as: bob })
  await api.call(badges.setBadge, { num: 3 }, { as: bob })
  t.strictSame(await collectionsWith(deps.db, bob), ['badges', 'friend_rows', 'members', 'people', 'tokens'])
  await publish(userDeleted, bob, { userId: bob, nickname: 'bob', at: Date.now() })
  const left = () => collectionsWith(deps.db, bob)
  await eventually(async () => (await left()).join() === 'people')
  t.strictSame(await left(), ['people'], 'but that he was there')

  const row = { isOpenSnapchat: 0, isOpenTopChat: 0, chatRecordTimeOut: -1, at: Date.now() }
  const note = (userId: number, toUserId: number) =>
    publish(friendRowChanged, `${Math.min(userId, toUserId)}:${Math.max(userId, toUserId)}`, {
      ...{ userId, toUserId, remarkName: 'x', offlineNoPushMsg: 1, ...row },
    })
  await note(bob, alice)
  await note(alice, bob)
  await api.call(badges.setBadge, { num: 3 }, { as: bob })
  const handled = deps.db.collection<{ _id: string; last: number }>('handled_sequences')
  await eventually(() => handled.findOne({ _id: { $regex: `${alice}:${bob}` }, last: { $gt: 0 } }))
  t.strictSame(await eventually(async () => (await left()).length === 1 && (await left())), ['people'], 'nor later')
  await deps.badges.set(bob, 3)
  await startService(t, service, { env, overrides: { now: () => Date.now() + eraseAgainAfter } })
  await eventually(async () => (await left()).join() === 'people')
})

test('every query uses an index', async (t) => {
  const { api, deps, channels, say } = await startPush(t)
  const queries = watchQueries(deps)
  await api.call(pushTokens.registerFcm, { token: 'f' }, { as: bob })
  await say(alice, bob)
  await say(alice, jid)
  await eventually(() => channels.sent.length === 1)
  await deps.rooms.membersOf([roomId])
  await deps.pushes.recall('u:1:2', ['x'])
  const claim = deps.replicas.id
  await deps.pushes.renew(['x'], Date.now(), claim)
  await deps.pushes.settle([{ id: 'x', sent: ['d'], done: ['d'], next: 'never' }], claim)
  await deps.tokens.removeDead([{ id: 'x', since: 0 }])
  await deps.outbox.commit((change) => deps.friendRows.removeUser(bob, change))
  await deps.outbox.commit((change) => deps.rooms.removeUser(bob, change))
  await queries.demandIndexes(t)
  t.strictSame(await expiriesIn(deps.db), [
    'broadcasts endedAt + 15552000',
    'ended_sessions endedAt + 3600',
    'pushes expireAt + 0',
  ])
})
