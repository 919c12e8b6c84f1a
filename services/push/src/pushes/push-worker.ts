import { setImmediate as nextTurn } from 'node:timers/promises'
import { isTransient, WakeUp } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { Delivery, Notification } from '../providers/provider.ts'
import type { UsableToken } from '../tokens/tokens-repository.ts'
import { expiryOf, type PushDocument } from './push-document.ts'
import type { Settlement } from './pushes-repository.ts'
import { type ResolvedPush, resolvePushes, type Telling } from './resolve-pushes.ts'

/** Pushes of one round. */
const pushesAtOnce = 200
/** Devices that are made ready at a time. */
const devicesAtOnce = 1000
/** How often (ms) the queue is looked at when nobody said that something is due, and while more comes due. */
const lookEvery = 1000
const gatherFor = 40
const renewEvery = 3000
/** Notes are written together that come within this time (ms). */
const gatherNotesFor = 15
/** When they are written again (ms) that could not be. */
const noteAgainAfter = 1000
/** When to look again (ms) for a room that is not known, and after a failure. */
const unknownAfter = 5000
const shortestBackOff = 1000
const longestBackOff = 30_000
/** How long (ms) the end waits for what is under way. */
const endWithin = 8000

type WorkDeps = Parameters<typeof resolvePushes>[0] & Pick<Deps, 'channels' | 'log' | 'pushMetrics' | 'replicas'>

/** A push whose devices are under way. */
interface UnderWay {
  /** Devices that are not settled. */
  left: Set<string>
  /** Devices to try again, and when (ms). */
  failed: string[]
  again: number
}

/**
 * Takes pushes that are due, decides who is told, and hands them to the providers. What it has begun stays claimed; when the
 * process dies, another one goes on with the devices that were not noted. Only a device whose provider took the notification
 * just before the death is told twice, and there the second one takes the place of the first.
 */
export class PushWorker {
  #deps: WorkDeps | undefined
  readonly #wakeUp = new WakeUp()
  readonly #closing = new AbortController()
  readonly #underWay = new Map<string, UnderWay>()
  /** Claimed, and not begun yet. */
  readonly #claimed = new Set<string>()
  /** When to look at the queue next, and when the last thing that this replica knows of comes due (ms). */
  #nextDue = Number.POSITIVE_INFINITY
  #lastDue = 0
  #notes: Settlement[] = []
  /** Settled, and not noted yet. */
  readonly #unnoted = new Set<string>()
  #noting: NodeJS.Timeout | undefined
  readonly #running = new Set<Promise<unknown>>()

  start(deps: WorkDeps): { close(): Promise<void> } {
    this.#deps = deps
    const working = this.#work(deps)
    const renewing = setInterval(() => this.#run(this.#renew(deps)), renewEvery)
    return {
      close: async () => {
        this.#closing.abort()
        await working
        await deps.channels.close()
        const ended = this.#end()
        let timer: NodeJS.Timeout | undefined
        await Promise.race([ended, new Promise((resolve) => (timer = setTimeout(resolve, endWithin)))])
        clearTimeout(timer)
        clearInterval(renewing)
      },
    }
  }

  /** Something is due then (ms). */
  wake(at: number): void {
    this.#lastDue = Math.max(this.#lastDue, at)
    if (at >= this.#nextDue) return
    this.#nextDue = at
    this.#wakeUp.notify()
  }

  async #end(): Promise<void> {
    while (this.#running.size) await Promise.allSettled([...this.#running])
    await this.#writeNotes()
  }

  #run(work: Promise<unknown>): void {
    const running = work
      .catch((error: unknown) => this.#deps?.log.warn({ err: error }, 'work on pushes failed'))
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async #work(deps: WorkDeps): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      this.#wakeUp.reset()
      const found = await this.#round(deps).catch((error: unknown) => {
        deps.log.warn({ err: error }, 'the queue of pushes could not be read; trying again')
        return 0
      })
      if (found === pushesAtOnce || signal.aborted) continue
      const wait = Math.min(lookEvery, Math.max(0, this.#nextDue - deps.now()))
      if (!this.#wakeUp.isNotified) await this.#wakeUp.wait(wait, { signal })
    }
  }

  /** Returns how many pushes were taken. */
  async #round(deps: WorkDeps): Promise<number> {
    const now = deps.now()
    if (this.#nextDue <= now) this.#nextDue = this.#lastDue > now ? now + gatherFor : Number.POSITIVE_INFINITY
    const { replicas } = deps
    const taken = await deps.pushes.claim(now, pushesAtOnce, replicas.id, replicas.livingOthers)
    // A claim of this process that ran out while it stood still: it is still at it, or about to note what became of it.
    const own = taken.filter(({ _id }) => !this.#underWay.has(_id) && !this.#unnoted.has(_id))
    for (const { _id } of own) this.#claimed.add(_id)
    try {
      if (own.length) await this.#handle(deps, own)
    } finally {
      this.#claimed.clear()
    }
    return taken.length
  }

  async #handle(deps: WorkDeps, taken: readonly PushDocument[]): Promise<void> {
    const { pushes, replicas, log, now } = deps
    const { id: claim } = replicas
    try {
      const { resolved, finished, unknown, left } = await resolvePushes(deps, taken)
      await Promise.all([
        pushes.finish(finished, claim),
        pushes.postpone(unknown, now() + unknownAfter, claim),
        pushes.postpone(left, now(), claim),
      ])
      deps.pushMetrics.dropped.inc(finished.length)
      for (let rest = resolved; rest.length; ) {
        const count = countWithin(rest, devicesAtOnce)
        await this.#begin(deps, rest.slice(0, count))
        rest = rest.slice(count)
      }
    } catch (error) {
      // One that cannot be handled must not stop the others.
      if (taken.length > 1 && !isTransient(error)) {
        for (const push of taken) if (!this.#underWay.has(push._id)) await this.#handle(deps, [push])
        return
      }
      log.warn({ err: error, pushes: taken.length }, 'pushes could not be handled; trying again')
      const waiting = taken.filter(({ _id }) => !this.#underWay.has(_id))
      const again = now() + Math.max(...taken.map(backOff))
      await pushes.postpone(
        waiting.map(({ _id }) => _id),
        again,
        claim,
      )
    }
  }

  /** Hands notifications to the providers. A channel that is full says so at once, and holds no other one up. */
  async #begin(deps: WorkDeps, resolved: readonly ResolvedPush[]): Promise<void> {
    for (const { push, devices } of resolved)
      this.#underWay.set(push._id, { left: new Set(devices), failed: [], again: Number.POSITIVE_INFINITY })
    for (const { push, tellings } of resolved)
      for (const same of bySending(tellings())) this.#run(this.#send(deps, push, same))
    // Answers and events come between two parts.
    await nextTurn()
  }

  /** Sends a notification to devices of one provider. */
  async #send(deps: WorkDeps, push: PushDocument, tellings: readonly Telling[]): Promise<void> {
    const { channels, tokens, pushMetrics, now } = deps
    const { token: first, notification } = tellings[0]!
    const channel = channels.of(first.provider)
    const startedAt = now()
    const targets = tellings.map(({ token: { token, device, app, registeredAt } }) => ({
      ...{ token, device, registeredAt: registeredAt.getTime(), ...(app ? { app } : {}) },
    }))
    const deliveries = mayReplace(notification, channel.replaces)
      ? await channel.send(notification, targets)
      : targets.map((): Delivery => ({ kind: 'skipped' }))
    if (!push.waiting) pushMetrics.delay.observe(Math.max(0, startedAt - push.arrivedAt) / 1000)
    const dead: { id: string; since: number }[] = []
    const paused: UsableToken[] = []
    const outcome = {
      sent: [] as string[],
      done: [] as string[],
      failed: [] as string[],
      again: Number.POSITIVE_INFINITY,
    }
    deliveries.forEach((delivery, n) => {
      const { device, token } = tellings[n]!
      if ('retryAfterMs' in delivery) {
        outcome.failed.push(device)
        const again = now() + (delivery.kind === 'late' ? 0 : Math.max(delivery.retryAfterMs, backOff(push)))
        outcome.again = Math.min(outcome.again, again, Math.max(now(), expiryOf(push)))
        return
      }
      outcome.done.push(device)
      if (delivery.kind === 'accepted') outcome.sent.push(device)
      if (delivery.kind === 'dead') dead.push({ id: token._id, since: delivery.since })
      if (delivery.kind === 'paused') paused.push(token)
    })
    this.#settle(push, outcome)
    await Promise.all([tokens.removeDead(dead), tokens.pause(paused)])
  }

  #settle(
    { _id: id }: PushDocument,
    { sent, done, failed, again }: Pick<Settlement, 'sent' | 'done'> & Pick<UnderWay, 'failed' | 'again'>,
  ): void {
    const underWay = this.#underWay.get(id)
    if (!underWay) return
    for (const device of [...done, ...failed]) underWay.left.delete(device)
    underWay.failed.push(...failed)
    underWay.again = Math.min(underWay.again, again)
    const note: Settlement = { id, sent, done }
    if (!underWay.left.size) {
      this.#underWay.delete(id)
      this.#unnoted.add(id)
      note.next = underWay.failed.length ? { at: underWay.again, devices: underWay.failed } : 'never'
    }
    this.#notes.push(note)
    this.#noting ??= setTimeout(() => this.#run(this.#writeNotes()), gatherNotesFor)
  }

  /** While the database is away notes wait for it. What cannot be noted for another reason is sent again when its claim has run out. */
  async #writeNotes(): Promise<void> {
    clearTimeout(this.#noting)
    this.#noting = undefined
    const notes = this.#notes
    this.#notes = []
    if (!this.#deps) return
    const { pushes, replicas } = this.#deps
    let isAway = false
    try {
      await pushes.settle(notes, replicas.id)
    } catch (error) {
      isAway = isTransient(error)
      throw error
    } finally {
      if (isAway) this.#noteLater(notes)
      else for (const { id, next } of notes) if (next) this.#unnoted.delete(id)
    }
  }

  #noteLater(notes: readonly Settlement[]): void {
    this.#notes.unshift(...notes)
    if (this.#closing.signal.aborted) return
    clearTimeout(this.#noting)
    this.#noting = setTimeout(() => this.#run(this.#writeNotes()), noteAgainAfter)
  }

  async #renew({ pushes, replicas, now }: WorkDeps): Promise<void> {
    await pushes.renew([...this.#underWay.keys(), ...this.#claimed], now(), replicas.id)
  }
}

/** How long (ms) what failed waits: the longer, the more often it did. */
const backOff = ({ tries = 1 }: PushDocument) => Math.min(shortestBackOff * 2 ** (tries - 1), longestBackOff)

/** A notification that says that a message was withdrawn is of use only in the place of the message. */
const mayReplace = ({ kind }: Notification, replaces: boolean) => kind !== 'withdrawn' || replaces

/** Those that get an equal notification by the same provider, together. */
const bySending = (tellings: readonly Telling[]): Telling[][] => [
  ...Map.groupBy(tellings, ({ token, notification }) => `${token.provider} ${JSON.stringify(notification)}`).values(),
]

/** How many of the first pushes have at most so many devices; one at least. */
function countWithin(resolved: readonly ResolvedPush[], most: number): number {
  let count = 0
  for (let devices = 0; count < resolved.length; count++) {
    devices += resolved[count]!.devices.length
    if (count > 0 && devices > most) break
  }
  return count
}
