/** Load on one large room that also judges correctness; see ../README.md. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { rooms } from '@im/contracts/room'
import { type Stack, startStack } from '@im/dev'
import { createTestClient } from '@im/service-kit/testing'
import { type Document, MongoClient } from 'mongodb'
import { copyAccounts } from './chat/copied-accounts.ts'
import { attributeOf, escapeXml } from './chat/stanza-cutter.ts'
import { type Account, XmppClient } from './chat/xmpp-client.ts'
import { machine } from './machine.ts'
import { latencyOf } from './percentiles.ts'
import { cpuSeconds, residentMegabytes } from './process-usage.ts'
import { massJoin } from './room/mass-join.ts'

const usage = `npm run bench:room -- [options]

  --members N     members of the sustained round, all online     (500)
  --senders N     of them who speak, one message at a time each  (10)
  --seconds N     length of the sustained round                  (10)
  --crowd N       streams that get one message                   (10000)
  --joins N       users who join all their rooms at once         (2000)
  --rooms N       rooms of each of them                          (20)
  --room-size N   members of each of these rooms                 (20)
  --said N        messages of each of them that joins ask for    (0)
  --rounds LIST   of sustained, crowd, joins                     (sustained,crowd)
  --node-options=O   NODE_OPTIONS of the services, e.g. '--cpu-prof --cpu-prof-dir=/tmp/profile'
  --json FILE     also write everything as JSON

Exit code 1 when a delivery was lost, doubled, altered or out of order, or a message not receipted or not stored once.`

const { values } = parseArgs({
  options: {
    members: { type: 'string', default: '500' },
    senders: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '10' },
    crowd: { type: 'string', default: '10000' },
    joins: { type: 'string', default: '2000' },
    rooms: { type: 'string', default: '20' },
    'room-size': { type: 'string', default: '20' },
    said: { type: 'string', default: '0' },
    rounds: { type: 'string', default: 'sustained,crowd' },
    'node-options': { type: 'string', default: '' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const loginsAtOnce = 50
const patience = 30_000
const warmUps = 5
/** Messages to the crowd that are measured, and told the mean of: the clock of a process counts in steps of 10 ms. */
const measured = 5
const crowdCpuTarget = 0.25
const deliveriesTarget = 20_000

interface Said {
  id: string
  number: number
  sender: number
  bodyXml: string
  at: number
  deliveries: number
  isReceipted: boolean
  doneAt: number
}

/** A room whose members are all there, and what each of them has heard. */
class Crowd {
  readonly clients: XmppClient[] = []
  readonly said = new Map<string, Said>()
  readonly faults: string[] = []
  readonly #jid: string
  readonly #domain: string
  #answered = 0
  #waiting: (() => void) | undefined
  onDone: (said: Said) => void = () => {}

  constructor(jid: string, domain: string) {
    this.#jid = jid
    this.#domain = domain
  }

  get room(): string {
    return `${this.#jid}@muc.${this.#domain}`
  }

  async enter(accounts: readonly Account[], address: Parameters<typeof XmppClient.login>[0]): Promise<void> {
    for (let first = 0; first < accounts.length; first += loginsAtOnce)
      await Promise.all(
        accounts.slice(first, first + loginsAtOnce).map(async (account) => {
          const heard = new Map<number, number>()
          const client = await XmppClient.login(address, account, 'android', (logged) => {
            logged.onStanza = (stanza) => this.#hear(stanza, heard)
            logged.onEnd = (why) => void this.faults.push(`a stream ended: ${why}`)
          })
          client.onEnd = (why) => void this.faults.push(`a stream ended: ${why}`)
          this.clients.push(client)
          client.send(
            `<presence to='${this.room}/${account.userId}'><x xmlns='http://jabber.org/protocol/muc'><history seconds='0'/></x></presence>`,
          )
        }),
      )
    const end = Date.now() + patience
    while (this.#answered < accounts.length && Date.now() < end) await delay(50)
    if (this.#answered < accounts.length) throw new Error(`${accounts.length - this.#answered} joins had no answer`)
  }

  say(sender: number, number: number): void {
    const client = this.clients[sender]!
    const id = randomBytes(16).toString('hex')
    const { userId } = client.account
    const body = JSON.stringify({
      ...{ type: 1, messageId: id, fromUserId: String(userId), fromUserName: '用户', toUserId: this.#jid },
      ...{ content: `第 ${number} 条消息 ${'x'.repeat(200)}`, timeSend: Date.now() / 1000 },
    })
    const bodyXml = `<body>${escapeXml(body).replaceAll('&apos;', "'")}</body>`
    this.said.set(id, {
      ...{ id, number, sender: userId, bodyXml, at: performance.now() },
      ...{ deliveries: 0, isReceipted: false, doneAt: 0 },
    })
    client.send(
      `<message id='${id}' type='groupchat' to='${this.room}'>${bodyXml}<request xmlns='urn:xmpp:receipts'/></message>`,
    )
  }

  async settled(): Promise<void> {
    const end = performance.now() + patience
    const isOver = () => [...this.said.values()].every(({ doneAt }) => doneAt)
    while (!isOver() && performance.now() < end)
      await Promise.race([delay(100), new Promise<void>((resolve) => (this.#waiting = resolve))])
  }

  #hear(stanza: string, heard: Map<number, number>): void {
    if (stanza.includes('<subject')) {
      this.#answered++
      return
    }
    if (!stanza.startsWith('<message')) return
    if (stanza.includes("type='error'")) return void this.faults.push(stanza.slice(0, 300))
    if (stanza.includes('<received')) {
      this.#receipt(stanza)
      return
    }
    const said = this.said.get(attributeOf(stanza, 'id') ?? '')
    if (!said) return
    if (!stanza.includes(said.bodyXml)) this.faults.push('altered on the way')
    const last = heard.get(said.sender) ?? -1
    if (said.number === last) this.faults.push('delivered twice')
    else if (said.number < last) this.faults.push('out of order')
    heard.set(said.sender, said.number)
    said.deliveries++
    this.#look(said)
  }

  #receipt(stanza: string): void {
    const id = /<received[^>]* id='([^']*)'/.exec(stanza)?.[1] ?? ''
    const said = this.said.get(id)
    if (!said) return
    said.isReceipted = true
    this.#look(said)
  }

  #look(said: Said): void {
    if (said.doneAt || !said.isReceipted || said.deliveries < this.clients.length) return
    said.doneAt = performance.now()
    this.#waiting?.()
    this.onDone(said)
  }

  /** What went wrong in the end, each kind once. */
  verdict(): string[] {
    const all = [...this.said.values()]
    const short = all.filter(({ deliveries }) => deliveries < this.clients.length).length
    const faults = Map.groupBy(this.faults, (fault) => fault)
    return [
      ...(short ? [`${short} messages did not reach everybody`] : []),
      ...(all.some(({ isReceipted }) => !isReceipted) ? ['messages without a receipt'] : []),
      ...[...faults].map(([fault, { length }]) => `${length} ${fault}`),
    ]
  }

  close(): void {
    for (const client of this.clients) client.close()
  }
}

interface Bench {
  stack: Stack
  mongo: MongoClient
  accounts: Account[]
}

const databaseOf = ({ stack }: Bench, service: string) => `${stack.env['NAMESPACE'] || 'im'}_${service}`
const addressOf = ({ stack: { env } }: Bench) => ({
  host: env['XMPP_HOST']!,
  port: Number(env['XMPP_PORT']),
  domain: env['XMPP_DOMAIN']!,
})

/** A room of these accounts: one makes it, and its row of a member is copied for the others. */
async function makeRoom(bench: Bench, accounts: readonly Account[]): Promise<string> {
  const jid = randomBytes(16).toString('hex')
  const [owner, ...others] = accounts
  const api = createTestClient({ baseUrl: bench.stack.urls.gateway, token: owner!.password, timeout: 20_000 })
  await api.call(rooms.addRoom, { room: JSON.stringify({ jid, name: '群' }) })
  await api.close()
  const members = bench.mongo.db(databaseOf(bench, 'room')).collection<Document>('members')
  const own = await members.findOne({ userId: owner!.userId })
  if (!own) throw new Error('the row of the owner is not where it is looked for')
  for (let first = 0; first < others.length; first += 1000)
    await members.insertMany(
      others.slice(first, first + 1000).map(({ userId }) => ({
        ...{ ...own, _id: `${own['roomId']}:${userId}` as never, userId, role: 3, rank: 3 },
      })),
    )
  return jid
}

async function storedOnce(bench: Bench, crowd: Crowd): Promise<string[]> {
  const messages = bench.mongo.db(databaseOf(bench, 'message')).collection('messages')
  const ids = [...crowd.said.keys()]
  const stored = await messages.countDocuments({ messageId: { $in: ids } })
  return stored === ids.length ? [] : [`${stored} rows of ${ids.length} messages`]
}

async function sustained(bench: Bench) {
  const accounts = bench.accounts.slice(0, Number(values.members))
  const address = addressOf(bench)
  const crowd = new Crowd(await makeRoom(bench, accounts), address.domain)
  await crowd.enter(accounts, address)
  const end = performance.now() + Number(values.seconds) * 1000
  const numbers = new Map<number, number>()
  const next = (sender: number) => {
    if (performance.now() >= end) return
    const number = numbers.get(sender) ?? 0
    numbers.set(sender, number + 1)
    crowd.say(sender, number)
  }
  const place = new Map(crowd.clients.map(({ account }, index) => [account.userId, index]))
  crowd.onDone = ({ sender }) => next(place.get(sender)!)
  const begin = performance.now()
  for (let sender = 0; sender < Number(values.senders); sender++) next(sender)
  await delay(end - begin)
  const done = [...crowd.said.values()].filter(({ doneAt }) => doneAt && doneAt <= end)
  await crowd.settled()
  const faults = [...crowd.verdict(), ...(await storedOnce(bench, crowd))]
  crowd.close()
  const perSecond = Math.round((done.length * accounts.length * 1000) / (end - begin))
  const figures = {
    members: accounts.length,
    deliveriesPerSecond: perSecond,
    toAll: latencyOf(done.map(({ at, doneAt }) => doneAt - at)),
  }
  return { figures, faults, targets: [[`${deliveriesTarget} deliveries/s`, perSecond >= deliveriesTarget] as const] }
}

async function crowded(bench: Bench) {
  const accounts = bench.accounts.slice(0, Number(values.crowd))
  const address = addressOf(bench)
  const crowd = new Crowd(await makeRoom(bench, accounts), address.domain)
  await crowd.enter(accounts, address)
  const prosody = bench.stack.process('prosody').pid!
  const message = bench.stack.process('message').pid!
  // The first ones ask who is a member, and let buffers grow.
  for (let number = 0; number < warmUps; number++) {
    crowd.say(0, number)
    await crowd.settled()
    await delay(500)
  }
  await delay(2000)
  const before = {
    cpu: await cpuSeconds(prosody),
    message: await cpuSeconds(message),
    memory: (await residentMegabytes(prosody)).resident,
  }
  for (let number = warmUps; number < warmUps + measured; number++) {
    crowd.say(0, number)
    await crowd.settled()
    await delay(500)
  }
  const used = ((await cpuSeconds(prosody)) - before.cpu) / measured
  const figures = {
    streams: accounts.length,
    xmppCpuMs: Math.round(used * 1000),
    messageCpuMs: Math.round((((await cpuSeconds(message)) - before.message) / measured) * 1000),
    xmppMegabytes: Math.round(((await residentMegabytes(prosody)).resident - before.memory) * 10) / 10,
    toAllMs: [...crowd.said.values()].map(({ at, doneAt }) => Math.round(doneAt - at)),
  }
  const faults = [...crowd.verdict(), ...(await storedOnce(bench, crowd))]
  crowd.close()
  const isMet = used <= crowdCpuTarget && figures.xmppMegabytes <= 4
  return { figures, faults, targets: [['≤ 250 ms of CPU in the XMPP server and ≤ 4 MB kept', isMet] as const] }
}

const joinedBy = ['prosody', 'message', 'room', 'user', 'mongodb', 'redis', 'nats'] as const

const joined = (bench: Bench) =>
  massJoin({
    address: addressOf(bench),
    gatewayUrl: bench.stack.urls.gateway,
    roomDb: bench.mongo.db(databaseOf(bench, 'room')),
    messageDb: bench.mongo.db(databaseOf(bench, 'message')),
    said: Number(values.said),
    processes: Object.fromEntries(joinedBy.map((name) => [name, bench.stack.process(name).pid!])),
    accounts: bench.accounts.slice(0, Number(values.joins) + 2),
    roomsPerUser: Number(values.rooms),
    membersPerRoom: Number(values['room-size']),
  })

async function main(): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), 'im-bench-room-'))
  const wanted = values.rounds.split(',')
  const report: Record<string, unknown> = {}
  let isRight = true
  let stack: Stack | undefined
  let mongo: MongoClient | undefined
  try {
    stack = await startStack({
      dataDir,
      ports: 'free',
      env: {
        ...process.env,
        ...{ NODE_ENV: 'development', LOG_LEVEL: 'warn', LIMIT_FACTOR: '0', NODE_OPTIONS: values['node-options'] },
      },
      apart: 'all',
      supervise: false,
    })
    mongo = await MongoClient.connect(stack.env['MONGODB_URL']!)
    const count = Math.max(
      wanted.includes('sustained') ? Number(values.members) : 0,
      wanted.includes('crowd') ? Number(values.crowd) : 0,
      wanted.includes('joins') ? Number(values.joins) + 2 : 0,
    )
    const database = `${stack.env['NAMESPACE'] || 'im'}_user`
    const mongoUrl = stack.env['MONGODB_URL']!
    const accounts = await copyAccounts({ userUrl: stack.urls.user, mongoUrl, database, count })
    const bench = { stack, mongo, accounts }
    for (const [name, run] of [
      ['sustained', sustained],
      ['crowd', crowded],
      ['joins', joined],
    ] as const) {
      if (!wanted.includes(name)) continue
      const outcome = await run(bench)
      report[name] = outcome
      console.log(name, JSON.stringify(outcome.figures))
      for (const [what, isMet] of outcome.targets) console.log(`${isMet ? 'met   ' : 'MISSED'}   ${what}`)
      for (const fault of outcome.faults) console.log(`WRONG: ${fault}`)
      isRight &&= outcome.faults.length === 0
    }
    if (values.json) await writeFile(values.json, `${JSON.stringify({ machine: machine(), ...report }, null, 2)}\n`)
    return isRight ? 0 : 1
  } finally {
    await mongo?.close()
    await stack?.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}

if (values.help) console.log(usage)
else process.exit(await main())
