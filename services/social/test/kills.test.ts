import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { friendChanged } from '@im/contracts/social'
import { connectMongo } from '@im/service-kit'
import { dropNamespace, eventPublisher, eventually, testEnv } from '@im/service-kit/testing'
import { test } from 'tap'
import { addUser, startNeighbours } from './start-social.ts'

const main = join(import.meta.dirname, '../src/main.ts')
const [account, alice, bob] = [10000101, 10000102, 10000103]

test('who is killed between the count of an answer and its sending sends it when it is back', async (t) => {
  const others = await startNeighbours()
  addUser(others.users, account, 'news', { userType: 2, telephone: undefined })
  for (const [userId, name] of [
    [alice, 'alice'],
    [bob, 'bob'],
  ] as const)
    addUser(others.users, userId, name, {})
  const own = testEnv({ LIMIT_FACTOR: '1', LOG_LEVEL: 'error', PORT: '0' })
  const urls = { USER_URL: others.url, MESSAGE_URL: others.url, PUSH_URL: others.url }
  const env: Record<string, string> = { ...own, ...urls }
  const { MONGODB_URL: url = '', NAMESPACE: namespace = '' } = env
  const { db, close } = await connectMongo({ url, namespace, service: 'social' })
  const processes: ChildProcess[] = []
  t.after(async () => {
    for (const { pid, exitCode, signalCode } of processes)
      if (pid && exitCode === null && signalCode === null) process.kill(pid, 'SIGKILL')
    others.close()
    await close()
    await dropNamespace(env)
  })
  function start(): ChildProcess {
    const child = spawn(process.execPath, [main], { env: { ...process.env, ...env }, stdio: 'inherit' })
    processes.push(child)
    return child
  }

  const path = '/internal/messages/send'
  const sent: { receivers: { userId: number }[] }[] = []
  let isStalled = true
  others.answers[path] = (message: (typeof sent)[number]) => {
    if (!isStalled) sent.push(message)
    return { sent: 1, known: 0 }
  }
  others.beforeAnswer = async (asked) => {
    if (asked === path && isStalled) await new Promise(() => {})
  }

  const first = start()
  const people = db.collection<{ _id: number }>('people')
  await eventually(async () => (await people.countDocuments({ _id: { $in: [account, alice, bob] } })) === 3, 60_000)
  await db
    .collection<{ _id: number; welcome: string; replies: [] }>('account_replies')
    .insertOne({ _id: account, welcome: 'hello', replies: [] })
  const publish = eventPublisher(t, env)
  const follow = (userId: number) =>
    publish(friendChanged, userId, {
      ...{ userId, toUserId: account, status: 1, toStatus: 0, how: 'followed', at: Date.now() },
    })
  await follow(alice)
  // The count stands, and the message has not been taken.
  await eventually(() => others.asked.includes(path), 30_000)
  const ended = once(first, 'exit')
  first.kill('SIGKILL')
  await ended
  isStalled = false
  start()
  await eventually(() => sent.length === 1, 60_000)
  t.match(sent[0]?.receivers, [{ userId: alice }])
  await follow(alice)
  await follow(bob)
  await eventually(() => sent.some(({ receivers }) => receivers[0]?.userId === bob), 30_000)
  t.equal(sent.filter(({ receivers }) => receivers[0]?.userId === alice).length, 1, 'still once a day')
})
