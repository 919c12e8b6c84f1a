import { createMetrics } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { type ChannelLimits, channelLimits, ProviderChannel } from '../../src/providers/channel.ts'
import { ChannelMetrics } from '../../src/providers/channel-metrics.ts'
import { Refusal } from '../../src/providers/outcomes.ts'
import type { Outcome, Provider, Target } from '../../src/providers/provider.ts'
import { SlowDown } from '../../src/providers/slow-down.ts'
import { makeNotification, quickLimits, recordLog, target } from './start-channels.ts'

/** A channel to a provider that answers what `answer` says, and what was sent. */
function startChannel(
  t: Test,
  answer: (to: Target, call: number) => Outcome | Promise<Outcome>,
  options: {
    limits?: Partial<ChannelLimits>
    perCall?: number
    clock?: { now: number }
    sourceOf?: (to: Target) => string
  } = {},
) {
  const { limits, perCall = 1, clock, sourceOf } = options
  const sent: string[][] = []
  const running = { now: 0, most: 0 }
  const provider: Provider = {
    name: 'vivo',
    perCall,
    replaces: true,
    ...(sourceOf ? { sourceOf } : {}),
    async send(_notification, targets) {
      sent.push(targets.map(({ token }) => token))
      const call = sent.length
      running.most = Math.max(running.most, ++running.now)
      try {
        return await Promise.all(targets.map((to) => answer(to, call)))
      } finally {
        running.now--
      }
    },
    close: async () => {},
  }
  const { log, lines } = recordLog()
  const channel = new ProviderChannel({
    provider,
    limits: { ...channelLimits, ...quickLimits, ...limits },
    log,
    metrics: new ChannelMetrics(createMetrics('push')),
    now: () => clock?.now ?? Date.now(),
  })
  t.after(() => channel.close())
  const send = (tokens: string[], given = {}) =>
    channel.send(
      makeNotification(given),
      tokens.map((token) => target(token)),
    )
  return { channel, sent, lines, running, send }
}

const accepted: Outcome = { kind: 'accepted' }
const dead: Outcome = { kind: 'dead', reason: 'gone' }
const kinds = (deliveries: { kind: string }[]) => deliveries.map(({ kind }) => kind)
const tokens = (count: number) => Array.from({ length: count }, (_, index) => `t${index}`)

test('calls hold as many targets as the provider takes, and only so many run at once', async (t) => {
  const gate = Promise.withResolvers<void>()
  const { send, sent, running } = startChannel(
    t,
    async () => {
      await gate.promise
      return accepted
    },
    { perCall: 10, limits: { concurrency: 3 } },
  )
  const sending = send(tokens(75))
  await eventually(() => running.now === 3)
  gate.resolve()
  t.strictSame(new Set(kinds(await sending)), new Set(['accepted']))
  t.equal(running.most, 3)
  t.strictSame(
    sent.map(({ length }) => length),
    [10, 10, 10, 10, 10, 10, 10, 5],
  )
})

test('only what failed is tried again, three times at most', async (t) => {
  const { send, sent } = startChannel(
    t,
    ({ token }) => (token === 't1' ? { kind: 'retry', reason: '500' } : token === 't2' ? dead : accepted),
    { perCall: 10 },
  )
  t.strictSame(kinds(await send(tokens(4))), ['accepted', 'retry', 'dead', 'accepted'])
  t.strictSame(sent, [['t0', 't1', 't2', 't3'], ['t1'], ['t1']])
})

test('more than may wait is refused at once', async (t) => {
  const gate = Promise.withResolvers<void>()
  const { send, sent } = startChannel(
    t,
    async () => {
      await gate.promise
      return accepted
    },
    { limits: { concurrency: 1, waiting: 10 } },
  )
  const first = send(tokens(8))
  t.match(await send(tokens(3)), Array(3).fill({ kind: 'slow', retryAfterMs: Number }))
  const second = send(tokens(2))
  gate.resolve()
  t.strictSame(kinds([...(await first), ...(await second)]), Array(10).fill('accepted'))
  t.equal(sent.length, 10)
  t.strictSame(kinds(await send(tokens(20))), Array(20).fill('accepted'), 'one large room goes through an empty queue')
})

test('what waited long for its turn is not sent before the caller has looked at it again', async (t) => {
  const gate = Promise.withResolvers<void>()
  const clock = { now: Date.now() }
  const { send, sent } = startChannel(
    t,
    async () => {
      await gate.promise
      return accepted
    },
    { clock, perCall: 2, limits: { concurrency: 1, waiting: 5 } },
  )
  const expiresAt = clock.now + 3_600_000
  const [running, waiting] = [send(['a'], { expiresAt }), send(['b', 'c', 'd'], { expiresAt })]
  clock.now += 10_001
  const fresh = send(['e'], { expiresAt })
  gate.resolve()
  t.strictSame(kinds(await running), ['accepted'])
  t.strictSame(await waiting, Array(3).fill({ kind: 'late', retryAfterMs: 0 }))
  t.strictSame(kinds(await fresh), ['accepted'])
  t.strictSame(sent, [['a'], ['e']])
  t.strictSame(kinds(await send(tokens(4), { expiresAt })), Array(4).fill('accepted'), 'they no longer fill the queue')
})

test('a provider that stays busy keeps nothing for long: the caller looks at it again', async (t) => {
  let ahead = 0
  const clock = {
    get now() {
      return Date.now() + ahead
    },
  }
  const { send, sent } = startChannel(
    t,
    () => {
      ahead += 4000
      return { kind: 'slow', scope: 'provider', retryAfterMs: 1, reason: '429' }
    },
    { clock },
  )
  t.strictSame(await send(['a'], { expiresAt: clock.now + 3_600_000 }), [{ kind: 'late', retryAfterMs: 0 }])
  t.equal(sent.length, 3)
})

test('a provider that says "again in 0 seconds" is not called without end', async (t) => {
  const busy: Outcome = { kind: 'retry', retryAfterMs: 0, reason: '503' }
  const failing = startChannel(t, () => busy)
  t.strictSame(kinds(await failing.send(['a'])), ['retry'])
  t.equal(failing.sent.length, 3)
  const slow = startChannel(t, () => ({ kind: 'slow', scope: 'provider', retryAfterMs: 0, reason: '429' }))
  await slow.send(['a'], { expiresAt: Date.now() + 400 })
  t.ok(slow.sent.length < 8, `${slow.sent.length} calls in 400 ms`)
})

test('a call that began before a pause and is taken says nothing of it', async (t) => {
  let now = 1000
  const pause = new SlowDown({ firstMs: 100, now: () => now })
  for (const [least, most] of [
    [75, 125],
    [150, 250],
  ] as const) {
    pause.pause(undefined, now)
    t.ok(pause.leftMs >= least && pause.leftMs <= most, `${pause.leftMs} ms`)
    pause.reset(now - 1)
    now += 1000
  }
  pause.reset(now)
  pause.pause(undefined, now)
  t.ok(pause.leftMs <= 125, 'a later one ends the doubling')
})

test('a pause holds everybody, doubles while the provider is slow, and ends with what has expired', async (t) => {
  const slow: Outcome = { kind: 'slow', scope: 'provider', reason: '429' }
  const times: number[] = []
  const { send } = startChannel(t, (_to, call) => {
    times.push(Date.now())
    return call <= 3 ? slow : accepted
  })
  const [first] = await Promise.all([send(['a']), send(['b'])])
  t.strictSame(kinds(first), ['accepted'])
  const last = times.length - 1
  t.ok((times[last] ?? 0) - (times[0] ?? 0) > 75, 'two pauses of 50 and 100 ms, a quarter shorter at most')

  const always = startChannel(t, () => ({ ...slow, retryAfterMs: 50 }))
  t.strictSame(kinds(await always.send(['a'], { expiresAt: Date.now() + 200 })), ['expired'])
  t.ok(always.sent.length >= 2)
})

test('during a long pause nothing waits in memory: whoever hands it over decides again afterwards', async (t) => {
  const clock = { now: Date.now() }
  const slow: Outcome = { kind: 'slow', scope: 'provider', retryAfterMs: 60_000, reason: '429' }
  const { send, sent } = startChannel(t, (_to, call) => (call === 1 ? slow : accepted), { clock })
  const expiresAt = clock.now + 3_600_000
  t.strictSame(await send(['a'], { expiresAt }), [{ kind: 'slow', retryAfterMs: 60_000 }])
  clock.now += 20_000
  t.strictSame(await send(['c'], { expiresAt }), [{ kind: 'slow', retryAfterMs: 40_000 }])
  t.strictSame(kinds(await send(['d'], { expiresAt: clock.now })), ['expired'])
  const asked = sent.length
  clock.now += 40_001
  t.strictSame(kinds(await send(['a'], { expiresAt })), ['accepted'])
  t.equal(sent.length, asked + 1)
})

test('a device that gets too many is not waited for, and holds nobody', async (t) => {
  const { send } = startChannel(t, ({ token }) =>
    token === 'busy' ? { kind: 'slow', scope: 'device', retryAfterMs: 60_000, reason: '429' } : accepted,
  )
  t.strictSame(await send(['busy', 'a']), [{ kind: 'slow', retryAfterMs: 60_000 }, { kind: 'accepted' }])
})

/** `t1@x.test`: the server is what stands behind the `@`. */
const serverOf = ({ token }: Target) => token.slice(token.indexOf('@'))

test('servers of users that never answer hold no other one up, however many they are', async (t) => {
  const silent: PromiseWithResolvers<Outcome>[] = []
  const { send, sent, running } = startChannel(
    t,
    ({ token }) => {
      if (!token.includes('silent')) return accepted
      const answer = Promise.withResolvers<Outcome>()
      silent.push(answer)
      return answer.promise
    },
    { sourceOf: serverOf, limits: { concurrency: 20, waiting: 1000 } },
  )
  const to = (server: string, count = 50) => tokens(count).map((token) => `${token}@${server}`)
  await send(['a@known'])
  const flood = Promise.all([send(to('silent', 300)), ...tokens(300).map((token) => send([`a@${token}.silent`]))])
  t.strictSame(kinds(await send(to('known'))), Array(50).fill('accepted'))
  t.equal(silent.length, 5, 'a quarter of the calls')
  const fresh = send(to('fresh'))
  for (const { resolve } of silent) resolve({ kind: 'retry', reason: 'no answer' })
  t.strictSame(kinds(await fresh), Array(50).fill('accepted'), 'a server of many comes before the rest of them')
  t.ok(silent.length < 20)
  t.ok(running.most <= 20)
  for (let answered = 0; answered < silent.length; await new Promise(setImmediate))
    silent[answered++]?.resolve({ kind: 'bad', reason: 'at last' })
  const outcomes = kinds((await flood).flat())
  t.strictSame([...new Set(outcomes)].sort(), ['bad', 'retry', 'slow'], 'too much for one server comes again later')
  t.equal(sent.length, 1 + 50 + 50 + outcomes.filter((kind) => kind !== 'slow').length, 'no try holds up the next call')
})

test('a server that stops to answer gets few calls again, and never had more than half of them', async (t) => {
  let isSilent = false
  const waiting: PromiseWithResolvers<Outcome>[] = []
  const { send, sent } = startChannel(
    t,
    ({ token }) => {
      if (!isSilent || token.endsWith('@good')) return accepted
      const answer = Promise.withResolvers<Outcome>()
      waiting.push(answer)
      return answer.promise
    },
    { sourceOf: serverOf, limits: { concurrency: 20, tries: 1 } },
  )
  await send(tokens(100).map((token) => `${token}@turned`))
  isSilent = true
  const before = sent.length
  const turned = send(tokens(100).map((token) => `${token}@turned`))
  t.strictSame(kinds(await send(['a@good'])), ['accepted'])
  t.equal(sent.length - before, 11)
  for (const { resolve } of waiting.splice(0)) resolve({ kind: 'retry', reason: 'no answer' })
  await eventually(() => waiting.length === 2)
  isSilent = false
  for (const { resolve } of waiting) resolve(accepted)
  t.equal(kinds(await turned).filter((kind) => kind === 'accepted').length, 90)
})

const unclear: Outcome = { kind: 'unclear', reason: 'one of them' }

test('a target that stops a whole call is found, and stops no other one', async (t) => {
  const odd = new Set(['t3', 't700'])
  const { send, sent } = startChannel(
    t,
    ({ token }, call) => {
      if (sent[call - 1]!.length === 1) return odd.has(token) ? dead : accepted
      return sent[call - 1]!.some((one) => odd.has(one)) ? unclear : accepted
    },
    { perCall: 1000 },
  )
  const outcomes = kinds(await send(tokens(1000)))
  t.equal(outcomes.filter((kind) => kind === 'accepted').length, 998)
  t.same([outcomes[3], outcomes[700]], ['dead', 'dead'])
  t.ok(sent.length < 45, `${sent.length} calls`)
})

test('where all targets stop a call no more calls are made than find some of them', async (t) => {
  const { send, sent } = startChannel(t, () => unclear, { perCall: 1000 })
  t.strictSame(new Set(kinds(await send(tokens(1000)))), new Set(['bad']))
  t.ok(sent.length <= 64, `${sent.length} calls`)
  t.strictSame(kinds(await send(['a'])), ['bad'])
})

test('an allowance that is used up stops the provider until midnight in China', async (t) => {
  const clock = { now: Date.parse('2026-11-26T22:00:00+08:00') }
  const { send, sent } = startChannel(
    t,
    (_to, call) => (call === 1 ? { kind: 'quota', scope: 'app', reason: '10070' } : accepted),
    { clock },
  )
  const expiresAt = clock.now + 86_400_000
  t.strictSame(kinds(await send(['a'], { expiresAt })), ['quota'])
  t.strictSame(kinds(await send(['b'], { expiresAt })), ['quota'])
  t.equal(sent.length, 1)
  clock.now = Date.parse('2026-11-27T00:00:01+08:00')
  t.strictSame(kinds(await send(['c'], { expiresAt })), ['accepted'])
})

test('the circuit opens after three refusals, one call tries again later, and everything flows when that is taken', async (t) => {
  const state = { isRight: false }
  const { send, sent, lines } = startChannel(t, () => {
    if (state.isRight) return accepted
    throw new Refusal({ kind: 'credentials', reason: 'invalid secret' })
  })
  for (let times = 0; times < 6; times++) t.strictSame(kinds(await send(['a'])), ['credentials'])
  t.equal(sent.length, 3)
  await eventually(async () => kinds(await send(['a'])) && sent.length === 4)
  state.isRight = true
  await eventually(async () => kinds(await send(['a']))[0] === 'accepted')
  const said = lines.filter(({ level }) => level !== 'warn')
  t.strictSame(
    said.map(({ level }) => level),
    ['error', 'info'],
    'said once, and once more when it is over',
  )
  t.match(said[0]?.details, { reason: 'invalid secret' })
})

test('one target that is refused does not close the way for others', async (t) => {
  const { send, sent } = startChannel(t, ({ token }) =>
    token === 'odd' ? { kind: 'credentials', reason: 'THIRD_PARTY_AUTH_ERROR' } : accepted,
  )
  for (let times = 0; times < 5; times++) {
    await send(['odd'])
    t.strictSame(kinds(await send(['a'])), ['accepted'])
  }
  t.equal(sent.length, 10)
})

test('the circuit counts devices, not how often one of them is refused', async (t) => {
  const refused: Outcome = { kind: 'credentials', reason: 'BadTopic' }
  const { send, sent, lines } = startChannel(t, ({ token }) => (token.startsWith('odd') ? refused : accepted))
  for (let times = 0; times < 5; times++) t.strictSame(kinds(await send(['odd'])), ['credentials'])
  t.equal(sent.length, 5)
  t.strictSame(
    lines.map(({ level }) => level),
    ['warn'],
  )
  t.strictSame(kinds(await send(['a'])), ['accepted'])
  for (const token of ['odd', 'odd2', 'odd', 'odd3', 'odd4']) await send([token])
  t.equal(sent.length, 10, 'three devices are enough, and nothing is asked any more')
  t.strictSame(kinds(await send(['a'])), ['credentials'])
})

test('what is refused of tokens of a kind says nothing about others, however many they are', async (t) => {
  const { send, sent } = startChannel(t, ({ token }) =>
    token.startsWith('odd') ? { kind: 'credentials', isOfToken: true, reason: 'THIRD_PARTY_AUTH_ERROR' } : accepted,
  )
  for (let n = 0; n < 6; n++) t.strictSame(kinds(await send([`odd${n}`])), ['credentials'])
  t.strictSame(kinds(await send(['a'])), ['accepted'])
  t.equal(sent.length, 7)
})

test('tokens are not removed in masses', async (t) => {
  const clock = { now: Date.now() }
  const { send, lines } = startChannel(t, ({ token }) => (token.startsWith('d') ? dead : accepted), {
    clock,
    limits: { deathsAlways: 5, deathShare: 0.2 },
  })
  const expiresAt = clock.now + 100 * 3_600_000
  const some = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}`)
  const first = kinds(await send(some('d', 100), { expiresAt }))
  t.equal(first.filter((kind) => kind === 'dead').length, 5)
  t.equal(first.filter((kind) => kind === 'doubtful').length, 95)
  t.equal(lines.filter(({ level }) => level === 'error').length, 1)
  clock.now += 2 * 3_600_000
  await send(some('a', 100), { expiresAt })
  t.strictSame(new Set(kinds(await send(some('d', 20), { expiresAt }))), new Set(['dead']), 'a fifth may die')
  t.equal(kinds(await send(some('d', 95), { expiresAt })).filter((kind) => kind === 'dead').length, 5, 'and no more')
  clock.now += 50 * 60_000
  t.strictSame(kinds(await send(['d'], { expiresAt })), ['doubtful'], 'within the hour')
})

test('what has expired is not sent', async (t) => {
  const { send, sent } = startChannel(t, () => accepted)
  t.strictSame(kinds(await send(['a'], { expiresAt: Date.now() - 1 })), ['expired'])
  t.equal(sent.length, 0)
})

test('closing ends what runs, and gives back what waits', async (t) => {
  const gate = Promise.withResolvers<void>()
  const { channel, send, running } = startChannel(
    t,
    async () => {
      await gate.promise
      return accepted
    },
    { limits: { concurrency: 2 } },
  )
  const sending = send(tokens(5))
  await eventually(() => running.now === 2)
  const closing = channel.close()
  gate.resolve()
  await closing
  t.strictSame(kinds(await sending), ['accepted', 'accepted', 'retry', 'retry', 'retry'])
})

test('a provider that throws is tried again', async (t) => {
  const { send, lines } = startChannel(t, (_to, call) => {
    if (call < 3) throw new Error('socket hang up')
    return accepted
  })
  t.strictSame(kinds(await send(['a'])), ['accepted'])
  t.equal(lines.length, 1, 'and written to the log once a minute')
})
