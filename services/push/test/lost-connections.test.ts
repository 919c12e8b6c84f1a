import { messageRecalled, presencesChanged, roomMessagesPassed } from '@im/contracts/message'
import { pushTokens } from '@im/contracts/push'
import { noticePublished } from '@im/contracts/room'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, carol, type PushUnderTest, startPush } from './start-push.ts'

const goOffline = async ({ state, publish }: PushUnderTest, userId: number) => {
  state.present.delete(userId)
  await publish(presencesChanged, 'server', { changes: [{ userId, online: false, at: Date.now() }] })
}

test('who seemed to be online is told of what came then, once their connection counts as lost', async (t) => {
  const push = await startPush(t)
  const { api, channels, say, state } = push
  for (const userId of [bob, carol]) await api.call(pushTokens.registerFcm, { token: `f${userId}` }, { as: userId })
  state.present.add(bob)
  const asked = () => state.asked.filter((path) => path === 'present').length
  await say(alice, bob, { text: 'lost' })
  await say(alice, bob, { text: 'too old', arrivedAt: Date.now() - 3_700_000 })
  await eventually(() => asked() > 0)
  await say(alice, carol, { text: 'to another' })
  await eventually(() => channels.on(`f${carol}`).length === 1)
  t.strictSame(channels.on(`f${bob}`), [])
  await goOffline(push, bob)
  await eventually(() => channels.on(`f${bob}`).length === 1)
  t.match(channels.on(`f${bob}`), [{ body: 'alice:lost', badge: 1 }])

  await goOffline(push, bob)
  await goOffline(push, alice)
  await say(alice, bob, { text: 'next' })
  await eventually(() => channels.on(`f${bob}`).length === 2)
  t.match(channels.on(`f${bob}`)[1], { body: 'alice:next', badge: 2 })
  const questions = state.asked.filter((path) => path === 'unconfirmed')
  await goOffline(push, bob)
  await eventually(() => state.asked.filter((path) => path === 'unconfirmed').length > questions.length)
  await say(alice, carol, { text: 'last' })
  await eventually(() => channels.on(`f${carol}`).length === 2)
  t.equal(channels.on(`f${bob}`).length, 2, 'once')
})

test('who came back in the moment before a push and was lost again is told', async (t) => {
  const push = await startPush(t, { env: { PUSH_DELAY: '3' } })
  const { api, channels, say, state, deps } = push
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  const id = await say(alice, bob, { text: 'between' })
  const row = async () => (await deps.pushes.ofMessages(`u:${alice}:${bob}`, [id]))[0]
  await eventually(async () => (await row()) !== undefined)
  state.present.add(bob)
  await eventually(async () => !(await row())?.dueAt)
  t.strictSame(channels.sent, [])
  await goOffline(push, bob)
  await eventually(() => channels.on('f1').length === 1)
  t.match(channels.on('f1'), [{ body: 'alice:between', badge: 1 }])
})

const [roomId, jid] = ['a'.repeat(24), 'b'.repeat(32)]

/** The service with a room of the three, each with a device, where bob and carol seem to be online. */
async function startRoom(t: Parameters<typeof startPush>[0]) {
  const push = await startPush(t, {
    prepare: (state) => {
      const members = [alice, bob, carol].map((userId) => ({ userId, offlineNoPushMsg: 0 }))
      const data = { roomId, jid, name: '周末', dissolved: false, members }
      state.rooms.push({ aggregate: roomId, sequence: 0, data })
    },
  })
  for (const userId of [alice, bob, carol])
    await push.api.call(pushTokens.registerFcm, { token: `f${userId}` }, { as: userId })
  push.state.present.add(bob).add(carol)
  const isHandled = async (id: string) => {
    const [row] = await push.deps.pushes.ofMessages(`r:${jid}`, [id])
    return row !== undefined && !row.dueAt
  }
  /** Who was looked at is not told any more. */
  const handled = (...ids: string[]) =>
    eventually(async () => (await Promise.all(ids.map(isHandled))).every((is) => is), 20_000)
  return { ...push, handled, on: (userId: number) => push.channels.on(`f${userId}`) }
}

test('what was said in rooms to a lost connection is told to its user alone, once, and may be recalled', async (t) => {
  const push = await startRoom(t)
  const { say, state, publish, handled, on, channels } = push
  const [first, second] = [await say(alice, jid, { text: 'first' }), await say(alice, jid, { text: 'second' })]
  const own = await say(bob, jid, { text: 'of bob' })
  const [old, recalled] = [
    await say(alice, jid, { arrivedAt: Date.now() - 3_590_000 }),
    await say(alice, jid, { text: 'recalled before' }),
  ]
  await handled(first, second, own, old, recalled)
  t.strictSame(
    channels.sent.map(({ token, body }) => [token, body]),
    [[`f${alice}`, 'bob(周末):of bob']],
  )
  await publish(messageRecalled, `r:${jid}`, {
    conversation: `r:${jid}`,
    ...{ messageIds: [recalled], by: alice, at: Date.now() },
  })
  await eventually(async () => (await push.deps.pushes.ofMessages(`r:${jid}`, [recalled]))[0]?.isRecalled)
  await push.deps.db.collection('pushes').updateOne({ messageId: old }, { $set: { arrivedAt: Date.now() - 3_700_000 } })

  state.missedInRooms.set(bob, [second, own, old, recalled, 'unknown'])
  await goOffline(push, bob)
  await eventually(() => on(bob).length === 1)
  t.match(on(bob), [{ body: 'alice(周末):second', badge: 1, title: '周末', data: { messageId: second, roomJid: jid } }])
  // Told again, by the same event or another, it is the same.
  await goOffline(push, bob)
  const last = await say(alice, jid, { text: 'last' })
  await eventually(() => on(bob).length === 2)
  await handled(last, second)
  t.match(on(bob).at(-1), { body: 'alice(周末):last', badge: 2 })
  t.strictSame(on(carol), [], 'who has confirmed it hears nothing')

  await publish(messageRecalled, `r:${jid}`, {
    conversation: `r:${jid}`,
    ...{ messageIds: [second], by: alice, at: Date.now() },
  })
  await eventually(() => on(bob).length === 3)
  t.equal(on(bob)[2]?.id, on(bob)[0]?.id, 'it takes the place of what was shown')
  t.match(on(bob)[2], { kind: 'withdrawn' })
})

test('who goes while a message of a room is under way is told of it once', async (t) => {
  const push = await startRoom(t)
  const { say, state, channels, handled, on } = push
  let release = () => {}
  const gate = new Promise<void>((resolve) => (release = resolve))
  channels.answer = async (token) => {
    if (token === `f${carol}`) await gate
    return { kind: 'accepted' }
  }
  state.present.delete(carol)
  state.present.delete(bob)
  const id = await say(alice, jid, { text: 'both' })
  await eventually(() => on(bob).length === 1)
  state.missedInRooms.set(bob, [id])
  await goOffline(push, bob)
  const again = async () => (await push.deps.pushes.progressOf([id])).find(({ shownAs }) => shownAs)
  await eventually(async () => (await again()) !== undefined)
  release()
  await eventually(() => on(carol).length === 1)
  await handled(id)
  await eventually(async () => !(await again())?.dueAt, 20_000)
  t.equal(on(bob).length, 1)
})

test('who has missed what was said in a room is told while the provider of another member is in trouble', async (t) => {
  const push = await startRoom(t)
  const { say, state, channels, on, deps } = push
  const ofCarol = `f${carol}`
  let isBusy = true
  channels.answer = (token) =>
    token === ofCarol && isBusy ? { kind: 'slow', retryAfterMs: 3_000_000 } : { kind: 'accepted' }
  state.present.delete(carol)
  const id = await say(alice, jid, { text: 'hello' })
  const row = async () => (await deps.pushes.progressOf([id])).find(({ shownAs }) => !shownAs)
  await eventually(async () => (await row())?.waiting)
  for (const userId of [bob, carol]) {
    state.missedInRooms.set(userId, [id])
    await goOffline(push, userId)
  }
  await eventually(() => on(bob).length === 1)
  await eventually(async () => (await deps.pushes.progressOf([id])).filter(({ dueAt }) => !dueAt).length === 2)
  t.equal(on(carol).length, 0)
  isBusy = false
  await deps.db
    .collection('pushes')
    .updateOne({ messageId: id, waiting: { $exists: true } }, { $set: { dueAt: new Date() } })
  deps.pushWorker.wake(0)
  await eventually(() => on(carol).length === 1)
  t.equal(on(bob).length, 1)
})

test('what happened in rooms is told after all, calls as long as they ring', async (t) => {
  const push = await startRoom(t)
  const { state, publish, handled, on } = push
  const call = (messageId: string, contentType: number, age: number) => {
    const arrivedAt = Date.now() - age
    const time = { timeSend: Math.floor(arrivedAt / 1000), arrivedAt }
    return { messageId, from: alice, contentType, ...time, isEncrypt: false, isReadDel: false }
  }
  const inRoom = { roomJid: jid, mentioned: [], mentionsAll: false }
  await publish(roomMessagesPassed, 'log:1', {
    messages: [
      { ...call('rings', 115, 0), ...inRoom },
      { ...call('rang', 120, 61_000), ...inRoom },
    ],
  })
  const room = {
    ...{ roomId, jid, name: '周末', ownerId: alice, locked: 0, talkTime: 0, isAttritionNotice: 1, showRead: 0 },
    ...{ isLook: 1, isNeedVerify: 0, showMember: 1, allowSendCard: 1, allowInviteFriend: 1, allowUploadFile: 1 },
    ...{ allowConference: 1, allowSpeakCourse: 1, maxUserSize: 1000, chatRecordTimeOut: -1 },
  }
  await publish(noticePublished, roomId, {
    ...{ room, by: { userId: alice, name: 'alice' }, at: Date.now(), noticeId: 'c'.repeat(24), text: 'hear' },
  })
  const rows = () => push.deps.db.collection('pushes').find({ contentType: 905 }).toArray()
  await eventually(async () => (await rows()).length === 1)
  const notice = String((await rows())[0]?.['messageId'])
  await handled('rings', 'rang', notice)
  state.missedInRooms.set(bob, ['rings', 'rang', notice])
  // A call of two that rang out is told by what says so.
  state.unconfirmedCalls.set(bob, [{ ...call('missed', 103, 120_000), to: bob }])
  await goOffline(push, bob)
  await eventually(() => on(bob).length === 3)
  t.strictSame(
    on(bob)
      .map(({ body }) => body)
      .sort(),
    ['alice取消了语音通话', 'alice发布了群公告', 'alice邀请您加入视频会议'].sort(),
  )
})

test('while the message service is of a build that cannot say what was missed, nothing else waits for that', async (t) => {
  const push = await startPush(t)
  const { api, channels, say, state } = push
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  state.present.add(bob)
  await say(alice, bob, { text: 'lost' })
  await eventually(() => state.asked.includes('present'))
  state.isOld = true
  const questions = () => state.asked.filter((path) => path === 'unconfirmed').length
  for (let n = 0; n < 5; n++) await goOffline(push, bob)
  await eventually(() => questions() === 5, 5000)
  await say(alice, bob, { text: 'next' })
  await eventually(() => channels.on('f1').length === 1)
  t.match(channels.on('f1'), [{ body: 'alice:next' }], 'as before, what was lost is told to nobody')
  t.equal(questions(), 5, 'each is asked once')
})
