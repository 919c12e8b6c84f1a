/** Messages from their archive to a local APNs, through the push service; see ../README.md. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { messageArchived } from '@im/contracts/message'
import { startServers } from '@im/dev/servers'
import { eventPublisher, eventually } from '@im/service-kit/testing'
import { MongoClient } from 'mongodb'
import type { Test } from 'tap'
import { startApns, topic } from '../../services/push/test/providers/apns-server.ts'
import { alice, bob, neighbours, startNeighbours } from '../../services/push/test/start-push.ts'
import { machine } from './machine.ts'
import { latencyOf } from './percentiles.ts'
import { cpuSeconds } from './process-usage.ts'

const usage = `npm run bench:push -- [options]

  --rate N       messages a second, each to one offline iPhone  (500)
  --seconds N    for how long                                   (20)
  --users N      receivers                                      (5000)
  --json FILE    also write everything as JSON

Exit code 1 when a message was not pushed, was pushed twice, or the target was missed.`

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '20' },
    users: { type: 'string', default: '5000' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const rate = Number(values.rate)
const seconds = Number(values.seconds)
const users = Number(values.users)
/** From the archive to the provider, the deliberate wait of a second included (ms). */
const target = 1500
/** The message service stores in batches, too. */
const batchEvery = 20

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'im-bench-'))
  const servers = await startServers({
    dataDir: folder,
    ports: 'free',
    env: process.env,
    servers: ['mongodb', 'redis', 'nats'],
  })
  const ends: (() => unknown)[] = []
  // What helpers of tests ask of a test: to be ended.
  const t = { after: (end: () => unknown) => ends.push(end) } as unknown as Test
  const mongo = await new MongoClient(servers.env['MONGODB_URL'] ?? '').connect()
  let service: ChildProcess | undefined
  try {
    const apns = await startApns(t)
    const state = neighbours()
    const own = { ...servers.env, NAMESPACE: 'bench', LOG_LEVEL: 'error', PORT: '0' }
    const url = await startNeighbours(t, state, { SERVICE_KEY: 'development-service-key' })
    const env = { ...own, ...apns.env, USER_URL: url, SOCIAL_URL: url, ROOM_URL: url, MESSAGE_URL: url }
    const main = join(import.meta.dirname, '../../services/push/src/main.ts')
    service = spawn(process.execPath, [main], { env: { ...process.env, ...env }, stdio: 'inherit' })
    const db = mongo.db('bench_push')
    const finished = { finishedAt: { $exists: true } }
    await eventually(async () => (await db.collection('catch_ups').countDocuments(finished)) === 3, 60_000)
    await db.collection<{ _id: string }>('tokens').insertMany(
      Array.from({ length: users }, (_, n) => ({
        ...{ _id: `token-of-${n}`, userId: bob + n, device: 'ios', provider: 'apns', token: apns.token(n), app: topic },
        ...{ isForCalls: false, registeredAt: new Date() },
      })),
    )
    await db.collection<{ _id: number }>('people').insertMany(
      Array.from({ length: users }, (_, n) => ({ _id: bob + 2 + n, nickname: `n${n}`, isMuted: false })),
      { ordered: false },
    )

    const shownAt = new Map<string, number[]>()
    apns.shown.push = (...shown) => {
      for (const { data } of shown) {
        const id = data['messageId'] ?? ''
        shownAt.set(id, [...(shownAt.get(id) ?? []), Date.now()])
      }
      return shown.length
    }
    const publish = eventPublisher(t, env)
    const archivedAt = new Map<string, number>()
    const perBatch = Math.max(1, Math.round((rate * batchEvery) / 1000))
    const cpuBefore = await cpuSeconds(service.pid ?? 0)
    const startedAt = performance.now()
    const publishing: Promise<void>[] = []
    for (let n = 0; n < rate * seconds; n += perBatch) {
      const wait = startedAt + (n * 1000) / rate - performance.now()
      if (wait > 1) await delay(wait)
      const messages = Array.from({ length: perBatch }, (_, k) => {
        const messageId = (n + k).toString(16).padStart(32, '0')
        const to = bob + ((n + k) % users)
        const arrivedAt = Date.now()
        archivedAt.set(messageId, arrivedAt)
        state.texts.set(messageId, { text: `message ${n + k}` })
        const facts = { contentType: 1, timeSend: Math.floor(arrivedAt / 1000), arrivedAt, isEncrypt: false }
        return { messageId, conversation: `u:${alice}:${to}`, from: alice, to, ...facts }
      })
      publishing.push(publish(messageArchived, 'log:1', { messages }))
    }
    await Promise.all(publishing)
    await eventually(() => shownAt.size >= archivedAt.size, 60_000).catch(() => {})
    const cpu = ((await cpuSeconds(service.pid ?? 0)) - cpuBefore) / (archivedAt.size / 1000)

    const latency = latencyOf([...shownAt].map(([id, [at = 0]]) => at - (archivedAt.get(id) ?? 0)))
    const lost = archivedAt.size - shownAt.size
    const doubled = [...shownAt.values()].filter(({ length }) => length > 1).length
    console.log(`${archivedAt.size} messages, ${rate}/s, each in a batch of ${perBatch}, to ${users} iPhones`)
    console.log(
      `archived to shown: p50 ${latency.p50} ms, p95 ${latency.p95} ms, p99 ${latency.p99} ms, max ${latency.max} ms`,
    )
    console.log(`CPU of the push service for 1,000 pushes: ${cpu.toFixed(2)} s`)
    const checks: [met: boolean, text: string][] = [
      [lost === 0, `messages that were not pushed: ${lost}`],
      [doubled === 0, `messages that were pushed twice: ${doubled}`],
      [apns.problems.length === 0, `pushes that APNs refused: ${apns.problems.length}`],
      [latency.p99 <= target, `archived to the provider, p99 at most ${target} ms: ${latency.p99}`],
    ]
    for (const [met, text] of checks) console.log(`${met ? 'met   ' : 'MISSED'} ${text}`)
    if (values.json) {
      const results = { rate, seconds, users, latency, lost, doubled, cpu }
      const report = { at: new Date().toISOString(), machine: machine(), servers: servers.choices, results }
      await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
    }
    return checks.every(([met]) => met) ? 0 : 1
  } finally {
    service?.kill('SIGKILL')
    for (const end of ends.toReversed()) await end()
    await mongo.close()
    await servers.close()
    await rm(folder, { recursive: true, force: true })
  }
}

if (values.help) console.log(usage)
else process.exitCode = await main()
