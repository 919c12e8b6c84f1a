import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Binary, Collection, Db } from 'mongodb'
import type { Logger } from './logs.ts'
import { tellOfSessions, usedSessions } from './used-sessions.ts'

const beatEvery = 500
/** A replica without a new beat for this long (ms) counts as gone, and others may take over its work. */
const goneAfter = 3000
/** A replica that could not write a beat for this long (ms) stops its work, a little before others may take it over. */
const lostAfter = 2600

/** How many times it tries to end the transactions of a dead replica. */
const mostTries = 10
/** The document of a killed replica is removed after this time (ms). */
const forgottenAfter = 60_000

interface ReplicaDocument {
  _id: string
  beat: number
  /** Names of the work that it shares with others. */
  tasks: string[]
  /** Sessions in which it had transactions. */
  sessions: Binary[]
}

/** The last beat of another replica, and the time (ms, monotonic) from and until which no newer one was seen. */
interface SeenBeat {
  beat: number
  tasks: readonly string[]
  from: number
  until: number
}

/**
 * Knows which replicas of a service are alive, from the beats that each writes to the service's database. Each measures with
 * its own monotonic clock how long ago it saw a new beat of another, so clocks are never compared. A replica that was suspended
 * finds out that it is lost as soon as it runs again.
 */
export class Replicas {
  readonly id = randomBytes(8).toString('hex')
  readonly #db: Db
  readonly #replicas: Collection<ReplicaDocument>
  readonly #log: Logger
  #others = new Map<string, SeenBeat>()
  readonly #tasks = new Set<string>()
  readonly #watchers = new Set<() => void>()
  #trustedUntil = 0
  #lostTimer: NodeJS.Timeout | undefined
  #beatTimer: NodeJS.Timeout | undefined
  #beating: Promise<void> | undefined
  #isClosed = false

  private constructor(db: Db, log: Logger) {
    this.#db = db
    this.#replicas = db.collection('replicas')
    this.#log = log
  }

  static async join(db: Db, log: Logger): Promise<Replicas> {
    const replicas = new Replicas(db, log)
    await replicas.#beat()
    tellOfSessions(db.client, (id) => replicas.#tellOf(id))
    return replicas
  }

  /** False when others may have taken over the work of this replica, so it must do none. */
  get isAlive(): boolean {
    return performance.now() < this.#trustedUntil
  }

  /** Whether the work of a replica may be taken over. */
  async isGone(id: string): Promise<boolean> {
    if (id === this.id) return false
    const seen = this.#others.get(id)
    // A replica that is not known yet may have joined after the last read.
    return seen ? isStale(seen) : (await this.#replicas.findOne({ _id: id })) === null
  }

  /**
   * Ends the transactions of another replica, which seems to be dead. The database would keep their locks for a minute, and
   * whoever takes over the work needs just those documents. A replica that is alive after all begins them again.
   */
  async endTransactionsOf(id: string): Promise<void> {
    for (let tries = 1; !this.#isClosed; tries++) {
      try {
        const sessions = (await this.#replicas.findOne({ _id: id }))?.sessions ?? []
        if (sessions.length)
          await this.#db.admin().command({ killSessions: sessions.map((session) => ({ id: session })) })
        return
      } catch (error) {
        this.#log.warn({ reason: String(error) }, 'transactions of a dead replica could not be ended')
        if (tries === mostTries) return
        await delay(beatEvery)
      }
    }
  }

  /** A session is known before it is used: a process may be killed in its first transaction. */
  async #tellOf(session: Binary): Promise<void> {
    if (this.#isClosed) return
    await this.#replicas.updateOne({ _id: this.id }, { $addToSet: { sessions: session } }, { upsert: true })
  }

  /** Tells the others that this replica is ready for its share of some work. */
  offer(task: string): { withdraw(): void } {
    this.#tasks.add(task)
    return { withdraw: () => void this.#tasks.delete(task) }
  }

  /** Ids of the other replicas that live. */
  get livingOthers(): string[] {
    return [...this.#others].flatMap(([id, seen]) => (isStale(seen) ? [] : [id]))
  }

  /** Ids of the living replicas that offer a task, in the same order for all of them. */
  sharing(task: string): string[] {
    const others = [...this.#others].filter(([, seen]) => seen.tasks.includes(task) && !isStale(seen)).map(([id]) => id)
    return [...others, ...(this.#tasks.has(task) ? [this.id] : [])].sort()
  }

  /** Calls `handle` after each beat, and when this replica is lost. */
  watch(handle: () => void): { close(): void } {
    this.#watchers.add(handle)
    return { close: () => void this.#watchers.delete(handle) }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#beatTimer)
    clearTimeout(this.#lostTimer)
    await this.#beating
    await this.#replicas.deleteOne({ _id: this.id }).catch(() => {})
  }

  async #beat(): Promise<void> {
    const startedAt = performance.now()
    this.#beating = this.#writeAndRead(startedAt)
    await this.#beating
    if (this.#isClosed) return
    for (const handle of this.#watchers) handle()
    this.#beatTimer = setTimeout(() => void this.#beat(), Math.max(0, startedAt + beatEvery - performance.now()))
  }

  async #writeAndRead(startedAt: number): Promise<void> {
    try {
      const tasks = [...this.#tasks]
      const sessions = usedSessions(this.#db.client)
      await this.#replicas.updateOne(
        { _id: this.id },
        { $inc: { beat: 1 }, $set: { tasks, sessions } },
        { upsert: true },
      )
      // Counted from before the write was sent, because others may have seen it since then.
      this.#trust(startedAt + lostAfter)
      const askedAt = performance.now()
      this.#remember(askedAt, await this.#replicas.find().toArray())
    } catch (error) {
      this.#log.debug({ err: error }, 'a beat could not be written')
    }
  }

  #trust(until: number): void {
    this.#trustedUntil = until
    clearTimeout(this.#lostTimer)
    if (this.#isClosed) return
    this.#lostTimer = setTimeout(
      () => {
        this.#trustedUntil = 0
        this.#log.warn('lost touch with the database: work that one replica does at a time stops here')
        for (const handle of this.#watchers) handle()
      },
      Math.max(0, until - performance.now()),
    )
  }

  #remember(askedAt: number, documents: readonly ReplicaDocument[]): void {
    const now = performance.now()
    const others = new Map<string, SeenBeat>()
    for (const { _id, beat, tasks } of documents) {
      if (_id === this.id) continue
      const known = this.#others.get(_id)
      const seen = { beat, tasks, from: known?.beat === beat ? known.from : now, until: askedAt }
      if (seen.until - seen.from < forgottenAfter) others.set(_id, seen)
      else this.#replicas.deleteOne({ _id, beat }).catch(() => {})
    }
    const died = [...others].filter(([id, seen]) => isStale(seen) && !isStale(this.#others.get(id) ?? seen))
    this.#others = others
    for (const [id] of died) void this.endTransactionsOf(id)
  }
}

const isStale = ({ from, until }: SeenBeat): boolean => until - from >= goneAfter
