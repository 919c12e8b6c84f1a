/** Events from their announcement to what a service commits about them, in one run; see ../README.md. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { userUpdated } from '@im/contracts/user'
import { startServers } from '@im/dev/servers'
import { connectRuntime, type DatabaseConfig, type Runtime, type ServiceConfig, serviceConfig } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import { MongoClient } from 'mongodb'
import type { HandlingReport } from './events/handling-process.ts'
import { machine } from './machine.ts'
import { type Latency, latencyOf } from './percentiles.ts'
import { cpuSeconds } from './process-usage.ts'

const usage = `npm run bench:events -- [options]

  --backlog N    events that wait when the service starts    (20000)
  --users N      users whom they are about                   (5000)
  --rate N       events a second afterwards                  (200)
  --seconds N    for how long                                (20)
  --json FILE    also write everything as JSON

Exit code 1 when an event was lost, handled twice or out of order, or a target was missed.`

const { values } = parseArgs({
  options: {
    backlog: { type: 'string', default: '20000' },
    users: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '20' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const backlog = Number(values.backlog)
const users = Number(values.users)
const rate = Number(values.rate)
const seconds = Number(values.seconds)
const targets = { perSecond: 2000, p99: 50 }

/** Announces the next change of a user, whose nickname is the number of the change. */
class Announcer {
  readonly changes = new Map<number, number>()
  readonly #runtime: Runtime
  #next = 0

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  #payload() {
    const userId = 1 + (this.#next++ % users)
    const change = (this.changes.get(userId) ?? 0) + 1
    this.changes.set(userId, change)
    return { userId, nickname: String(change), account: '', updatedAt: Date.now() }
  }

  /** One change, committed with its event. */
  async commit(): Promise<void> {
    const payload = this.#payload()
    await this.#runtime.outbox.commit(async (change) => change.announce(userUpdated, String(payload.userId), payload))
  }

  /** One event as the relay publishes it. */
  async publish(): Promise<void> {
    const data = this.#payload()
    const aggregate = String(data.userId)
    const { updatedAt: at } = data
    const id = `${aggregate}-${data.nickname}`
    // The number is at least the time, as the outbox gives it.
    await this.#runtime.bus.publish({ id, name: userUpdated.name, at, aggregate, sequence: at, data })
  }

  /** Many in one transaction: for a backlog. */
  async many(count: number): Promise<void> {
    const payloads = Array.from({ length: count }, () => this.#payload())
    await this.#runtime.outbox.commit(async (change) => {
      for (const payload of payloads) change.announce(userUpdated, String(payload.userId), payload)
    })
  }
}

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'im-bench-events-'))
  const servers = await startServers({
    dataDir: folder,
    ports: 'free',
    env: process.env,
    servers: ['mongodb', 'redis', 'nats'],
  })
  const env = { ...process.env, ...servers.env, NAMESPACE: 'bench', LOG_LEVEL: 'warn' }
  const config = serviceConfig('user', { own: {}, database: true }).read(env) as ServiceConfig & DatabaseConfig
  const runtime = await connectRuntime('user', config)
  const mongo = await MongoClient.connect(servers.env['MONGODB_URL'] ?? '')
  let child: ChildProcess | undefined
  try {
    const announcer = new Announcer(runtime)
    const publishedIn = await publishBacklog(runtime, announcer)
    const took: number[] = []
    const startedAt = performance.now()
    child = fork(join(import.meta.dirname, 'events', 'handling-process.ts'), { env })
    let firstAt = 0
    child.on('message', (report: HandlingReport) => {
      if (report.took.length) firstAt ||= performance.now()
      took.push(...report.took)
    })
    await eventually(() => took.length >= backlog, 120_000)
    const handledIn = (performance.now() - firstAt) / 1000
    const startedIn = (firstAt - startedAt) / 1000

    /** How long each event of a load took, and the CPU time of the service for 1,000 of them. */
    const measure = async (pid: number, work: () => Promise<void>) => {
      took.length = 0
      const cpuBefore = await cpuSeconds(pid)
      const count = await atRate(work)
      await eventually(() => took.length >= count, 30_000)
      return { latency: latencyOf(took), cpu: (((await cpuSeconds(pid)) - cpuBefore) / count) * 1000 }
    }
    const committed = await measure(child.pid ?? 0, () => announcer.commit())
    const published = await measure(child.pid ?? 0, () => announcer.publish())
    const wrong = await wrongNames(mongo, announcer.changes)
    child.send('end')
    await once(child, 'exit')
    child = undefined

    const perSecond = Math.round(backlog / handledIn)
    const tell = ({ p50, p95, p99, max }: Latency) => `p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms, max ${max} ms`
    console.log(`${backlog} events published in ${publishedIn.toFixed(1)} s (outbox and relay)`)
    console.log(`first of them handled ${startedIn.toFixed(1)} s after the start of the service, then ${perSecond}/s`)
    console.log(`${rate}/s for ${seconds} s, each a change of its own: announced to handled ${tell(committed.latency)}`)
    console.log(`${rate}/s for ${seconds} s, published: to handled ${tell(published.latency)}`)
    console.log(`CPU of the service for 1,000 single events: ${published.cpu.toFixed(2)} s`)
    const checks: [met: boolean, text: string][] = [
      [wrong === 0, `users whose events were lost, handled twice or out of order: ${wrong}`],
      [perSecond >= targets.perSecond, `at least ${targets.perSecond} events/s handled: ${perSecond}`],
      [
        published.latency.p99 <= targets.p99,
        `published to committed, p99 at most ${targets.p99} ms: ${published.latency.p99}`,
      ],
    ]
    for (const [met, text] of checks) console.log(`${met ? 'met   ' : 'MISSED'} ${text}`)
    if (values.json) {
      const results = { publishedIn, startedIn, perSecond, committed, published, wrong }
      const report = { at: new Date().toISOString(), machine: machine(), servers: servers.choices, results }
      await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
    }
    return checks.every(([met]) => met) ? 0 : 1
  } finally {
    child?.kill('SIGKILL')
    await runtime.close()
    await mongo.close()
    await servers.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function publishBacklog(runtime: Runtime, announcer: Announcer): Promise<number> {
  const startedAt = performance.now()
  for (let left = backlog; left > 0; left -= 500) await announcer.many(Math.min(500, left))
  await eventually(async () => (await runtime.db.collection('outbox').countDocuments()) === 0, 120_000)
  return (performance.now() - startedAt) / 1000
}

/** By the clock, so that falling behind shows. Gives how many. */
async function atRate(work: () => Promise<void>): Promise<number> {
  const total = rate * seconds
  const startedAt = performance.now()
  const running: Promise<void>[] = []
  for (let n = 0; n < total; n++) {
    const wait = startedAt + (n * 1000) / rate - performance.now()
    if (wait > 1) await delay(wait)
    running.push(work())
  }
  await Promise.all(running)
  return total
}

/** Each user's nickname must be the number of the last change, and have been changed as often. */
async function wrongNames(mongo: MongoClient, changes: ReadonlyMap<number, number>): Promise<number> {
  const names = mongo.db('bench_social').collection<{ _id: number; nickname: string; changes: number }>('names')
  const found = new Map((await names.find().toArray()).map((name) => [name._id, name]))
  return [...changes].filter(([userId, count]) => {
    const name = found.get(userId)
    return name?.changes !== count || name.nickname !== String(count)
  }).length
}

if (values.help) console.log(usage)
else process.exitCode = await main()
