/** A broadcast to many fans beside chat: what it costs in memory, and what it does to others; see ../README.md. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { accountBroadcasts } from '@im/contracts/push'
import { accountSends, accountSession, pairOf } from '@im/contracts/social'
import { accounts } from '@im/contracts/user'
import { startStack } from '@im/dev'
import { createTestClient, type TestClient } from '@im/service-kit/testing'
import { MongoClient } from 'mongodb'
import { faultsOf, type Plan, type Round, runRound } from './chat/rounds.ts'
import { Traffic } from './chat/traffic.ts'
import { XmppClient } from './chat/xmpp-client.ts'
import { machine } from './machine.ts'
import { latencyOf } from './percentiles.ts'
import { cpuSeconds, residentMegabytes } from './process-usage.ts'

const usage = `npm run bench:broadcast -- [options]

  --receivers N   fans of the account                          (10000)
  --pace N        receivers a second                           (1000)
  --rate N        chat messages a second beside it, or 0       (200)
  --pairs N       pairs of clients that chat                   (16)
  --seconds N     length of a round of chat                    (5)
  --alone N       rounds of chat before the broadcast          (5)
  --split         chat comes to another replica of message than the broadcast, as in Kubernetes
  --json FILE     also write everything as JSON

Exit code 1 when a fan got nothing or something twice, a chat message went wrong, or a target of docs/performance.md is missed.`

const { values } = parseArgs({
  options: {
    receivers: { type: 'string', default: '10000' },
    pace: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '200' },
    pairs: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '5' },
    alone: { type: 'string', default: '5' },
    split: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const targets = { extraMegabytes: 64, chatRatio: 1.5 }
const password = '5f4dcc3b5aa765d61d8327deb882cf99'
/** The heap that Node gives itself in a pod of `message`, and the young generation of the image (deploy/docker/Dockerfile). */
const heap = '--max-old-space-size=512 --max-semi-space-size=8'
/** The processes a broadcast goes through. */
const watched = ['push', 'social', 'message'] as const
const firstFan = 40_000_001
/** Fans of another account, whose broadcast comes before. */
const warmUpFans = 2000
/** Whose CPU time is counted. */
const processes = [
  'mongodb',
  'message',
  ...(values.split ? ['message-2' as const] : []),
  'push',
  'social',
  'user',
  'prosody',
  'nats',
  'redis',
] as const
/** The first rounds of chat warm up. */
const roundsToWarmUp = 2

type Stack = Awaited<ReturnType<typeof startStack>>

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'im-bench-broadcast-'))
  const quick = { ARGON2_MEMORY_KIB: '64', ARGON2_PASSES: '1' }
  const own = { ALLOW_PUBLIC_REGISTER: 'true', BROADCAST_PACE: values.pace, LIMIT_FACTOR: '0', XMPP_TLS: 'off' }
  const stack = await startStack({
    dataDir: folder,
    ports: 'free',
    env: { NODE_OPTIONS: heap, ...process.env, ...quick, ...own, NODE_ENV: 'development', LOG_LEVEL: 'warn' },
    apart: 'all',
    ...(values.split ? { replicas: { message: 2 } } : {}),
    supervise: false,
    report: { info: console.error, progress() {} },
  })
  const api = createTestClient({ baseUrl: stack.urls.gateway, timeout: 20_000 })
  const clients: XmppClient[] = []
  try {
    if (values.split) await splitChat(stack)
    const account = await register(api, 0, 2)
    const fans = Number(values.receivers)
    await seedFans(stack, account.userId, fans)
    // A process that has just started takes memory with any work: only what grows after that counts.
    const small = await register(api, 999, 2)
    await seedFans(stack, small.userId, warmUpFans)
    const warmUp = await send(api, small)
    while ((await warmUp.state()).state !== 'done') await delay(200)
    const traffic = await chatting(stack, api, clients)
    const plan = planOf()
    const alone: Round[] = []
    const memoryAlone: Memory[] = []
    for (let n = 0; n < Math.max(3, Number(values.alone)); n++) {
      alone.push(await runRound(traffic, plan))
      memoryAlone.push(await memoryOf(stack))
    }
    const before = memoryAlone.at(-1)!
    const byChat = before.message - memoryAlone[roundsToWarmUp - 1]!.message
    const cpuBefore = await cpuOf(stack)
    const broadcast = await send(api, account)
    const watch = watchMemory(stack)
    const beside: Round[] = []
    const startedAt = performance.now()
    let state = await broadcast.state()
    while (state.state !== 'done') {
      beside.push(await runRound(traffic, plan))
      state = await broadcast.state()
      const { delivery } = beside.at(-1)!
      console.error(`${state.done} of ${state.of}, p50 of chat ${delivery.p50} ms, p99 ${delivery.p99} ms`)
    }
    const seconds = state.endTime - state.createTime || (performance.now() - startedAt) / 1000
    const cpu = since(cpuBefore, await cpuOf(stack), fans)
    const memory = await watch.end()
    const stored = await countStored(stack, account.userId)
    return await report({
      ...{ seconds, before, memory, byChat, stored, state, cpu },
      ...{ alone: alone.slice(roundsToWarmUp), beside },
    })
  } finally {
    for (const client of clients) client.close()
    await api.close()
    await stack.close()
    await rm(folder, { recursive: true, force: true })
  }
}

const planOf = (): Plan => ({
  ...{ kind: 'open', perSecond: Number(values.rate), seconds: Number(values.seconds), maxMessages: 1_000_000 },
})

type Cpu = Record<(typeof processes)[number], number>

async function cpuOf(stack: Stack): Promise<Cpu> {
  const used = await Promise.all(processes.map((name) => cpuSeconds(stack.process(name).pid!)))
  return Object.fromEntries(processes.map((name, n) => [name, used[n]!])) as Cpu
}

/** Milliseconds for a receiver, what chat has used meanwhile included. */
const since = (before: Cpu, after: Cpu, receivers: number): Cpu =>
  Object.fromEntries(
    processes.map((name) => [name, Number((((after[name] - before[name]) * 1000) / receivers).toFixed(3))]),
  ) as Cpu

/** Calls go to the first replica. Which one holds the XMPP server is left to chance, so the first is replaced until the other does. */
async function splitChat(stack: Stack): Promise<void> {
  const holds = async (name: 'message' | 'message-2') =>
    /^im_xmpp_connected(\{.*\})? 1$/m.test(await (await fetch(stack.metrics[name]!)).text())
  while ((await holds('message')) || !(await holds('message-2'))) {
    await stack.kill('message')
    await stack.restart('message')
    await delay(3000)
  }
}

async function register(api: TestClient, n: number, userType = 0) {
  const person = { telephone: String(13_900_000_000 + n), password, nickname: `用户${n}`, userType }
  const { userId, access_token: token } = await api.call(accounts.register, person)
  return { userId, token, telephone: person.telephone }
}

async function chatting(stack: Stack, api: TestClient, clients: XmppClient[]): Promise<Traffic> {
  const { env } = stack
  const address = { host: env['XMPP_HOST']!, port: Number(env['XMPP_PORT']), domain: env['XMPP_DOMAIN']! }
  const couples: [XmppClient, XmppClient][] = []
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    const both: XmppClient[] = []
    for (const side of [1, 2]) {
      const { userId, token } = await register(api, 2 * pair + side)
      both.push(await XmppClient.login(address, { userId, password: token }, 'android'))
    }
    clients.push(...both)
    couples.push(both as [XmppClient, XmppClient])
  }
  return new Traffic(couples, address.domain)
}

/** Rows of users who follow the account; nobody needs to have registered to be sent something. */
async function seedFans(stack: Stack, account: number, count: number): Promise<void> {
  const client = await MongoClient.connect(stack.env['MONGODB_URL']!)
  try {
    const rows = client.db(`${stack.env['NAMESPACE'] || 'im'}_social`).collection('relations')
    const at = Math.floor(Date.now() / 1000) - 60
    const about = { toUserId: account, status: 1, blacklist: 0, isBeenBlack: 0, createTime: at, modifyTime: at }
    for (let first = 0; first < count; first += 5000)
      await rows.insertMany(
        Array.from({ length: Math.min(5000, count - first) }, (_, n) => {
          const userId = firstFan + first + n
          return { pair: pairOf(userId, account), userId, ...about }
        }),
      )
  } finally {
    await client.close()
  }
}

async function send(api: TestClient, account: { userId: number; telephone: string }) {
  const opened = await api.call(accountSession.logIn, { username: account.telephone, password })
  const token = opened.access_token
  await api.call(accountSends.sendTextToAll, { title: '大家好，今天有新消息。' }, { token })
  return {
    async state() {
      const { pageData } = await api.call(accountBroadcasts.listAccountBroadcasts, {}, { token })
      return pageData[0]!
    },
  }
}

type Memory = Record<(typeof watched)[number], number>

async function memoryOf(stack: Stack): Promise<Memory> {
  const sizes = await Promise.all(watched.map((name) => residentMegabytes(stack.process(name).pid!)))
  return Object.fromEntries(watched.map((name, n) => [name, sizes[n]!.resident])) as Memory
}

/** What each process holds, several times a second. */
function watchMemory(stack: Stack) {
  const seen: Memory[] = []
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      seen.push(await memoryOf(stack))
      await delay(200)
    }
  })()
  return {
    async end(): Promise<Memory[]> {
      isOver = true
      await watching
      return seen
    },
  }
}

const peakOf = (seen: readonly Memory[], name: keyof Memory) => Math.max(...seen.map((memory) => memory[name]))

/** The most in each quarter of the broadcast: what does not grow is the same in all of them. */
const quartersOf = (seen: readonly Memory[], name: keyof Memory): number[] =>
  [0, 1, 2, 3].map((n) => {
    const quarter = seen.slice((n * seen.length) >> 2, Math.max(1, ((n + 1) * seen.length) >> 2))
    return Math.round(peakOf(quarter.length ? quarter : seen, name))
  })

async function countStored(stack: Stack, account: number) {
  const client = await MongoClient.connect(stack.env['MONGODB_URL']!)
  try {
    const messages = client.db(`${stack.env['NAMESPACE'] || 'im'}_message`).collection('messages')
    const seen = new Set<number>()
    let all = 0
    for await (const { to } of messages.find({ from: account }).project<{ to: number }>({ to: 1 })) {
      all++
      seen.add(to)
    }
    return { all, receivers: seen.size }
  } finally {
    await client.close()
  }
}

interface Measured {
  seconds: number
  before: Memory
  memory: Memory[]
  /** What chat alone has added to `message`. */
  byChat: number
  stored: { all: number; receivers: number }
  state: { done: number; failed: number }
  /** Milliseconds for a receiver. */
  cpu: Cpu
  alone: Round[]
  beside: Round[]
}

async function report({
  seconds,
  before,
  memory,
  byChat,
  stored,
  state,
  cpu,
  alone,
  beside,
}: Measured): Promise<number> {
  const fans = Number(values.receivers)
  const chat = { alone: latencies(alone), beside: latencies(beside) }
  const ratio = chat.alone.p99 ? chat.beside.p99 / chat.alone.p99 : 0
  const extra = Object.fromEntries(
    watched.map((name) => [name, Math.round(peakOf(memory, name) - before[name])]),
  ) as Memory
  const quarters = Object.fromEntries(watched.map((name) => [name, quartersOf(memory, name)]))
  const faults = [...alone, ...beside].flatMap(faultsOf)
  console.table({ 'chat alone (ms)': chat.alone, 'chat beside it (ms)': chat.beside })
  const checks: [text: string, met: boolean][] = [
    [`${state.done} of ${fans} fans, ${state.failed} failed`, state.done === fans && state.failed === 0],
    [`stored ${stored.all} for ${stored.receivers} receivers`, stored.all === fans && stored.receivers === fans],
    [`chat went wrong: ${faults.join(', ') || 'nothing'}`, !faults.length],
    [`p99 of chat beside it: ${ratio.toFixed(2)} times (target ${targets.chatRatio})`, ratio <= targets.chatRatio],
    ...watched.map((name): [string, boolean] => [
      `more memory of ${name}: ${extra[name]} MB (target ${targets.extraMegabytes}); the most in each quarter: ${quarters[name]}`,
      extra[name] <= targets.extraMegabytes,
    ]),
  ]
  for (const [text, met] of checks) console.log(`${met ? 'met   ' : 'MISSED'} ${text}`)
  const chatSeconds = alone.length * Number(values.seconds)
  console.log(`       chat alone added ${byChat.toFixed(0)} MB to message in ${chatSeconds} s`)
  console.log(`       ${Math.round(fans / seconds)} receivers/s in ${seconds.toFixed(0)} s`)
  console.log(`       CPU ms for a receiver, with the chat beside it: ${JSON.stringify(cpu)}`)
  if (values.json) {
    const short = (rounds: Round[]) => rounds.map(({ messages: _, ...round }) => round)
    const all = {
      ...{ machine: machine(), seconds, before, quarters, byChat, stored, cpu, chat },
      ...{ alone: short(alone), beside: short(beside) },
    }
    await writeFile(values.json, JSON.stringify(all, null, 2))
  }
  return checks.every(([, met]) => met) ? 0 : 1
}

/** Of all messages of these rounds. */
const latencies = (rounds: readonly Round[]) =>
  latencyOf(
    rounds.flatMap(({ messages }) =>
      messages.flatMap(({ deliveries, deliveredAt, dueAt }) => (deliveries ? deliveredAt - dueAt : [])),
    ),
  )

if (values.help) console.log(usage)
else process.exitCode = await main()
