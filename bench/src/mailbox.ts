/** Load on what waits for users who are away, and on the death of a process; see ../README.md. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Stack, startStack } from '@im/dev'
import { checkArchive } from './chat/archive-check.ts'
import { copyAccounts } from './chat/copied-accounts.ts'
import { type Account, XmppClient } from './chat/xmpp-client.ts'
import { machine } from './machine.ts'
import { Correspondence } from './mailbox/correspondence.ts'
import { latencyOf } from './percentiles.ts'
import { cpuSeconds, residentMegabytes } from './process-usage.ts'

const usage = `npm run bench:mailbox -- [options]

  --rounds LIST      of cold, storm, backlog, unread, kill      (all, in this order)
  --users N          receivers of cold and storm                (10000)
  --back N           of them that come back in storm            (2000)
  --waiting N        messages of 60 KB in backlog and unread    (5000)
  --rate N           messages a second in kill                  (1000)
  --data FOLDER      where the servers keep their data          (a new one in ${tmpdir()}, removed at the end)
  --json FILE        also write everything as JSON
  --node-options=O   NODE_OPTIONS of the services

Exit code 1 when a message was lost, altered, out of order or not receipted, or a target is missed.`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: 'cold,storm,backlog,unread,kill' },
    users: { type: 'string', default: '10000' },
    back: { type: 'string', default: '2000' },
    waiting: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '1000' },
    data: { type: 'string' },
    json: { type: 'string' },
    'node-options': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const senderCount = 200
const inFlight = 500
/** What may wait for one user (spec xmpp.md §5): 64 MiB. */
const mailboxBytes = 64 * 1024 * 1024
const largeText = '长'.repeat(20_000)

interface Bench {
  stack: Stack
  domain: string
  senders: Account[]
  receivers: Account[]
  login(account: Account, watch: (client: XmppClient) => void): Promise<XmppClient>
  /** CPU seconds of each process since the last call, per 1,000 messages. */
  cpu(messages: number): Promise<Record<string, number>>
}

interface Outcome {
  figures: Record<string, unknown>
  faults: string[]
  /** Name of a target, and whether it was met. */
  targets: [what: string, isMet: boolean][]
}

async function main(): Promise<number> {
  const dataDir = values.data ?? (await mkdtemp(join(tmpdir(), 'im-bench-mailbox-')))
  const report: Record<string, Outcome> = {}
  let stack: Stack | undefined
  try {
    stack = await startStack({
      dataDir,
      ports: 'free',
      env: {
        ...process.env,
        NODE_ENV: 'development',
        LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'warn',
        LIMIT_FACTOR: '0',
        ...(values['node-options'] ? { NODE_OPTIONS: values['node-options'] } : {}),
      },
      apart: 'all',
      replicas: { message: values.rounds.includes('kill') ? 2 : 1 },
      supervise: false,
    })
    const bench = await prepare(stack)
    for (const name of values.rounds.split(',')) {
      const round = rounds[name]
      if (!round) throw new Error(`There is no round '${name}'`)
      const outcome = await round(bench)
      report[name] = outcome
      console.log(`${name}: ${JSON.stringify(outcome.figures)}`)
      for (const [what, isMet] of outcome.targets) console.log(`  ${isMet ? 'met   ' : 'MISSED'} ${what}`)
      for (const fault of outcome.faults.slice(0, 10)) console.log(`  WRONG: ${fault}`)
      if (!outcome.faults.length) console.log('  nothing lost, twice, altered or out of order')
    }
  } finally {
    await stack?.close()
    if (!values.data) await rm(dataDir, { recursive: true, force: true })
  }
  if (values.json)
    await writeFile(
      values.json,
      `${JSON.stringify({ at: new Date().toISOString(), machine: machine(), report }, null, 2)}\n`,
    )
  const outcomes = Object.values(report)
  return outcomes.some(({ faults, targets }) => faults.length || targets.some(([, isMet]) => !isMet)) ? 1 : 0
}

async function prepare(stack: Stack): Promise<Bench> {
  const { env, urls } = stack
  const namespace = env['NAMESPACE'] || 'im'
  const users = Number(values.users)
  const all = await copyAccounts({
    userUrl: urls.user,
    mongoUrl: env['MONGODB_URL']!,
    database: `${namespace}_user`,
    count: users + senderCount + 10,
  })
  const address = { host: env['XMPP_HOST']!, port: Number(env['XMPP_PORT']), domain: env['XMPP_DOMAIN']! }
  const names = ['prosody', 'mongodb', 'redis', 'nats', 'message', 'user'] as const
  let before: Record<string, number> = {}
  return {
    stack,
    domain: address.domain,
    senders: all.slice(0, senderCount + 10),
    receivers: all.slice(senderCount + 10),
    login: (account, watch) => XmppClient.login(address, account, 'android', watch),
    async cpu(messages) {
      const now: Record<string, number> = { load: await cpuSeconds(process.pid) }
      for (const name of names) now[name] = await cpuSeconds(stack.process(name).pid!)
      const used = Object.entries(now).map(([name, seconds]) => {
        return [name, Math.round(((seconds - (before[name] ?? 0)) * 1e6) / messages) / 1000]
      })
      before = now
      return Object.fromEntries(used)
    },
  }
}

/** Each message to another receiver, whom nobody knows yet; every second one is away. */
async function cold(bench: Bench): Promise<Outcome> {
  const mail = new Correspondence(bench.domain)
  const senders = await logIn(bench, mail, bench.senders.slice(0, senderCount))
  const here = bench.receivers.filter((_, index) => index % 2 === 0)
  const present = await logIn(bench, mail, here)
  await bench.cpu(1)
  const startedAt = performance.now()
  await mail.sendAll(
    bench.receivers.map(
      ({ userId }, index) =>
        () =>
          mail.send(senders[index % senders.length]!, userId, `你好 ${index}`),
    ),
    inFlight,
  )
  const letters = [...mail.letters.values()]
  const online = new Set(here.map(({ userId }) => userId))
  await mail.until(() => letters.every(({ to, deliveries }) => deliveries || !online.has(to)), 'deliveries')
  const endedAt = Math.max(...letters.map(({ receiptedAt, deliveredAt }) => Math.max(receiptedAt, deliveredAt)))
  const perSecond = Math.round((letters.length * 1000) / (endedAt - startedAt))
  const cpu = await bench.cpu(letters.length)
  mail.judge(online)
  if (letters.some(({ to, deliveries }) => deliveries && !online.has(to)))
    mail.faults.push('somebody away got a message')
  const { faults } = mail
  await judgeArchive(bench, mail)
  const receipt = latencyOf(letters.map(({ sentAt, receiptedAt }) => receiptedAt - sentAt))
  for (const client of [...senders, ...present]) client.close()
  return {
    figures: { pairs: letters.length, online: here.length, perSecond, receipt, cpuPerThousand: cpu },
    faults,
    targets: [[`at least 4,000 msg/s with every pair new: ${perSecond}`, perSecond >= 4000]],
  }
}

/** Ten messages for each of many users who are away; then a part of them comes back at once. */
async function storm(bench: Bench): Promise<Outcome> {
  const mail = new Correspondence(bench.domain)
  const senders = await logIn(bench, mail, bench.senders.slice(0, senderCount))
  await bench.cpu(1)
  const filledFrom = performance.now()
  const tasks = Array.from({ length: 10 }, (_, n) =>
    bench.receivers.map(
      ({ userId }, index) =>
        () =>
          mail.send(senders[index % senders.length]!, userId, `第 ${n} 条`),
    ),
  ).flat()
  await mail.sendAll(tasks, inFlight)
  const offlinePerSecond = Math.round((tasks.length * 1000) / (performance.now() - filledFrom))
  const offlineCpu = await bench.cpu(tasks.length)
  // Those who got a message of the round before have one more, of another correspondence.
  const back = bench.receivers.filter((_, index) => index % 2 === 0).slice(0, Number(values.back))
  const expected = back.length * 10
  let delivered = 0
  mail.onDelivery = ({ deliveries }) => {
    if (deliveries === 1) delivered++
  }
  const stormAt = performance.now()
  const clients = await logIn(bench, mail, back)
  const connectedAt = performance.now()
  await mail.until(() => delivered === expected, 'what waited')
  const healedAt = Math.max(
    ...back.flatMap(({ userId }) => mail.lettersTo(userId).map(({ deliveredAt }) => deliveredAt)),
  )
  const healed = Math.round(Math.max(0, healedAt - connectedAt))
  mail.judge(back.map(({ userId }) => userId))
  for (const client of [...senders, ...clients]) client.close()
  return {
    figures: {
      offlineMessages: tasks.length,
      offlinePerSecond,
      offlineCpuPerThousand: offlineCpu,
      connectedBack: clients.length,
      connectMs: Math.round(connectedAt - stormAt),
      healedAfterLastConnectMs: healed,
    },
    faults: mail.faults,
    targets: [[`healed at most 5 s after the last connect: ${healed} ms`, healed <= 5000]],
  }
}

/** Somebody logs in for whom large messages wait: the others must not notice. */
async function backlog(bench: Bench): Promise<Outcome> {
  const mail = new Correspondence(bench.domain)
  const [sender, ...probes] = await logIn(bench, mail, bench.senders.slice(0, 3))
  const receiver = bench.senders[3]!
  const count = Number(values.waiting)
  await mail.sendAll(
    Array.from({ length: count }, () => () => mail.send(sender!, receiver.userId, largeText)),
    16,
  )
  const [first] = mail.lettersTo(receiver.userId)
  const waiting = Math.min(count, Math.floor(mailboxBytes / (Buffer.byteLength(first!.body) + 200)))
  await delay(3000)
  const watch = await watchOthers(bench, mail, probes)
  await delay(3000)
  const quiet = watch.soFar()
  let delivered = 0
  mail.onDelivery = ({ to, deliveries }) => {
    if (to === receiver.userId && deliveries === 1) delivered++
  }
  const startedAt = performance.now()
  const [client] = await logIn(bench, mail, [receiver])
  let [last, lastAt] = [0, performance.now()]
  await mail.until(() => {
    if (delivered !== last) [last, lastAt] = [delivered, performance.now()]
    return delivered === count || (delivered >= waiting && performance.now() - lastAt > 3000)
  }, 'what waited')
  const seconds = (lastAt - startedAt) / 1000
  const during = await watch.end()
  mail.judge([receiver.userId], delivered)
  for (const each of [sender!, ...probes, client!]) each.close()
  const grown = Math.max(...Object.values(during.grownMegabytes))
  return {
    figures: { sent: count, handedOver: delivered, seconds, othersBefore: quiet, othersMeanwhile: during },
    faults: mail.faults,
    targets: [
      [`no stall above 50 ms for others: ${during.delivery.max} ms`, during.delivery.max <= 50],
      [`at most 64 MiB more memory: ${grown} MB`, grown <= 64],
    ],
  }
}

/** Somebody is sent more than they read. */
async function unread(bench: Bench): Promise<Outcome> {
  const mail = new Correspondence(bench.domain)
  const [sender, ...probes] = await logIn(bench, mail, bench.senders.slice(4, 7))
  const [receiver] = await logIn(bench, mail, [bench.senders[7]!])
  receiver!.pause()
  const watch = await watchOthers(bench, mail, probes)
  receiver!.onEnd = () => {}
  await mail.sendAll(
    Array.from({ length: Number(values.waiting) }, () => () => mail.send(sender!, receiver!.account.userId, largeText)),
    16,
  )
  const during = await watch.end()
  receiver!.close()
  for (const each of [sender!, ...probes]) each.close()
  const grown = Math.max(...Object.values(during.grownMegabytes))
  return {
    figures: { sent: Number(values.waiting), othersMeanwhile: during },
    faults: mail.faults,
    targets: [[`at most 64 MiB more memory: ${grown} MB`, grown <= 64]],
  }
}

/** Messages between others, fifty a second, and the memory of the processes that carry them. */
async function watchOthers({ stack }: Bench, mail: Correspondence, [from, to]: XmppClient[]) {
  const names = ['prosody', 'message'] as const
  const memory = async () =>
    Promise.all(names.map(async (name) => (await residentMegabytes(stack.process(name).pid!)).resident))
  const before = await memory()
  const peak = [...before]
  const letters: ReturnType<Correspondence['send']>[] = []
  const sending = setInterval(() => letters.push(mail.send(from!, to!.account.userId, 'hi')), 20)
  let isLooking = false
  const looking = setInterval(async () => {
    if (isLooking) return
    isLooking = true
    const now = await memory()
    now.forEach((megabytes, index) => {
      peak[index] = Math.max(peak[index]!, megabytes)
    })
    isLooking = false
  }, 100)
  const figures = () => ({
    delivery: latencyOf(letters.filter(({ deliveredAt }) => deliveredAt).map((each) => each.deliveredAt - each.sentAt)),
    grownMegabytes: Object.fromEntries(names.map((name, index) => [name, Math.round(peak[index]! - before[index]!)])),
  })
  return {
    soFar: figures,
    async end() {
      clearInterval(sending)
      clearInterval(looking)
      await mail.until(() => letters.every(({ deliveries }) => deliveries > 0), 'messages of others')
      return figures()
    },
  }
}

/** The replica that holds the XMPP server is killed under load; then the XMPP server, whose clients come back. */
async function kill(bench: Bench): Promise<Outcome> {
  const mail = new Correspondence(bench.domain)
  const pairs = bench.senders.slice(10, 74)
  let clients = await logIn(bench, mail, pairs)
  let isDown = false
  const perTick = Number(values.rate) / 100
  const unconfirmed = new Map<string, { letter: ReturnType<Correspondence['send']>; sender: number }>()
  let turn = 0
  const sending = setInterval(() => {
    if (isDown) return
    for (let n = 0; n < perTick; n++) {
      const sender = (turn++ % 32) * 2
      const letter = mail.send(clients[sender]!, pairs[sender + 1]!.userId, '你好')
      unconfirmed.set(letter.id, { letter, sender })
    }
  }, 10)
  let lastReceiptAt = 0
  mail.onReceipt = ({ id }) => {
    lastReceiptAt = performance.now()
    unconfirmed.delete(id)
  }
  await delay(3000)

  const holder = await holderOf(bench)
  const killedAt = performance.now()
  await bench.stack.kill(holder, 'SIGKILL')
  lastReceiptAt = 0
  await mail.until(() => lastReceiptAt > 0, 'a receipt after the replica was killed')
  const replica = Math.round(lastReceiptAt - killedAt)
  await bench.stack.restart(holder)
  await delay(3000)

  for (const client of clients) client.onEnd = () => {}
  isDown = true
  const serverKilledAt = performance.now()
  await bench.stack.kill('prosody', 'SIGKILL')
  await bench.stack.restart('prosody')
  const startedAgain = Math.round(performance.now() - serverKilledAt)
  clients = await logIn(bench, mail, pairs)
  const loggedIn = Math.round(performance.now() - serverKilledAt)
  // As apps do: what has no receipt is sent again, in its order.
  for (const { letter, sender } of [...unconfirmed.values()]) mail.write(clients[sender]!, letter)
  isDown = false
  lastReceiptAt = 0
  await mail.until(() => lastReceiptAt > 0, 'a receipt after the XMPP server was killed')
  const server = Math.round(lastReceiptAt - serverKilledAt)
  await delay(3000)
  clearInterval(sending)
  await mail.until(() => [...mail.letters.values()].every((each) => each.receiptedAt && each.deliveries), 'the rest')
  const letters = [...mail.letters.values()]
  const lost = letters.filter(({ deliveries }) => deliveries === 0).length
  if (lost) mail.faults.push(`${lost} messages did not arrive`)
  await judgeArchive(bench, mail)
  for (const client of clients) client.close()
  return {
    figures: {
      sent: letters.length,
      deliveredTwice: letters.filter(({ deliveries }) => deliveries > 1).length,
      replicaKilledToReceiptMs: replica,
      serverKilledMs: { startedAgain, loggedIn, receipt: server },
    },
    faults: mail.faults,
    targets: [
      [`next receipt at most 3 s after the replica was killed: ${replica} ms`, replica <= 3000],
      [`next receipt at most 3 s after the XMPP server was killed: ${server} ms`, server <= 3000],
    ],
  }
}

/** The replica that holds the only XMPP server, as its metrics tell. */
async function holderOf({ stack }: Bench): Promise<'message' | 'message-2'> {
  const text = await (await fetch(`${stack.urls.message}/metrics`)).text()
  return /^im_xmpp_connected 1$/m.test(text) ? 'message' : 'message-2'
}

/** Logs in as fast as the server takes them, and waits until what comes for them goes to them. */
async function logIn(bench: Bench, mail: Correspondence, accounts: readonly Account[]): Promise<XmppClient[]> {
  const clients: XmppClient[] = []
  const queue = [...accounts.entries()]
  const work = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      clients[next[0]] = await bench.login(next[1], (client) => mail.watch(client))
    }
  }
  await Promise.all(Array.from({ length: 100 }, work))
  return clients
}

async function judgeArchive({ stack: { env } }: Bench, mail: Correspondence): Promise<void> {
  const letters = [...mail.letters.values()].map((letter) => ({
    ...letter,
    ...{ place: 0, dueAt: 0, receipts: letter.receiptedAt ? 1 : 0 },
  }))
  const { missing, storedTwice, altered } = await checkArchive(
    env['MONGODB_URL']!,
    `${env['NAMESPACE'] || 'im'}_message`,
    letters,
  )
  if (missing || storedTwice || altered)
    mail.faults.push(`archive: ${missing} missing, ${storedTwice} twice, ${altered} altered`)
}

const rounds: Record<string, (bench: Bench) => Promise<Outcome>> = { cold, storm, backlog, unread, kill }

if (values.help) console.log(usage)
else process.exitCode = await main()
