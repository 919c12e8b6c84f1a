import { setTimeout as delay } from 'node:timers/promises'
import { ContractError } from '@im/contracts'
import {
  type Closable,
  Counter,
  createServiceClient,
  holdLease,
  type Runtime,
  type ServiceClient,
} from '@im/service-kit'
import type { PushConfig } from '../config.ts'
import { nextReceivers } from './audience.ts'
import { type BroadcastDocument, BroadcastsRepository } from './broadcasts-repository.ts'
import { sendPart } from './send-part.ts'

/** Whom the engine works with. */
export interface BroadcastPeers {
  user: ServiceClient
  social: ServiceClient
  message: ServiceClient
}

/** Receivers of one part. The longer a part takes, because the message service rests for chat, the smaller the next one is. */
const [firstOfPart, fewestOfPart, mostOfPart] = [50, 25, 200]
/** A part that took less time (ms) is followed by a larger one, a part that took more by a smaller one. */
const [shortPart, longPart] = [400, 1500]
/** After a part there is a rest of this share of the time it took, so that chat goes first when the stores are busy. */
const restShare = 0.5
/** How often (ms) new work is looked for. */
const lookEvery = 500
/** How long (ms) the first wait after a failure is, and the longest one. */
const firstWait = 250
const longestWait = 15_000
/** Tries of one part that fail by nobody's absence. The last one sends to each receiver alone and gives up who can't be sent to. */
const mostFaults = 5
/** How long (ms) another service may take with a part. */
const partTimeout = 20_000

interface Wait {
  /** Monotonic. */
  until: number
  ms: number
  faults: number
}

/**
 * Sends broadcasts part by part. One replica does the work at a time; another goes on where it died. A part is noted after it
 * was sent, and a part that is sent again reaches nobody twice, so a crash at any moment neither doubles nor omits anybody.
 * Several broadcasts take turns and share the pace, so a small one is not held up by a large one.
 */
export class Broadcasts {
  readonly repository: BroadcastsRepository
  readonly peers: BroadcastPeers
  readonly #runtime: Runtime<PushConfig>
  readonly #receivers: Counter<'outcome'>
  /** Broadcasts of this process that failed at their last turn, by id. */
  readonly #waits = new Map<string, Wait>()
  /** When the pace allows the next part (ms, monotonic). */
  #nextAt = 0
  #ofPart = firstOfPart

  constructor(runtime: Runtime<PushConfig>) {
    const { config, db, metrics } = runtime
    const { serviceKeys } = config
    const client = (baseUrl: string) => createServiceClient({ baseUrl, serviceKeys, timeoutMs: partTimeout })
    this.#runtime = runtime
    this.repository = new BroadcastsRepository(db)
    this.peers = { user: client(config.userUrl), social: client(config.socialUrl), message: client(config.messageUrl) }
    this.#receivers = new Counter({
      name: 'im_broadcast_receivers_total',
      help: 'Receivers of broadcasts by outcome: sent, failed',
      labelNames: ['outcome'],
      registers: [metrics],
    })
  }

  createIndexes = () => this.repository.createIndexes()

  start(): Closable {
    const lease = holdLease(this.#runtime, { name: 'broadcasts', work: (signal) => this.#work(signal) })
    return {
      close: async () => {
        await lease.close()
        await Promise.all(Object.values(this.peers).map((client: ServiceClient) => client.close()))
      },
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const running = await this.repository.running()
      const ready = running.filter(({ _id }) => (this.#waits.get(_id.toHexString())?.until ?? 0) <= performance.now())
      for (const broadcast of ready) {
        await pause(this.#nextAt - performance.now(), signal)
        if (signal.aborted) return
        await this.#takeTurn(broadcast, signal)
      }
      if (!ready.length) await pause(lookEvery, signal)
    }
  }

  /** One part of one broadcast. */
  async #takeTurn(broadcast: BroadcastDocument, signal: AbortSignal): Promise<void> {
    const { config, now, log } = this.#runtime
    const { broadcastPace: pace } = config
    const size = Math.max(1, Math.min(this.#ofPart, Math.ceil(pace / 4)))
    const id = broadcast._id.toHexString()
    try {
      const begunAt = performance.now()
      const userIds = await nextReceivers(this.peers, broadcast, size, signal)
      const after = userIds?.at(-1)
      if (!userIds || after === undefined) {
        await this.repository.end(broadcast, userIds ? 'done' : 'canceled', now())
        return
      }
      const failed = await this.#send(broadcast, userIds, signal)
      await this.repository.advance(broadcast, { after, done: userIds.length - failed, failed })
      this.#receivers.inc({ outcome: 'sent' }, userIds.length - failed)
      if (failed) this.#receivers.inc({ outcome: 'failed' }, failed)
      const inPace = Math.max(begunAt, this.#nextAt) + (userIds.length / pace) * 1000
      const endedAt = performance.now()
      const took = endedAt - begunAt
      this.#nextAt = Math.max(inPace, endedAt + restShare * took)
      if (took < shortPart) this.#ofPart = Math.min(mostOfPart, 2 * this.#ofPart)
      else if (took > longPart) this.#ofPart = Math.max(fewestOfPart, this.#ofPart / 2)
      this.#waits.delete(id)
    } catch (error) {
      if (signal.aborted) return
      this.#ofPart = Math.max(fewestOfPart, this.#ofPart / 2)
      const before = this.#waits.get(id) ?? { ms: firstWait / 2, faults: 0 }
      const ms = Math.min(longestWait, 2 * before.ms)
      const faults = isFault(error) ? before.faults + 1 : before.faults
      this.#waits.set(id, { until: performance.now() + ms, ms, faults })
      log.warn({ err: error, broadcast: id, againInMs: ms }, 'a broadcast waits')
    }
  }

  /** Returns how many were given up. A part that fails again and again is sent to each of its receivers alone. */
  async #send(broadcast: BroadcastDocument, userIds: readonly number[], signal: AbortSignal): Promise<number> {
    const faults = this.#waits.get(broadcast._id.toHexString())?.faults ?? 0
    if (faults + 1 < mostFaults) {
      await sendPart(this.peers, broadcast, userIds, signal)
      return 0
    }
    let failed = 0
    for (const userId of userIds) if (!(await this.#sendAlone(broadcast, userId, signal))) failed++
    return failed
  }

  async #sendAlone(broadcast: BroadcastDocument, userId: number, signal: AbortSignal): Promise<boolean> {
    try {
      await sendPart(this.peers, broadcast, [userId], signal)
      return true
    } catch (error) {
      if (signal.aborted || !isFault(error)) throw error
      const broadcastId = broadcast._id.toHexString()
      this.#runtime.log.error({ err: error, broadcast: broadcastId, userId }, 'a receiver of a broadcast is given up')
      return false
    }
  }
}

/** Something that is wrong, not somebody who is away or busy. */
const isFault = (error: unknown) => !(error instanceof ContractError)

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => {})
}
