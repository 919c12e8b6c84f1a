import { setTimeout as delay } from 'node:timers/promises'
import type { Closable } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { applyPresence } from './apply-presence.ts'
import type { PresenceAt } from './presence-repository.ts'
import { UnheldServers } from './unheld-servers.ts'

/** Changes of this time (ms) are stored together. */
const gatherFor = 100
const usersAtOnce = 500
/** How often (ms) a replica says that its servers are there. */
const seenEvery = 10_000

interface FollowedServer {
  server: string
  epoch: number
  /** Users whose streams changed. */
  users: Set<number>
  /** What no stream of a user which ended since the last look has confirmed, and no mailbox holds: ids of messages. */
  missed: Map<number, readonly string[]>
  /** All users that were there before have to be compared with those that are there now. */
  compares: boolean
  working: boolean
}

/**
 * Keeps who is online from the streams of the servers this replica holds. A lost connection changes nothing by itself:
 * whoever holds the server next tells who is there; when nobody does for a while, its users are gone.
 */
export class PresenceFollower {
  readonly #deps: Deps
  readonly #servers = new Map<string, FollowedServer>()
  readonly #unheld = new UnheldServers()
  readonly #running = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  start(): Closable {
    const { streams, feedWatchers, log } = this.#deps
    streams.watch({
      changed: (stream, before) => {
        const { priority, waiting, user } = stream.report
        if (before?.priority !== priority || before?.waiting !== waiting) this.#changed(stream.server, user)
      },
      ended: (stream, missed) => {
        this.#missed(stream.server, stream.report.user, missed)
        this.#changed(stream.server, stream.report.user)
      },
    })
    feedWatchers.add({
      ready: (server, epoch) => {
        this.#servers.set(server, {
          server,
          epoch,
          users: new Set(),
          missed: new Map(),
          compares: true,
          working: false,
        })
        this.#work(server)
      },
      lost: (server, epoch) => {
        if (this.#servers.get(server)?.epoch === epoch) this.#servers.delete(server)
      },
    })
    const seeing = setInterval(() => {
      this.look().catch((error) => log.warn({ reason: String(error) }, 'presence could not be looked after'))
    }, seenEvery)
    return {
      close: async () => {
        this.#closing.abort()
        clearInterval(seeing)
        await Promise.all(this.#running)
      },
    }
  }

  /** Says that the servers here are there, and clears those that nobody holds. `at` in ms by a clock that nobody sets. */
  async look(at = performance.now()): Promise<void> {
    const { presences, feeds, now } = this.#deps
    await presences.seen(feeds.servers, now())
    for (const gone of this.#unheld.among(await presences.servers(), at)) await this.#clear(gone)
  }

  #changed(server: string, user: number): void {
    const followed = this.#servers.get(server)
    if (!followed) return
    followed.users.add(user)
    this.#work(server)
  }

  #missed(server: string, user: number, ids: readonly string[]): void {
    const missed = this.#servers.get(server)?.missed
    const before = missed?.get(user)
    missed?.set(user, before ? before.filter((id) => ids.includes(id)) : ids)
  }

  #work(server: string): void {
    const followed = this.#servers.get(server)
    if (!followed || followed.working || this.#closing.signal.aborted) return
    followed.working = true
    const running = this.#store(followed).finally(() => {
      followed.working = false
      this.#running.delete(running)
    })
    this.#running.add(running)
  }

  async #store(followed: FollowedServer): Promise<void> {
    const { log, presences, now } = this.#deps
    const { server, epoch } = followed
    const isCurrent = () => this.#servers.get(server) === followed && !this.#closing.signal.aborted
    let attempt = 0
    await delay(gatherFor)
    while (isCurrent() && (followed.compares || followed.users.size)) {
      const users = [...followed.users].slice(0, usersAtOnce)
      for (const user of users) followed.users.delete(user)
      try {
        if (followed.compares) {
          if (!(await presences.begin(server, epoch, now()))) return
          await this.#compare(followed)
          followed.compares = false
        }
        const places = new Map(users.map((user) => [user, this.#placeAt(server, user)]))
        const missed = new Map(users.map((user) => [user, followed.missed.get(user) ?? []]))
        if (users.length && !(await applyPresence(this.#deps, followed, places, missed))) return
        for (const [user, ids] of missed) if (followed.missed.get(user) === ids) followed.missed.delete(user)
        attempt = 0
      } catch (error) {
        for (const user of users) followed.users.add(user)
        log.warn({ reason: String(error), attempt }, 'presence could not be stored; trying again')
        await delay(Math.min(100 * 2 ** attempt++, 1000), undefined, { signal: this.#closing.signal }).catch(() => {})
      }
    }
  }

  /** Of those that were there before the connection, who is not as told now; and who is there for the first time. */
  async #compare({ server, users }: FollowedServer): Promise<void> {
    const { presences, streams } = this.#deps
    const present = new Set(streams.ofServer(server).map(({ report }) => report.user))
    for (let after = 0; ; ) {
      const some = await presences.usersAt(server, after, usersAtOnce)
      for (const { _id: user, at } of some) {
        const { resources = [], isAsleep } = at.find((place) => place.server === server) ?? {}
        const now = this.#placeAt(server, user)
        if (resources.join() !== now.resources.join() || isAsleep !== now.isAsleep) users.add(user)
        present.delete(user)
      }
      if (some.length < usersAtOnce) break
      after = some.at(-1)!._id
    }
    for (const user of present) users.add(user)
  }

  #placeAt(server: string, user: number): Omit<PresenceAt, 'server'> {
    const streams = this.#deps.streams.ownOf(user).filter((stream) => stream.server === server)
    const available = streams.filter(({ report }) => report.priority !== undefined)
    const resources = [...new Set(available.map(({ resource }) => resource))].sort()
    const isAsleep = available.length > 0 && available.every(({ report }) => report.waiting)
    return { resources, ...(isAsleep ? { isAsleep } : {}) }
  }

  /** Nobody has held the server for long: its users are not there. */
  async #clear({ server, epoch }: { server: string; epoch: number }): Promise<void> {
    const { presences, log } = this.#deps
    for (;;) {
      const some = await presences.usersAt(server, 0, usersAtOnce)
      if (!some.length) break
      const nothing = new Map(some.map(({ _id }) => [_id, { resources: [] }]))
      if (!(await applyPresence(this.#deps, { server, epoch }, nothing))) return
    }
    await presences.forgetServer(server, epoch)
    log.info({ server }, 'an XMPP server is gone, and its users with it')
  }
}

/** Follows the presence of users on the servers of this replica. */
export const followPresence = (deps: Deps): Closable => new PresenceFollower(deps).start()
