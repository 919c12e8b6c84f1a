import { messageRecalled } from '@im/contracts/message'
import { pushTokens } from '@im/contracts/push'
import { StoreAwayError } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import type { Delivery } from '../src/providers/provider.ts'
import { service } from '../src/service.ts'
import { alice, bob, carol, type PushUnderTest, RecordedChannels, startPush } from './start-push.ts'

/** Calls for tokens that `isSlow` names end when `release` is called. */
function slowDown({ channels }: PushUnderTest, isSlow: (token: string) => boolean) {
  const { promise, resolve } = Promise.withResolvers<void>()
  const slow = { asked: 0, release: resolve }
  channels.answer = async (token) => {
    if (isSlow(token)) {
      slow.asked++
      await promise
    }
    return { kind: 'accepted' }
  }
  return slow
}

test('a message that is recalled while its provider is slow is replaced when it was shown after all', async (t) => {
  const push = await startPush(t)
  const { api, channels, say, publish, state } = push
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  const slow = slowDown(push, () => true)
  const id = await say(alice, bob, { text: 'secret' })
  await eventually(() => slow.asked === 1)
  const conversation = `u:${alice}:${bob}`
  state.texts.delete(id)
  await publish(messageRecalled, conversation, { conversation, messageIds: [id], by: alice, at: Date.now() })
  const pushes = push.deps.db.collection('pushes')
  // The withdrawal was looked at, and waits.
  await eventually(
    async () => (await pushes.countDocuments({ withdraws: id, tries: 1, claim: { $exists: false } })) === 1,
  )
  slow.release()
  const shown = await eventually(() => channels.on('f1').length === 2 && channels.on('f1'), 20_000)
  t.match(shown, [{ body: 'alice:secret' }, { kind: 'withdrawn', id: shown[0]?.id }])
})

test('a message that is recalled while one provider is in trouble goes from the devices of the others', async (t) => {
  const { api, channels, say, publish, deps } = await startPush(t)
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  await api.call(pushTokens.registerApns, { token: 'a1', isVoip: 0 }, { as: bob })
  channels.answer = (token) => (token === 'a1' ? { kind: 'slow', retryAfterMs: 3_000_000 } : { kind: 'accepted' })
  const id = await say(alice, bob, { text: 'oops' })
  const conversation = `u:${alice}:${bob}`
  await eventually(async () => (await deps.pushes.ofMessages(conversation, [id]))[0]?.waiting)
  await publish(messageRecalled, conversation, { conversation, messageIds: [id], by: alice, at: Date.now() })
  await eventually(() => channels.sent.length === 2)
  t.match(channels.sent, [{ token: 'f1' }, { token: 'f1', kind: 'withdrawn' }])
})

test('what waited long for its provider is looked at again at once: a recall and a logout take it out', async (t) => {
  const push = await startPush(t)
  const { api, channels, say, publish, deps } = push
  const people = [bob, carol, carol + 1]
  push.state.users.set(carol + 1, 'dave')
  for (const userId of people) await api.call(pushTokens.registerFcm, { token: `f${userId}` }, { as: userId })
  const { promise, resolve } = Promise.withResolvers<void>()
  const asked: string[] = []
  channels.answer = async (token) => {
    asked.push(token)
    if (asked.indexOf(token) < asked.length - 1) return { kind: 'accepted' }
    await promise
    return { kind: 'late', retryAfterMs: 0 }
  }
  const ids = await Promise.all(people.map((userId) => say(alice, userId)))
  await eventually(() => asked.length === 3)
  const conversation = `u:${alice}:${bob}`
  await publish(messageRecalled, conversation, { conversation, messageIds: [ids[0]!], by: alice, at: Date.now() })
  await eventually(async () => (await deps.pushes.ofMessages(conversation, [ids[0]!]))[0]?.isRecalled)
  await deps.tokens.removeUser(carol)
  resolve()
  await eventually(() => channels.sent.length > 0)
  const pushes = deps.db.collection('pushes')
  await eventually(async () => (await pushes.countDocuments({ dueAt: { $exists: true } })) === 0)
  t.strictSame(
    channels.sent.map(({ token }) => token),
    [`f${carol + 1}`],
  )
})

test('a provider that does not answer holds no other one up, and no second replica takes what the first has claimed', async (t) => {
  const roomId = 'a'.repeat(24)
  const jid = 'b'.repeat(32)
  const people = Array.from({ length: 4500 }, (_, n) => 10_100_000 + n)
  const push = await startPush(t, {
    prepare: (state) => {
      const members = [alice, ...people].map((userId) => ({ userId, offlineNoPushMsg: 0 }))
      for (const userId of people) state.users.set(userId, `n${userId}`)
      const data = { roomId, jid, name: 'big', dissolved: false, members }
      state.rooms.push({ aggregate: roomId, sequence: 0, data })
    },
  })
  const { api, channels, say, deps, env } = push
  const registeredAt = new Date()
  await deps.db.collection<{ _id: string }>('tokens').insertMany(
    people.map((userId) => ({
      ...{ _id: `x${userId}`, userId, device: 'android', provider: 'xiaomi', token: `x${userId}`, isForCalls: false },
      registeredAt,
    })),
  )
  for (const userId of [bob, carol])
    await api.call(pushTokens.registerApns, { token: `i${userId}`, isVoip: 0 }, { as: userId })
  const slow = slowDown(push, (token) => token.startsWith('x'))
  await say(alice, jid, { text: 'to all' })
  await say(alice, bob, { text: 'in the same moment' })
  await eventually(() => slow.asked > 0, 30_000)
  await say(alice, carol, { text: 'later' })
  await eventually(() => channels.on(`i${bob}`).length === 1 && channels.on(`i${carol}`).length === 1, 20_000)
  t.equal(channels.on('x10100000').length, 0)
  const other = await service.start(env, { channels })
  t.after(() => other.close())
  slow.release()
  await eventually(() => channels.sent.length === people.length + 2, 30_000)
  t.equal(new Set(channels.sent.map(({ token }) => token)).size, people.length + 2, 'each once')
})

test('what a process learns after it stood still is not sent again by itself', async (t) => {
  let ahead = 0
  const push = await startPush(t, { overrides: { now: () => Date.now() + ahead } })
  const { api, channels, say, deps } = push
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  const slow = slowDown(push, () => true)
  const id = await say(alice, bob)
  await eventually(() => slow.asked === 1)
  // Its claim has run out; the answer of the provider and the next look at the queue come together.
  ahead = 11_000
  slow.release()
  deps.pushWorker.wake(0)
  await eventually(async () => {
    const [row] = await deps.pushes.ofMessages(`u:${alice}:${bob}`, [id])
    return row && !row.dueAt
  })
  t.equal(channels.on('f1').length, 1)
})

test('what a provider took while the database was away is noted when it is back, and not sent again', async (t) => {
  let ahead = 0
  const push = await startPush(t, { overrides: { now: () => Date.now() + ahead } })
  const { api, channels, say, deps } = push
  const tokens = ['f1', 'a1']
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  await api.call(pushTokens.registerApns, { token: 'a1', isVoip: 0 }, { as: bob })
  const { pushes } = deps
  const settle = pushes.settle.bind(pushes)
  let failures = 0
  pushes.settle = async (...given) => {
    if (given[0].length && failures < 3) {
      failures++
      throw new StoreAwayError('MongoDB', 'it was frozen')
    }
    await settle(...given)
  }
  channels.answer = (token) =>
    token === 'a1' && ahead === 0 ? { kind: 'retry', retryAfterMs: 0 } : { kind: 'accepted' }
  const id = await say(alice, bob)
  await eventually(() => failures > 0)
  // The claim runs out meanwhile.
  ahead = 11_000
  deps.pushWorker.wake(0)
  await eventually(async () => {
    const [row] = await pushes.ofMessages(`u:${alice}:${bob}`, [id])
    return row && !row.dueAt
  }, 20_000)
  t.equal(failures, 3)
  t.strictSame(channels.sent.map(({ token }) => token).sort(), tokens.sort(), 'each once')
})

test('a replica whose clock is ahead takes nothing from one that lives, and keeps what it took from one that is gone', async (t) => {
  const push = await startPush(t)
  const { api, say, deps, env } = push
  for (const userId of [bob, carol]) await api.call(pushTokens.registerFcm, { token: `f${userId}` }, { as: userId })
  const { promise, resolve } = Promise.withResolvers<Delivery>()
  let asked = 0
  push.channels.answer = (token) => {
    if (token !== `f${bob}`) return { kind: 'accepted' }
    asked++
    return promise
  }
  const id = await say(alice, bob)
  await eventually(() => asked === 1)
  const channels = new RecordedChannels()
  const other = await service.start({ ...env, PORT: '0' }, { channels, now: () => Date.now() + 11_000 })
  t.after(() => other.close())
  const toCarol = () => [...push.channels.sent, ...channels.sent].filter(({ token }) => token === `f${carol}`)
  const row = async () => (await deps.pushes.ofMessages(`u:${alice}:${bob}`, [id]))[0]
  await say(alice, carol)
  await eventually(() => toCarol().length === 1)
  t.match(await row(), { tries: 1 }, 'the first is at work')
  // It no longer says that it lives.
  await deps.replicas.close()
  await eventually(() => channels.on(`f${bob}`).length === 1, 20_000)
  await eventually(async () => !(await row())?.dueAt)
  resolve({ kind: 'retry', retryAfterMs: 0 })
  await say(alice, carol)
  await eventually(() => toCarol().length === 2, 20_000)
  t.equal((await row())?.dueAt, undefined, 'what the first learned too late begins nothing anew')
})

test('a provider that asks for a wait without end is asked again when the message is too old, and nobody looks for it meanwhile', async (t) => {
  const push = await startPush(t)
  const { api, channels, say, deps } = push
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  channels.answer = () => ({ kind: 'slow', retryAfterMs: 1e23 })
  let looks = 0
  const claim = deps.pushes.claim.bind(deps.pushes)
  deps.pushes.claim = (...given) => {
    looks++
    return claim(...given)
  }
  const arrivedAt = Date.now()
  const id = await say(alice, bob, { arrivedAt })
  const row = await eventually(async () => {
    const [found] = await deps.pushes.ofMessages(`u:${alice}:${bob}`, [id])
    return found?.waiting && found
  })
  t.equal(row.dueAt?.getTime(), arrivedAt + 3_600_000)
  const [begin, before] = [performance.now(), looks]
  await eventually(() => looks >= before + 4)
  t.ok(performance.now() - begin > 2000, 'once a second')
})
