import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { accounts } from '@im/contracts/user'
import { startStack } from '@im/dev'
import { withoutGivenServers } from '@im/dev/servers'
import { createTestClient, type TestClient } from '@im/service-kit/testing'
import { type Confirms, Device, type Servers } from './device.ts'
import { Dice } from './dice.ts'
import { FaultInjector, type Happened } from './fault-injector.ts'
import { FlakyProxy } from './flaky-proxy.ts'
import { type Faults, judge, type Remarks, remark, type ServerKill } from './judge.ts'
import { Ledger } from './ledger.ts'
import { Person } from './person.ts'
import { readHistories } from './read-histories.ts'
import { Room } from './room.ts'
import { type LinkTarget, scheduleOf } from './schedule.ts'

export interface TortureOptions {
  seed: number
  seconds: number
  faults: number
  people: number
  /** What each person does in a second. */
  perSecond: number
  /** Keeps data and logs of the stack there. Default: a new folder, removed when nothing is wrong. */
  dataDir?: string
  report?: (line: string) => void
}

export interface TortureReport {
  seed: number
  faults: Faults
  remarks: Remarks
  counts: { messages: number; receipted: number; delivered: number; refused: number; recalled: number; streams: number }
  happened: readonly Happened[]
  /** Processes that ended without our doing or did not come back. */
  deaths: readonly string[]
  ledger: Ledger
  dataDir: string
}

/**
 * How long (ms) the stack may take after the last message until all is well: everything runs, everything is confirmed, everybody
 * is back. Longer than until a client sends again what was lost on its way, and short enough for a test to tell what is wrong.
 */
const patience = { running: 25_000, confirmed: 65_000, back: 75_000, delivered: 85_000 }
/** Longer than it takes to find rows of mailboxes that nobody rang for. */
const quietFor = 12_000

/** Two XMPP servers, two replicas of the message service and everything around them, while their processes and connections die. */
export async function torture(options: TortureOptions): Promise<TortureReport> {
  const { seed, report = () => {} } = options
  const dice = new Dice(seed)
  const schedule = scheduleOf(seed, { faults: options.faults, lastsMs: options.seconds * 1000 })
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'im-torture-')))
  const deaths: string[] = []
  const proxies: FlakyProxy[] = []
  const links: Partial<Record<LinkTarget, FlakyProxy>> = {}
  const through = async (name: LinkTarget, port: number) => {
    const proxy = await FlakyProxy.start(port)
    proxies.push(proxy)
    links[name] = proxy
    return proxy.port
  }
  const ledger = new Ledger()
  const stack = await startStack({
    dataDir,
    onServiceLog: (line) => ledger.logged(line),
    ports: 'free',
    apart: 'all',
    services: ['gateway', 'user', 'social', 'room', 'org', 'message'],
    xmppServers: 2,
    replicas: { message: 2 },
    env: {
      ...withoutGivenServers(process.env),
      NODE_ENV: 'test',
      LOG_LEVEL: 'debug',
      LIMIT_FACTOR: '0',
      XMPP_TLS: 'off',
      SHUTDOWN_SECONDS: '5',
    },
    reroute: async (env) => ({
      ...env,
      MONGODB_URL: await rerouted(env['MONGODB_URL']!, (port) => through('mongodb', port)),
      REDIS_URL: await rerouted(env['REDIS_URL']!, (port) => through('redis', port)),
      NATS_URL: await rerouted(env['NATS_URL']!, (port) => through('nats', port)),
      XMPP_COMPONENT_URL: (
        await Promise.all(
          env['XMPP_COMPONENT_URL']!.split(',').map((url, index) =>
            rerouted(url, (port) => through(index ? 'component-2' : 'component', port)),
          ),
        )
      ).join(','),
    }),
    report: {
      info: (line) => {
        if (/was killed|ended with|did not come back/.test(line)) deaths.push(line)
      },
      progress() {},
    },
  })
  const api = createTestClient({ baseUrl: stack.urls.gateway, timeout: 10_000 })
  const people: Person[] = []
  try {
    const ports = await Promise.all(
      stack.env['XMPP_PORTS']!.split(',').map((port, index) => through(index ? 'clients-2' : 'clients', Number(port))),
    )
    const servers: Servers = { ports, domain: stack.env['XMPP_DOMAIN']! }
    people.push(...(await register(options.people, { api, dice, ledger, servers })))
    await openRooms(people, api)
    report(`${people.length} people on ${people.flatMap(({ devices }) => devices).length} devices`)
    const lives = people.flatMap(({ devices }) => devices.map((device) => device.live()))
    const devices = people.flatMap((person) => person.devices)
    await until(() => devices.every(({ isOnline }) => isOnline), performance.now() + 30_000)

    const ending = new AbortController()
    const injector = new FaultInjector(stack, links as Record<LinkTarget, FlakyProxy>)
    const acting = people.map((person) => person.act(options.perSecond, ending.signal))
    const injecting = injector.run(schedule)
    const telling = setInterval(() => {
      const { messages } = ledger
      report(`${messages.size} messages, ${injector.happened.length} of ${schedule.length} faults over`)
    }, 10_000)
    await delay(options.seconds * 1000)
    const over = performance.now()
    injector.end()
    ending.abort()
    let isRunning = false
    void Promise.all([injecting, ...acting]).then(() => {
      isRunning = true
    })
    if (!(await until(() => isRunning, over + patience.running)))
      deaths.push('not everything runs and answers after the last fault')
    injector.giveUp()
    clearInterval(telling)

    for (const device of devices) device.stay()
    const isConfirmed = () => devices.every(({ isSettled, isOnline }) => isOnline && isSettled)
    const confirmed = await until(isConfirmed, over + patience.confirmed)
    report(`${confirmed ? 'everything' : 'not everything'} is confirmed or refused; everybody logs in again`)
    await Promise.all(devices.map((device) => device.loginAgain()))
    await until(() => devices.every(({ isOnline }) => isOnline), over + patience.back)
    const histories = await readHistories(people, api)
    const killed = injector.happened.flatMap(({ fault: { kind, target }, from }): ServerKill[] =>
      kind === 'kill' && /^prosody(-2)?$/.test(target) ? [{ server: target === 'prosody' ? 0 : 1, at: from }] : [],
    )
    const began = performance.now()
    await until(
      () => {
        if (performance.now() - Math.max(ledger.lastDeliveryAt, began) < quietFor) return false
        return !judge(ledger, histories, killed)['receipted and not delivered'].length
      },
      Math.max(over + patience.delivered, began + quietFor + 3000),
    )
    for (const device of devices) device.end()
    await Promise.all(lives)
    const faults = judge(ledger, histories, killed)
    const all = [...ledger.messages.values()]
    return {
      seed,
      faults,
      remarks: remark(ledger),
      counts: {
        messages: all.length,
        receipted: all.filter(({ receiptAt }) => receiptAt !== undefined).length,
        delivered: all.filter(({ deliveries }) => deliveries.length).length,
        refused: all.filter(({ isGivenUp }) => isGivenUp).length,
        recalled: all.filter(({ kind }) => kind === 'recall').length,
        streams: ledger.streams.length,
      },
      happened: injector.happened,
      deaths,
      ledger,
      dataDir,
    }
  } finally {
    for (const person of people) {
      person.end()
      for (const device of person.devices) device.end()
    }
    await api.close()
    await stack.close()
    for (const proxy of proxies) proxy.close()
  }
}

async function rerouted(url: string, through: (port: number) => Promise<number>): Promise<string> {
  const { port } = new URL(url)
  return url.replace(`:${port}`, `:${await through(Number(port))}`)
}

/** As many people, each with some of the others to write to; every second one has two devices. */
async function register(
  count: number,
  { api, dice, ledger, servers }: { api: TestClient; dice: Dice; ledger: Ledger; servers: Servers },
): Promise<Person[]> {
  const people: Person[] = []
  const password = '5f4dcc3b5aa765d61d8327deb882cf99'
  for (let index = 0; index < count; index++) {
    const telephone = `139${String(index).padStart(8, '0')}`
    const first = await api.call(accounts.register, {
      telephone,
      password,
      nickname: `用户${index}`,
      deviceKey: 'android',
    })
    const logins = [{ resource: 'android', password: first.access_token }]
    if (index % 2) {
      const second = await api.call(accounts.login, { telephone, password, deviceKey: 'pc' })
      logins.push({ resource: 'pc', password: second.access_token })
    }
    const devices = logins.map(
      (login) =>
        new Device({
          account: { userId: first.userId, ...login },
          ...{ servers, ledger, dice: dice.fork() },
          confirms: dice.weighted<Confirms>({ sm: 5, ack: 3, nothing: 2 }),
        }),
    )
    const { userId, access_token: token } = first
    people.push(new Person({ userId, token, devices, api, ledger, dice: dice.fork() }))
  }
  for (const [index, person] of people.entries())
    person.peers = [1, 2, 5].map((step) => people[(index + step) % count]!.userId)
  return people
}

/** So many people share a room; each second one of them is in the next one, too. */
const roomSize = 6

async function openRooms(people: readonly Person[], api: TestClient): Promise<void> {
  for (let first = 0; first < people.length; first += roomSize) {
    const next = people.slice(first + roomSize, first + 2 * roomSize).filter((_, index) => index % 2)
    const members = [...people.slice(first, first + roomSize), ...next]
    const room = await Room.make(
      members.map(({ userId }) => userId),
      members[0]!.token,
      api,
    )
    for (const member of members) {
      member.rooms = [...member.rooms, room]
      for (const device of member.devices) device.rooms = member.rooms
    }
  }
}

/** False when the time (of performance.now()) is over before it is true. */
async function until(isTrue: () => boolean, end: number): Promise<boolean> {
  while (!isTrue()) {
    if (performance.now() > end) return false
    await delay(100)
  }
  return true
}

/** For tests: removes what the stack has kept. */
export const forget = (report: TortureReport) => rm(report.dataDir, { recursive: true, force: true })
