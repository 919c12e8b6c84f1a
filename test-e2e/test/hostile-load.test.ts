import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { profiles } from '@im/contracts/user'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { startJourney } from '../src/journey.ts'
import type { Person } from '../src/people.ts'
import type { TestStack } from '../src/stack.ts'

/** Milliseconds a call may take while somebody attacks. */
const slowest = 200
/** How long (ms) an attack lasts at least of which a share must meet a limit. */
const attackMs = 5000
/** Megabytes by which the gateway may grow. */
const growth = 200

interface Got {
  connections: number
  closed: number
  answers: number
  refusals: number
}

interface Attacker {
  /** Ends it and tells what it got. */
  end(): Promise<Got>
}

function startAttack(t: Test, stack: TestStack, kind: string, mallory: Person): Attacker {
  const file = join(import.meta.dirname, '../src/attacks/attack.ts')
  const env = { ...process.env, XMPP_DOMAIN: stack.xmppDomain, MALLORY_TOKEN: mallory.token }
  const child: ChildProcess = spawn(process.execPath, [file, kind, stack.gatewayUrl, '127.0.0.2'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout?.on('data', (chunk) => {
    text += chunk
  })
  const end = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    return JSON.parse(text || '{}') as Got
  }
  t.after(end)
  return { end }
}

/** Megabytes the gateway holds. */
async function memoryOf({ env }: TestStack): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${env['OPERATIONS_PORT']}/metrics`)).text()
  return Number(/^process_resident_memory_bytes\S* (\d+)/m.exec(text)?.[1]) / 1e6
}

/** Calls as an app makes them, one after the other: milliseconds of the slowest of a hundred. */
async function p99Of(alice: Person, calls: number): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < calls; n++) {
    const startedAt = performance.now()
    const { resultCode } = await alice.ask(profiles.getUser)
    times.push(performance.now() - startedAt)
    if (resultCode !== 1) throw new Error(`alice was answered ${resultCode}`)
    await delay(10)
  }
  times.sort((a, b) => a - b)
  return times[Math.ceil(times.length * 0.99) - 1] ?? Number.NaN
}

const polls = (stack: TestStack) =>
  fetch(`${stack.gatewayUrl}/http-bind`, {
    method: 'POST',
    body: `<body xmlns="http://jabber.org/protocol/httpbind" rid="1" to="${stack.xmppDomain}" wait="5" hold="1" ver="1.6"/>`,
    headers: { 'content-type': 'text/xml' },
    signal: AbortSignal.timeout(2000),
  })

test('an attacker takes nothing from an app that comes from elsewhere', { timeout: 280_000 }, async (t) => {
  const { stack, people } = await startJourney(t, { apart: ['gateway'], env: { LIMIT_FACTOR: '1' } })
  const alice = await people.register('alice')
  const mallory = await people.register('mallory')
  t.comment(`without an attacker p99 is ${(await p99Of(alice, 100)).toFixed(1)} ms`)

  const kinds: [kind: string, check?: (got: Got) => void, atLeastMs?: number][] = [
    ['half heads'],
    ['half bodies'],
    ['half bodies of a user'],
    ['slow bodies'],
    [
      'calls with dead tokens',
      ({ answers, refusals }) => t.ok(refusals > answers * 0.8, 'nearly all at the limit'),
      attackMs,
    ],
    ['megabytes with dead tokens'],
    ['forged headers'],
    ['long values'],
    ['long polls', ({ refusals }) => t.ok(refusals > 500, 'one address waits so often and no more')],
    ['WebSockets', ({ refusals }) => t.ok(refusals > 500, 'one address has so many and no more')],
  ]
  for (const [kind, check, atLeastMs = 0] of kinds) {
    const before = await memoryOf(stack)
    const attacker = startAttack(t, stack, kind, mallory)
    const longEnough = delay(atLeastMs)
    // Until it is in full force.
    await delay(1000)
    // Other work of the machine may disturb a round; an attack that succeeds disturbs them all.
    const rounds = [await p99Of(alice, 100)]
    while (Math.min(...rounds) > slowest && rounds.length < 3) rounds.push(await p99Of(alice, 100))
    const p99 = Math.min(...rounds)
    const grown = (await memoryOf(stack)) - before
    t.ok(p99 <= slowest, `${kind}: p99 ${p99.toFixed(1)} ms`)
    t.ok(grown <= growth, `${kind}: ${grown.toFixed(0)} MB more`)
    t.equal((await polls(stack)).status, 200, `${kind}: web chat goes on`)
    const phone = await alice.phone('web', { service: `${stack.gatewayUrl.replace('http', 'ws')}/xmpp-websocket` })
    await phone.hangUp()
    await longEnough
    const got = await attacker.end()
    t.comment(`${kind}: ${JSON.stringify(got)}`)
    check?.(got)
  }
  await eventually(async () => (await fetch(`http://127.0.0.1:${stack.env['OPERATIONS_PORT']}/readyz`)).status === 200)
})
