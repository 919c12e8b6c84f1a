/** Logins by password, beside a bare loop of the same hashes, on one machine in one run; see ../README.md. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { accounts } from '@im/contracts/user'
import { startServers } from '@im/dev/servers'
import { createTestClient, eventually, freePort } from '@im/service-kit/testing'
import type { HashLoopOrder, HashLoopResult } from './login/hash-loop.ts'
import { machine } from './machine.ts'
import { type Latency, latencyOf, median } from './percentiles.ts'
import { cpuSeconds } from './process-usage.ts'

const usage = `npm run bench:login -- [options]

  --hashes N       password hashes computed at a time            (all CPUs but one)
  --passes N       passes of a hash, in both loads               (2)
  --in-flight N    logins on their way at a time, one per user   (16)
  --rounds N       rounds of each load, in turns                 (3)
  --seconds N      length of a round                             (6)
  --json FILE      also write everything as JSON

Exit code 1 when an answer was wrong or a target of docs/performance.md is missed.`

const { values } = parseArgs({
  options: {
    hashes: { type: 'string', default: String(Math.max(1, availableParallelism() - 1)) },
    passes: { type: 'string', default: '2' },
    'in-flight': { type: 'string', default: '16' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '6' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const atOnce = Number(values.hashes)
const inFlight = Number(values['in-flight'])
const seconds = Number(values.seconds)

/** The parameters of crypto.md §1, which are the service's defaults. */
const argon2 = { memoryCost: 19_456, timeCost: Number(values.passes), parallelism: 1 }
const target = 0.9
const password = '123456'

interface User {
  userId: number
  telephone: string
}

interface Round {
  hashes: HashLoopResult
  loginsPerSecond: number
  latency: Latency
  /** CPU time (ms) that each process took for one login. That of the user service includes the hash. */
  cpu: Record<string, number>
}

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'im-bench-login-'))
  const servers = await startServers({
    dataDir: folder,
    ports: 'free',
    env: process.env,
    servers: ['mongodb', 'redis', 'nats'],
    supervise: false,
  })
  const [userPort, socialPort, orgPort] = [await freePort(), await freePort(), await freePort()]
  const urlOf = (port: number) => `http://127.0.0.1:${port}`
  const peers = { USER_URL: urlOf(userPort), SOCIAL_URL: urlOf(socialPort), ORG_URL: urlOf(orgPort) }
  const service = await startService('user', userPort, { ...servers.env, ...peers })
  const social = await startService('social', socialPort, { ...servers.env, ...peers })
  const org = await startService('org', orgPort, { ...servers.env, ...peers })
  const processes = {
    user: service.process.pid,
    social: social.process.pid,
    org: org.process.pid,
    database: servers.process('mongodb').pid,
    redis: servers.process('redis').pid,
    nats: servers.process('nats').pid,
    client: process.pid,
  }
  try {
    const users = await register(service.url)
    const rounds: Round[] = []
    let wrong = 0
    for (let round = 0; round < Number(values.rounds) + 1; round++) {
      const hashes = await bareLoop()
      const before = await usedBy(processes)
      const load = await logIn(service.url, users)
      const after = await usedBy(processes)
      wrong += load.wrong
      // The first round warms up.
      if (round === 0) continue
      const loginsPerSecond = load.times.length / load.seconds
      const cpu = Object.fromEntries(
        Object.entries(after).map(([name, used]) => [name, ((used - (before[name] ?? 0)) * 1000) / load.times.length]),
      )
      rounds.push({ hashes, loginsPerSecond, latency: latencyOf(load.times), cpu })
    }
    return report(rounds, wrong)
  } finally {
    for (const { process: child } of [service, social, org]) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    await servers.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** CPU seconds that each process has used so far. */
async function usedBy(processes: Record<string, number | undefined>): Promise<Record<string, number>> {
  const used = Object.entries(processes).map(async ([name, pid]) => [name, await cpuSeconds(pid ?? 0)] as const)
  return Object.fromEntries(await Promise.all(used))
}

/** The user service, or what it asks at each login: social counts friends, org knows the company. */
async function startService(
  name: 'user' | 'social' | 'org',
  port: number,
  env: Record<string, string | undefined>,
): Promise<{ url: string; process: ChildProcess }> {
  const url = `http://127.0.0.1:${port}`
  const main = join(import.meta.dirname, `../../services/${name}/src/main.ts`)
  const child = fork(main, {
    env: {
      ...process.env,
      ...env,
      PORT: String(port),
      LIMIT_FACTOR: '0',
      HASH_CONCURRENCY: values.hashes,
      ARGON2_PASSES: values.passes,
      LOG_LEVEL: 'warn',
    },
  })
  await eventually(async () => (await fetch(`${url}/startedz`)).ok, 30_000)
  return { url, process: child }
}

async function register(baseUrl: string): Promise<User[]> {
  const api = createTestClient({ baseUrl })
  const users: User[] = []
  for (let n = 0; n < inFlight; n++) {
    const telephone = String(13_900_000_000 + n)
    const { userId } = await api.call(accounts.register, { telephone, password, nickname: `user ${n}` })
    users.push({ userId, telephone })
  }
  await api.close()
  return users
}

/** A process that does nothing but hashes. */
async function bareLoop(): Promise<HashLoopResult> {
  const loop = fork(join(import.meta.dirname, 'login/hash-loop.ts'))
  try {
    loop.send({ ...argon2, atOnce, seconds } satisfies HashLoopOrder)
    const [result] = (await once(loop, 'message')) as [HashLoopResult]
    return result
  } finally {
    loop.disconnect()
  }
}

/** A closed loop: each user logs in again as soon as the last login was answered. */
async function logIn(baseUrl: string, users: readonly User[]) {
  const api = createTestClient({ baseUrl })
  const times: number[] = []
  let wrong = 0
  let isOver = false
  const startedAt = performance.now()
  const loops = users.map(async ({ userId, telephone }) => {
    while (!isOver) {
      const sentAt = performance.now()
      const answer = await api.envelope(accounts.login, { telephone, password })
      times.push(performance.now() - sentAt)
      if (answer.resultCode !== 1 || (answer.data as User).userId !== userId) wrong++
    }
  })
  await delay(seconds * 1000)
  isOver = true
  await Promise.all(loops)
  await api.close()
  return { times, wrong, seconds: (performance.now() - startedAt) / 1000 }
}

/**
 * The part of the bare loop that logins can reach when all CPUs do nothing else, by the CPU time of both: client, stores and services
 * share them with the hash here.
 */
function mostLogins({ hashes, cpu }: Round): number {
  const ofLogin = Object.values(cpu).reduce((sum, milliseconds) => sum + milliseconds, 0)
  return Math.min(1, ((availableParallelism() / atOnce) * hashes.cpuMilliseconds) / ofLogin)
}

async function report(rounds: readonly Round[], wrong: number): Promise<number> {
  console.table(
    rounds.map(({ hashes, loginsPerSecond, latency, cpu }) => ({
      'bare hashes/s': hashes.perSecond.toFixed(1),
      'CPU ms/hash': hashes.cpuMilliseconds.toFixed(1),
      'logins/s': loginsPerSecond.toFixed(1),
      'p50 ms': latency.p50,
      'p99 ms': latency.p99,
      'CPU ms/login': Object.entries(cpu)
        .map(([name, milliseconds]) => `${name} ${milliseconds.toFixed(1)}`)
        .join(', '),
    })),
  )
  const ratio = median(rounds.map(({ hashes, loginsPerSecond }) => loginsPerSecond / hashes.perSecond))
  const reachable = median(rounds.map(mostLogins))
  console.log(
    `${availableParallelism()} CPUs with nothing else to do allow ${reachable.toFixed(2)} of the bare loop at this CPU time`,
  )
  const checks: [text: string, met: boolean][] = [
    [`logins / bare hashes, ${atOnce} at a time: ${ratio.toFixed(2)} (target ${target})`, ratio >= target],
    [`wrong answers: ${wrong} (target 0)`, wrong === 0],
  ]
  for (const [text, met] of checks) console.log(`${met ? 'met   ' : 'MISSED'} ${text}`)
  if (values.json)
    await writeFile(values.json, JSON.stringify({ machine: machine(), atOnce, ratio, wrong, rounds }, null, 2))
  return checks.every(([, met]) => met) ? 0 : 1
}

if (values.help) console.log(usage)
else process.exitCode = await main()
