import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { messageArchived } from '@im/contracts/message'
import { connectMongo } from '@im/service-kit'
import { dropNamespace, eventPublisher, eventually, testEnv } from '@im/service-kit/testing'
import { test } from 'tap'
import { startFcm } from './providers/fcm-server.ts'
import { alice, bob, neighbours, startNeighbours } from './start-push.ts'

const main = join(import.meta.dirname, '../src/main.ts')
const [people, messages] = [20, 150]

test('whatever is killed in the middle, every message is pushed, and a second one takes the place of the first', async (t) => {
  const fcm = await startFcm(t)
  const state = neighbours()
  const own = testEnv({ LIMIT_FACTOR: '0', PUSH_DELAY: '0.2', LOG_LEVEL: 'error', PORT: '0', ...fcm.env })
  const url = await startNeighbours(t, state, own)
  const env: Record<string, string> = { ...own, USER_URL: url, SOCIAL_URL: url, ROOM_URL: url, MESSAGE_URL: url }
  const { MONGODB_URL: mongodbUrl = '', NAMESPACE: namespace = '' } = env
  const { db, close } = await connectMongo({ url: mongodbUrl, namespace, service: 'push' })
  const processes: ChildProcess[] = []
  t.after(async () => {
    for (const { pid, exitCode, signalCode } of processes)
      if (pid && exitCode === null && signalCode === null) process.kill(pid, 'SIGKILL')
    await close()
    await dropNamespace(env)
  })
  function start(): ChildProcess {
    const child = spawn(process.execPath, [main], { env: { ...process.env, ...env }, stdio: 'inherit' })
    processes.push(child)
    return child
  }
  async function end(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  let current = start()
  const finished = { finishedAt: { $exists: true } }
  await eventually(async () => (await db.collection('catch_ups').countDocuments(finished)) === 3, 30_000)
  const registeredAt = new Date()
  await db.collection<{ _id: string }>('tokens').insertMany(
    Array.from({ length: people }, (_, n) => ({
      ...{ _id: `token-of-${n}`, userId: bob + n, device: 'android', provider: 'fcm', token: fcm.token(n) },
      ...{ isForCalls: false, registeredAt },
    })),
  )
  const publish = eventPublisher(t, env)
  const isShown = (id: string) => fcm.shown.some(({ data }) => data['messageId'] === id)
  const ids: string[] = []
  for (let n = 0; n < messages; n++) {
    const [id, to] = [n.toString(16).padStart(32, '0'), bob + (n % people)]
    ids.push(id)
    state.texts.set(id, { text: `number ${n}` })
    const arrivedAt = Date.now()
    const facts = { contentType: 1, timeSend: Math.floor(arrivedAt / 1000), arrivedAt, isEncrypt: false }
    const message = { messageId: id, conversation: `u:${alice}:${to}`, from: alice, to, ...facts }
    await publish(messageArchived, 'log:1', { messages: [message] })
    await delay(5)
    if (n % 50 !== 49) continue
    // While some are shown and some are not.
    await eventually(() => isShown(ids[n - 40]!), 30_000)
    await end(current, 'SIGKILL')
    current = start()
  }
  await eventually(() => ids.every(isShown), 60_000)
  const tags = (id: string) =>
    fcm.shown
      .filter(({ data }) => data['messageId'] === id)
      .map(({ more }) => (more as { notification: { tag: string } }).notification.tag)
  t.ok(ids.every((id) => new Set(tags(id)).size === 1))
  t.ok(
    ids.every((id) => tags(id).length <= 4),
    'once more for each death at most',
  )
  const badges = await db.collection<{ _id: number; count: number }>('badges').find().toArray()
  const counts = Array.from({ length: people }, (_, n) => badges.find(({ _id }) => _id === bob + n)?.count)
  const sentTo = (person: number) => ids.filter((_, n) => n % people === person).length
  t.strictSame(
    counts,
    counts.map((_, n) => sentTo(n)),
    'the number on the icon counts each message once',
  )
  t.same(fcm.problems, [])
  await end(current, 'SIGTERM')
})
