import { setTimeout as delay } from 'node:timers/promises'
import type { Bus, Closable, Logger } from '@im/service-kit'
import type { Feeds } from '../feed/share-servers.ts'
import type { OwnStream } from '../streams/own-stream.ts'
import type { FarStream, StreamTable } from '../streams/stream-table.ts'
import { isRevoked, type Revocation, type RevocationsRepository, restingOn } from './revocations-repository.ts'

/** New streams of this time (ms) are looked at together. */
const gatherFor = 20
const usersAtOnce = 1000
/** How often (ms) all are looked at again: for what was told while NATS was away. */
const lookAgainEvery = 10_000
const retryAfter = 500

/**
 * Closes streams on their server when what they rest on is void (spec xmpp.md §1), and the older of two streams with one
 * resource that are on different servers. Looks at each stream when it turns up, and at those of a user when told.
 */
export class StreamCloser {
  readonly #revocations: RevocationsRepository
  readonly #streams: StreamTable
  readonly #feeds: Feeds
  readonly #bus: Bus
  readonly #log: Logger
  readonly #now: () => number
  #users = new Set<number>()
  #working: Promise<void> | undefined
  readonly #closing = new AbortController()
  readonly #underWay = new Set<string>()

  constructor(options: {
    revocations: RevocationsRepository
    streams: StreamTable
    feeds: Feeds
    bus: Bus
    log: Logger
    now: () => number
  }) {
    this.#revocations = options.revocations
    this.#streams = options.streams
    this.#feeds = options.feeds
    this.#bus = options.bus
    this.#log = options.log
    this.#now = options.now
    this.#streams.watch({
      changed: (stream, before) => {
        const { user, login } = stream.report
        // Who resumes a stream has logged in anew.
        if (login !== before?.login) this.#look(user)
        if (!before) this.#closeOlder(user)
      },
      farChanged: ({ user }) => this.#closeOlder(user),
    })
  }

  start(): Closable {
    const heard = this.#bus.onTell('revoked', (user) => this.#look(Number(user)))
    const again = setInterval(() => {
      for (const stream of this.#streams.own()) this.#look(stream.report.user)
    }, lookAgainEvery)
    return {
      close: async () => {
        this.#closing.abort()
        clearInterval(again)
        await heard.close()
        await this.#working
      },
    }
  }

  /** Keeps what is void of a user, and tells all replicas. */
  async revoke(user: number, revocations: readonly Omit<Revocation, 'expireAt'>[]): Promise<void> {
    await this.#revocations.add(revocations, this.#now())
    this.#look(user)
    this.#bus.tell('revoked', String(user))
  }

  /** The account is open again. */
  async restore(user: number): Promise<void> {
    await this.#revocations.remove(`u:${user}`)
  }

  #look(user: number): void {
    if (!this.#streams.ownOf(user).length || this.#closing.signal.aborted) return
    this.#users.add(user)
    this.#working ??= delay(gatherFor).then(() => this.#work())
  }

  async #work(): Promise<void> {
    while (this.#users.size && !this.#closing.signal.aborted) {
      const users = [...this.#users].slice(0, usersAtOnce)
      for (const user of users) this.#users.delete(user)
      try {
        const streams = users.flatMap((user) => this.#streams.ownOf(user))
        const found = await this.#revocations.of(streams.map(({ report }) => report))
        for (const stream of streams)
          for (const id of restingOn(stream.report)) {
            const revocation = found.get(id)
            if (revocation && isRevoked(stream.report, revocation)) this.#close(stream, revocation)
          }
      } catch (error) {
        for (const user of users) this.#users.add(user)
        this.#log.warn({ reason: String(error) }, 'revoked streams could not be looked for; trying again')
        await delay(retryAfter, undefined, { signal: this.#closing.signal }).catch(() => {})
      }
    }
    this.#working = undefined
  }

  #close(stream: OwnStream, revocation: Revocation): void {
    const { closeAt, text } = revocation
    const wait = closeAt - this.#now()
    const { signal } = this.#closing
    delay(Math.max(0, wait), undefined, { signal }).then(
      () => {
        // It may have been resumed with another login meanwhile.
        if (isRevoked(stream.report, revocation)) this.#order(stream, 'not-authorized', text)
      },
      () => {},
    )
  }

  /** A resource that is taken on another server ends the stream that had it (spec xmpp.md §1). */
  #closeOlder(user: number): void {
    const own = this.#streams.ownOf(user)
    for (const stream of own) {
      const others = [...own, ...this.#streams.farOf(user)]
      const isTaken = others.some(
        (other) => other.server !== stream.server && other.resource === stream.resource && isNewer(other, stream),
      )
      if (isTaken) this.#order(stream, 'conflict', 'this resource connected to another server')
    }
  }

  /** Tries until the server has done it, or the stream is gone. */
  #order(stream: OwnStream, condition: string, text: string): void {
    if (this.#underWay.has(stream.key)) return
    this.#underWay.add(stream.key)
    const { signal } = this.#closing
    const order = async () => {
      while (!stream.ended && !signal.aborted) {
        try {
          const { user } = stream.report
          await this.#feeds.of(stream.server)?.closeStreams({ user, ids: [stream.id], condition, text })
          return
        } catch (error) {
          this.#log.warn({ reason: String(error), stream: stream.key }, 'a stream could not be closed; trying again')
        }
        await delay(retryAfter, undefined, { signal }).catch(() => {})
      }
    }
    void order().finally(() => this.#underWay.delete(stream.key))
  }
}

const sinceOf = (stream: OwnStream | FarStream) => ('report' in stream ? stream.report.since : stream.since)

const isNewer = (a: OwnStream | FarStream, b: OwnStream): boolean =>
  sinceOf(a) > sinceOf(b) || (sinceOf(a) === sinceOf(b) && a.key > b.key)
