import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type ProcessName, type ServerName, type ServiceName, startStack } from '@im/dev'
import { type Balancer, startBalancer } from '@im/dev/balancer'
import { bundle } from '@im/dev/bundles'
import { repositoryRoot, thisMachine } from '@im/dev/machine'
import { silentReporter } from '@im/dev/reporter'
import { withoutGivenServers } from '@im/dev/servers'
import { createTestClient } from '@im/service-kit/testing'
import type { Servers } from '../torture/device.ts'
import { Dice } from '../torture/dice.ts'
import { type Faults, judge } from '../torture/judge.ts'
import { Ledger } from '../torture/ledger.ts'
import { readHistories } from '../torture/read-histories.ts'
import { callsOf, type MadeCall, makeCalls } from './call-load.ts'
import { type CallFigures, figuresOf, type SlowCalls, slowCalls, wrongCalls } from './judge-calls.ts'
import { deliveredTwice, gapsOf, mostLoginsInASecond } from './judge-streams.ts'
import { MachineUsage } from './machine-usage.ts'
import { type Replacement, replaceInTurn } from './replacements.ts'
import { registerWriters, writeMessages } from './writer.ts'

export interface NoonOptions {
  callsPerSecond: number
  messagesPerSecond: number
  people: number
  /** What is replaced in turn, first in order, then by kill -9. */
  ended: readonly (ProcessName | ServerName)[]
  killed: readonly (ProcessName | ServerName)[]
  /** What runs twice. Default: all that takes calls or messages. */
  twice?: readonly ServiceName[]
  /** Seconds of load before, between and after replacements. */
  steadySeconds: number
  pauseSeconds: number
  env?: Record<string, string>
  report?: (line: string) => void
}

/** Of each part of the run: before anything happens, while processes end in order, while they are killed. */
export type Part = 'steady' | 'ended' | 'killed'

export interface NoonReport {
  calls: Record<Part, CallFigures>
  /** Share of the machine's CPU that nobody used. */
  idle: Record<Part, number>
  /** Slow calls of the part in which processes end in order. */
  slowCalls: SlowCalls[]
  /** Calls that failed and should not have. */
  wrongCalls: string[]
  messages: { sent: number; receipted: number; refused: number }
  /** Each must be none. */
  faults: Faults
  /** Messages that a device got twice; when nothing was killed there must be none. */
  twice: string[]
  twiceWhileEnding: string[]
  streams: { gaps: number; longestGap: number; mostLoginsInASecond: number }
  replacements: Replacement[]
  dataDir: string
}

/** Every service that takes calls or messages, twice. */
const everyService: readonly ServiceName[] = ['gateway', 'user', 'social', 'room', 'org', 'message', 'push']

export const allProcesses: readonly (ProcessName | ServerName)[] = [
  ...everyService.flatMap((name): ProcessName[] => [name, `${name}-2`]),
  'prosody',
  'prosody-2',
]

/** How long (ms) everything may take to be confirmed and delivered after the last replacement. */
const patience = 60_000
/** Nothing is on its way any more when nothing has come for so long (ms): mailboxes are looked through that often. */
const quietFor = 7000

/** Two of everything behind balancers, under load, while one process after the other is replaced. */
export async function noon(options: NoonOptions): Promise<NoonReport> {
  const { report = () => {}, people: count, twice = everyService } = options
  const dataDir = await mkdtemp(join(tmpdir(), 'im-noon-'))
  const env = withoutGivenServers(process.env)
  const machine = thisMachine(env, silentReporter)
  const balancers: Balancer[] = []
  const closing: (() => unknown)[] = []
  try {
    // As in the image: a process that starts takes less of the CPU from others. Test runs have a bundle already.
    const quick = env['IM_BUNDLES'] ? {} : await bundle([], repositoryRoot, join(dataDir, 'bundles'))
    const stack = await startStack({
      dataDir,
      ports: 'free',
      apart: twice,
      xmppServers: 2,
      replicas: Object.fromEntries(twice.map((name) => [name, 2])),
      supervise: false,
      env: {
        ...env,
        NODE_ENV: 'test',
        LOG_LEVEL: 'info',
        // Limits of calls are out of the way, those of logins are on.
        LIMIT_FACTOR: '1000',
        XMPP_TLS: 'off',
        DRAIN_SECONDS: '6',
        ...quick,
        ...options.env,
      },
      async balance(replicas) {
        const routes = [...replicas].map(([name, some]) => {
          return [name, some.map(({ port, operationsPort: probePort }) => ({ port, probePort }))] as const
        })
        const balancer = await startBalancer({ machine, dataDir, name: 'balancer', routes: Object.fromEntries(routes) })
        balancers.push(balancer)
        closing.push(() => balancer.close())
        const urls = Object.entries(balancer.ports).map(([name, port]) => [name, `http://127.0.0.1:${port}`])
        return Object.fromEntries(urls)
      },
    })
    closing.push(() => stack.close())
    const xmpp = stack.env['XMPP_PORTS']!.split(',').map((port) => ({ port: Number(port) }))
    const entrance = await startBalancer({ machine, dataDir, name: 'entrance', routes: { xmpp } })
    balancers.push(entrance)
    closing.push(() => entrance.close())
    const api = createTestClient({ baseUrl: stack.urls.gateway, timeout: 15_000 })
    closing.push(() => api.close())

    const dice = new Dice(1)
    const ledger = new Ledger((body) => /^\{"type":800,/.test(body))
    const servers: Servers = { ports: [entrance.ports['xmpp']!], domain: stack.env['XMPP_DOMAIN']! }
    const writers = await registerWriters(count, { api, dice, ledger, servers })
    const devices = writers.map(({ device }) => device)
    const lives = devices.map((device) => device.live())
    closing.push(async () => {
      for (const device of devices) device.end()
      await Promise.all(lives)
    })
    if (!(await until(() => devices.every(({ isOnline }) => isOnline), patience)))
      throw new Error('not everybody came online')
    const callers = writers.slice(0, 10)
    const calls = (
      await Promise.all(callers.map(({ userId, token, peers }) => callsOf({ userId, token, peer: peers[0]! }, api)))
    ).flat()
    report(`${count} people are online`)

    const made: MadeCall[] = []
    const ending = new AbortController()
    const loads = [
      makeCalls({ calls, perSecond: options.callsPerSecond, made, until: ending.signal }),
      writeMessages({ writers, perSecond: options.messagesPerSecond, dice, ledger, until: ending.signal }),
    ]
    const steady = options.steadySeconds * 1000
    const replacements: Replacement[] = []
    const common = {
      ...{ stack, balancers, pause: options.pauseSeconds * 1000 },
      done(replacement: Replacement) {
        replacements.push(replacement)
        const { name, how, at, goneAt, wholeAt } = replacement
        report(`${name} ${how} in ${seconds(goneAt - at)}, was back after ${seconds(wholeAt - goneAt)}`)
      },
    }
    // The first calls are slow because nothing is compiled yet.
    await delay(steady)
    const usage = new MachineUsage()
    const steadyAt = performance.now()
    await delay(steady)
    const idleSteady = usage.idle()
    const endedAt = performance.now()
    await replaceInTurn({ ...common, names: options.ended, how: 'ended' })
    await delay(steady)
    const idleEnded = usage.idle()
    const killedAt = performance.now()
    const twiceWhileEnding = deliveredTwice(ledger)
    await replaceInTurn({ ...common, names: options.killed, how: 'killed' })
    await delay(steady)
    const idle = { steady: idleSteady, ended: idleEnded, killed: usage.idle() }
    ending.abort()
    await Promise.all(loads)

    const isConfirmed = () => devices.every(({ isSettled, isOnline }) => isOnline && isSettled)
    report(
      `${(await until(isConfirmed, patience)) ? 'everything' : 'not everything'} is confirmed; everybody logs in again`,
    )
    const logins = mostLoginsInASecond(ledger.streams.filter(({ beganAt }) => beganAt > steadyAt))
    const gaps = gapsOf(ledger)
    await Promise.all(devices.map((device) => device.loginAgain()))
    await until(() => devices.every(({ isOnline }) => isOnline), patience)
    const histories = await readHistories(writers, api)
    report('all histories are read')
    const lookedAt = performance.now()
    await until(() => {
      const isQuiet = performance.now() - Math.max(ledger.lastDeliveryAt, lookedAt) > quietFor
      return isQuiet || !judge(ledger, histories, [])['receipted and not delivered'].length
    }, patience)
    const between = (from: number, to: number) =>
      figuresOf(made.filter(({ beganAt }) => beganAt >= from && beganAt < to))
    const all = [...ledger.messages.values()]
    return {
      calls: {
        steady: between(steadyAt, endedAt),
        ended: between(endedAt, killedAt),
        killed: between(killedAt, Number.POSITIVE_INFINITY),
      },
      idle,
      slowCalls: slowCalls(
        made.filter(({ beganAt }) => beganAt >= endedAt && beganAt < killedAt),
        replacements,
      ),
      wrongCalls: wrongCalls(
        made,
        replacements.filter(({ how }) => how === 'killed'),
      ),
      messages: {
        sent: all.length,
        receipted: all.filter(({ receiptAt }) => receiptAt !== undefined).length,
        refused: all.filter(({ refusals }) => refusals.length).length,
      },
      faults: judge(ledger, histories, []),
      twice: deliveredTwice(ledger),
      twiceWhileEnding,
      streams: {
        gaps: gaps.length,
        longestGap: Math.round(Math.max(0, ...gaps.map(({ ms }) => ms))),
        mostLoginsInASecond: logins,
      },
      replacements,
      dataDir,
    }
  } finally {
    for (const close of closing.toReversed()) await close()
  }
}

/** For tests: removes what the stack has kept. */
export const forgetNoon = ({ dataDir }: NoonReport) => rm(dataDir, { recursive: true, force: true })

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`

/** False when it is not true within `ms`. */
async function until(isTrue: () => boolean, ms: number): Promise<boolean> {
  const end = performance.now() + ms
  while (!isTrue()) {
    if (performance.now() > end) return false
    await delay(100)
  }
  return true
}
