import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '@im/service-kit'
import {
  BrokenCircuitError,
  type BulkheadPolicy,
  bulkhead,
  type CircuitBreakerPolicy,
  circuitBreaker,
  ExponentialBackoff,
  handleWhenResult,
} from 'cockatiel'
import type { ChannelMetrics } from './channel-metrics.ts'
import { type DeathGuard, DeathGuards } from './death-guard.ts'
import { Refusal } from './outcomes.ts'
import type { Channel, Delivery, Notification, Outcome, Provider, ProviderName, Target } from './provider.ts'
import { RareLog } from './rare-log.ts'
import { RefusalBreaker } from './refusal-breaker.ts'
import { ServerLines } from './server-lines.ts'
import { SlowDown } from './slow-down.ts'

export interface ChannelLimits {
  /** Calls to the provider at the same time. */
  concurrency: number
  /** Targets that may wait for a call or its answer. */
  waiting: number
  /** Tries of what failed by the fault of the provider or the network. */
  tries: number
  /** First pause (ms) between them; it doubles. */
  retryMs: number
  /** First pause (ms) of all calls when the provider wants fewer and does not say how long; it doubles. */
  slowMs: number
  /** How long (ms) nothing is sent after the provider refused our credentials; it doubles, up to ten times this. */
  circuitMs: number
  /** Tokens that may be removed in an hour, as a share of the answers. */
  deathShare: number
  /** So many may be removed whatever their share. */
  deathsAlways: number
  /** How long (ms) `close` waits for what runs. */
  closeMs: number
}

export const channelLimits: ChannelLimits = {
  concurrency: 100,
  waiting: 5000,
  tries: 3,
  retryMs: 200,
  slowMs: 1000,
  circuitMs: 60_000,
  deathShare: 0.2,
  deathsAlways: 10,
  closeMs: 5000,
}

export interface ChannelOptions {
  provider: Provider
  limits: ChannelLimits
  log: Logger
  metrics: ChannelMetrics
  now: () => number
}

/** After this (ms) the caller may hand over again what was not sent. */
const handAgainMs = 30_000
/** The same for what is for a server with too long a line. */
const fullLineMs = 1000
/** Calls that find out which of the targets of one call it was that a provider refused. */
const mostParts = 64
/** Nothing waits here longer (ms), neither for the next try nor for the end of a pause: it is handed over again later. */
const longestPauseMs = 5000
/** Nor does anybody wait longer (ms) for their turn and for a provider that is busy. */
const longestTurnMs = 10_000
const dayMs = 86_400_000
/** Allowances of a day begin anew at midnight in China. */
const chinaMs = 8 * 3_600_000

const midnightInChina = (now: number) => (Math.floor((now + chinaMs) / dayMs) + 1) * dayMs - chinaMs

/** Our credentials are wrong, for whatever target. */
const isRefusal = (outcome: Outcome) => outcome.kind === 'credentials' && !outcome.isOfToken

/** A call of which nothing got through because our credentials are wrong. */
const isRefused = (result: unknown) => {
  const outcomes = result as Outcome[]
  return outcomes.some(isRefusal) && !outcomes.some(({ kind }) => kind === 'accepted')
}

/** The way to a provider that is configured. */
export class ProviderChannel implements Channel {
  readonly name: ProviderName
  readonly replaces: boolean
  readonly isConfigured = true
  readonly #provider: Provider
  readonly #limits: ChannelLimits
  readonly #log: RareLog
  readonly #metrics: ChannelMetrics
  readonly #now: () => number
  readonly #calls: BulkheadPolicy
  readonly #breaker: CircuitBreakerPolicy
  readonly #refusals = new RefusalBreaker()
  readonly #guards: DeathGuards
  readonly #lines: ServerLines
  readonly #slowDown: SlowDown
  readonly #closing = new AbortController()
  readonly #ending = new AbortController()
  #waiting = 0
  #onIdle = () => {}
  #quotaUntil = 0
  #isRefused = false
  #refusal = ''

  constructor({ provider, limits, log, metrics, now }: ChannelOptions) {
    this.#provider = provider
    this.name = provider.name
    this.replaces = provider.replaces
    this.#limits = limits
    this.#log = new RareLog(log.child({ provider: provider.name }), now)
    this.#metrics = metrics
    this.#now = now
    this.#calls = bulkhead(limits.concurrency, Number.POSITIVE_INFINITY)
    this.#guards = new DeathGuards({ share: limits.deathShare, always: limits.deathsAlways, now })
    this.#lines = new ServerLines(limits)
    this.#slowDown = new SlowDown({ firstMs: limits.slowMs, now })
    this.#breaker = circuitBreaker(handleWhenResult(isRefused), {
      halfOpenAfter: new ExponentialBackoff({ initialDelay: limits.circuitMs, maxDelay: limits.circuitMs * 10 }),
      breaker: this.#refusals,
    })
    this.#breaker.onBreak(() => this.#tellRefusal())
    metrics.watch(this.name, () => ({ waiting: this.#waiting, isOpen: this.#isRefused }))
  }

  async send(notification: Notification, targets: readonly Target[]): Promise<Delivery[]> {
    const deliveries = await this.#enqueue(notification, targets)
    for (const { kind } of deliveries) this.#metrics.count(this.name, kind)
    return deliveries
  }

  /** Ends what runs; what takes too long is cut off. */
  async close(): Promise<void> {
    this.#closing.abort()
    const forced = setTimeout(() => this.#ending.abort(), this.#limits.closeMs)
    if (this.#waiting) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    clearTimeout(forced)
    await this.#provider.close()
  }

  #enqueue(notification: Notification, targets: readonly Target[]): Promise<Delivery[]> | Delivery[] {
    if (this.#waiting && this.#waiting + targets.length > this.#limits.waiting)
      return targets.map(() => ({ kind: 'slow', retryAfterMs: Math.max(1000, this.#slowDown.leftMs) }))
    this.#waiting += targets.length
    const { perCall } = this.#provider
    if (targets.length <= perCall) return this.#inTurn(notification, targets)
    const calls: (Promise<Delivery[]> | Delivery[])[] = []
    for (let first = 0; first < targets.length; first += perCall)
      calls.push(this.#inTurn(notification, targets.slice(first, first + perCall)))
    return Promise.all(calls).then((all) => all.flat())
  }

  /** Delivers to the targets of one call when there is room for it. */
  #inTurn(notification: Notification, targets: readonly Target[]): Promise<Delivery[]> | Delivery[] {
    const since = this.#now()
    const call = () => this.#calls.execute(() => this.#deliver(notification, targets, since))
    const server = this.#serverOf(targets[0])
    const turn = server === undefined ? call() : this.#lines.run(server, call)
    if (turn) return turn
    this.#left(targets.length)
    return targets.map(() => ({ kind: 'slow', retryAfterMs: fullLineMs }))
  }

  /** Calls the provider until it is known what became of every target. Where one of several stops a call, it is called in parts. */
  async #deliver(notification: Notification, targets: readonly Target[], since: number): Promise<Delivery[]> {
    const deliveries = new Map<Target, Delivery>()
    const parts = [targets]
    for (let count = 1; parts.length; count++) {
      const unclear = await this.#deliverPart(notification, parts.pop() ?? [], deliveries, since)
      const half = Math.ceil(unclear.length / 2)
      if (unclear.length > 1 && count + parts.length + 2 <= mostParts)
        parts.push(unclear.slice(half), unclear.slice(0, half))
      else for (const target of unclear) deliveries.set(target, { kind: 'bad' })
    }
    this.#left(targets.length)
    return targets.map((target) => deliveries.get(target) as Delivery)
  }

  /** Returns targets of which one or more stand in the way of the others. */
  async #deliverPart(
    notification: Notification,
    targets: readonly Target[],
    deliveries: Map<Target, Delivery>,
    since: number,
  ): Promise<Target[]> {
    const unclear: Target[] = []
    let open = targets
    let tries = 1
    while (open.length) {
      const pauseLeftMs = this.#slowDown.leftMs
      if (pauseLeftMs && pauseLeftMs <= longestPauseMs)
        await this.#slowDown.wait(notification.expiresAt, this.#closing.signal)
      // What has failed is tried to the end.
      const useless = this.#uselessness(notification, tries === 1 ? since : this.#now())
      if (useless) {
        for (const target of open) deliveries.set(target, useless)
        break
      }
      const calledAt = this.#now()
      const outcomes = await this.#call(notification, open, calledAt)
      const unsettled: Target[] = []
      let pauseMs = 0
      open.forEach((target, index) => {
        const outcome = outcomes[index] ?? { kind: 'retry', reason: 'the answer does not name the target' }
        if (outcome.kind === 'unclear') {
          unclear.push(target)
          return
        }
        const delivery = this.#settle(target, outcome, tries, calledAt)
        if (delivery) deliveries.set(target, delivery)
        else unsettled.push(target)
        if (!delivery && outcome.kind === 'retry')
          pauseMs = Math.max(pauseMs, outcome.retryAfterMs || this.#limits.retryMs * 2 ** (tries - 1))
      })
      open = unsettled
      if (!pauseMs) continue
      tries++
      await delay(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => {})
    }
    return unclear
  }

  /** So many targets wait no longer. */
  #left(count: number): void {
    this.#waiting -= count
    if (!this.#waiting) this.#onIdle()
  }

  /** The server of a target, where users choose it. */
  #serverOf(target: Target | undefined): string | undefined {
    return target && this.#provider.sourceOf?.(target)
  }

  /** Why a call would be of no use at the moment. */
  #uselessness({ expiresAt }: Notification, since: number): Delivery | undefined {
    const now = this.#now()
    if (this.#closing.signal.aborted) return { kind: 'retry', retryAfterMs: 0 }
    if (expiresAt <= now) return { kind: 'expired' }
    if (this.#quotaUntil > now) return { kind: 'quota' }
    // Meanwhile the message may be read or recalled, and the device logged out: the caller looks at all that again.
    const pauseLeftMs = this.#slowDown.leftMs
    if (pauseLeftMs > longestPauseMs) return { kind: 'slow', retryAfterMs: pauseLeftMs }
    return now - since > longestTurnMs ? { kind: 'late', retryAfterMs: 0 } : undefined
  }

  /** One call, and what it teaches about the provider. */
  async #call(notification: Notification, targets: readonly Target[], calledAt: number): Promise<Outcome[]> {
    const all = (outcome: Outcome): Outcome[] => targets.map(() => outcome)
    try {
      return await this.#breaker.execute(async () => {
        const began = performance.now()
        let outcomes: Outcome[]
        try {
          outcomes = await this.#provider.send(notification, targets, this.#ending.signal)
          this.#refusals.note(targets.filter((_, n) => outcomes[n] && isRefusal(outcomes[n])).map(({ token }) => token))
        } catch (error) {
          const outcome = this.#outcomeOf(error)
          outcomes = all(outcome)
          if (isRefusal(outcome)) this.#refusals.note([])
        }
        this.#metrics.time(this.name, performance.now() - began)
        this.#learn(outcomes, calledAt)
        return outcomes
      })
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) throw error
      return all({ kind: 'credentials', reason: 'the circuit is open' })
    }
  }

  /** What stopped a call for all its targets. */
  #outcomeOf(error: unknown): Outcome {
    if (error instanceof Refusal) return error.outcome
    this.#log.rarely('warn', 'no-answer', { err: error }, 'a push provider did not answer')
    return { kind: 'retry', reason: 'no answer' }
  }

  #learn(outcomes: readonly Outcome[], calledAt: number): void {
    for (const outcome of outcomes) {
      if (outcome.kind === 'slow' && outcome.scope === 'provider') this.#slowDown.pause(outcome.retryAfterMs, calledAt)
      if (outcome.kind === 'quota' && outcome.scope === 'app') this.#quotaUntil = midnightInChina(this.#now())
      if (outcome.kind === 'bad')
        this.#log.rarely('warn', 'bad', { reason: outcome.reason }, 'a push provider calls a notification wrong')
      if (outcome.kind === 'credentials') this.#learnRefusal(outcome.reason)
      if (outcome.kind !== 'accepted') continue
      this.#slowDown.reset(calledAt)
      if (this.#isRefused) this.#log.always.info('a push provider takes our credentials again')
      this.#isRefused = false
    }
  }

  #learnRefusal(reason: string): void {
    this.#refusal = reason
    this.#log.rarely('warn', 'refused', { reason }, 'a push provider refuses a call because of our settings')
  }

  /** Said once, until the provider takes something again. */
  #tellRefusal(): void {
    if (this.#isRefused) return
    this.#isRefused = true
    const reason = this.#refusal
    this.#log.always.error(
      { reason },
      'a push provider refuses our credentials: nothing is sent there until it takes them',
    )
  }

  /** What an outcome means for a target; undefined when it is sent again. */
  #settle(
    target: Target,
    outcome: Exclude<Outcome, { kind: 'unclear' }>,
    tries: number,
    calledAt: number,
  ): Delivery | undefined {
    const server = this.#serverOf(target)
    if (server !== undefined && outcome.kind === 'accepted') this.#lines.took(server)
    if (server !== undefined && outcome.kind === 'retry') {
      // Nobody waits for the next try to a server that may never answer.
      if (!this.#lines.isProven(server)) tries = this.#limits.tries
      this.#lines.failed(server)
    }
    switch (outcome.kind) {
      case 'accepted':
        this.#guardOf(target).count(false)
        return { kind: 'accepted' }
      case 'dead':
        return this.#bury(target, outcome.since ?? calledAt, outcome.reason)
      case 'slow':
        if (outcome.scope === 'provider') return undefined
        return { kind: 'slow', retryAfterMs: outcome.retryAfterMs ?? handAgainMs }
      case 'credentials':
        return { kind: 'credentials', retryAfterMs: this.#limits.circuitMs }
      case 'retry':
        if (tries < this.#limits.tries && (outcome.retryAfterMs ?? 0) <= longestPauseMs) return undefined
        return { kind: 'retry', retryAfterMs: outcome.retryAfterMs ?? handAgainMs }
      default:
        return { kind: outcome.kind }
    }
  }

  #guardOf(target: Target): DeathGuard {
    return this.#guards.of(this.#serverOf(target) ?? this.name)
  }

  #bury(target: Target, since: number, reason: string): Delivery {
    if (this.#guardOf(target).count(true)) return { kind: 'dead', since }
    this.#log.rarely(
      'error',
      'mass-death',
      { reason },
      'a push provider calls so many tokens dead that none is removed any more: are its settings those of the apps?',
    )
    return { kind: 'doubtful' }
  }
}
