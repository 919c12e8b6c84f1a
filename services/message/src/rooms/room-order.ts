import { setTimeout as delay } from 'node:timers/promises'
import type { StandingMember } from '@im/contracts/room'
import { roomsDomain } from '../config.ts'
import type { Deps } from '../deps.ts'
import type { KnownRoom } from '../room-facts/room-facts.ts'
import type { StanzaText } from '../stanzas/stanza-text.ts'
import type { OwnStream } from '../streams/own-stream.ts'
import type { RoomAtServer } from './occupants.ts'
import { destroyedText, outText, roomAddress } from './room-stanzas.ts'

/** Something that concerns the streams which have joined a room, on all servers. */
export type RoomOrder =
  /**
   * All who were members when it came (`at`, ms) get this message, and its sender does. `id` is that of the stanza, where clients
   * may be asked to confirm it by its id.
   */
  | { kind: 'say'; jid: string; text: StanzaText; at: number; from: number; id?: string }
  /** These users are out, unless they are members again. */
  | { kind: 'remove'; jid: string; users: number[] }
  /** All are out, unless there is such a room. */
  | { kind: 'destroy'; jid: string }

/** Streams named in one frame. */
const streamsAtOnce = 5000
/** After how long (ms) the room service is asked again who is a member. */
const askAgainAfter = 500
/** Who is a member is asked so often before an answer counts that may be old at once. */
const mostTries = 5

type CarryOutDeps = Pick<Deps, 'occupants' | 'roomFacts' | 'feeds' | 'config' | 'log'>

/** Who gets what is said, as it was found out last: nothing of it has to be looked at while nothing changes. */
interface Listeners {
  known: KnownRoom
  changes: number
  /** Streams in lists as frames name them, and those that confirm by ids or are still joining. */
  lists: string[]
  apart: OwnStream[]
  some: OwnStream | undefined
  /** When the newest of them became a member (ms). */
  newestSince: number
}

/** Carries out orders on the streams of this replica, those of one room and server in their order. */
export class RoomOrders {
  readonly #deps: CarryOutDeps
  readonly #listeners = new WeakMap<RoomAtServer, Listeners>()
  /** Orders that wait for an answer about members, and what came behind them. */
  readonly #waiting = new WeakMap<RoomAtServer, Promise<void>>()

  constructor(deps: CarryOutDeps) {
    this.#deps = deps
  }

  /** Resolves when the server has what its streams are to get. */
  async carryOut(server: string, order: RoomOrder): Promise<void> {
    const room = this.#deps.occupants.at(order.jid, server)
    if (!room) return
    const before = this.#waiting.get(room)
    const joining: Promise<void>[] = []
    if (order.kind === 'say' && !before && this.#say(room, order, joining)) {
      // Nothing had to be asked.
    } else {
      const work = (before ?? Promise.resolve()).then(() =>
        order.kind === 'say' ? this.#sayAfterAsking(room, order, joining) : this.#remove(room, order),
      )
      const ended = work.catch(() => {})
      this.#waiting.set(room, ended)
      try {
        await work
      } finally {
        if (this.#waiting.get(room) === ended) this.#waiting.delete(room)
      }
    }
    const feed = this.#deps.feeds.of(server)
    if (!feed) throw new Error('the server is gone')
    await Promise.all([feed.whenTaken(), ...joining])
  }

  async #sayAfterAsking(room: RoomAtServer, order: RoomOrder & { kind: 'say' }, joining: Promise<void>[]) {
    const { roomFacts, log } = this.#deps
    for (let tries = 1; room.streams.size && !this.#say(room, order, joining); tries++) {
      try {
        const users = usersOf(room)
        const standings = await Promise.all(users.map((user) => roomFacts.of(order.jid, user)))
        // Asked for whoever came meanwhile, too, as long as answers are kept.
        if (roomFacts.isInTouch && tries < mostTries && standings.some(({ state }) => state === 'live')) continue
        const members = new Map(users.map((user, index) => [user, standings[index]?.member]))
        this.#hand(listening(room, members, order), room, order, joining)
        return
      } catch (error) {
        log.warn({ reason: String(error), jid: order.jid }, 'it cannot be found out who is in a room; trying again')
        await delay(askAgainAfter)
      }
    }
  }

  /** False when it is not known of all who have joined that they are members. */
  #say(room: RoomAtServer, order: RoomOrder & { kind: 'say' }, joining: Promise<void>[]): boolean {
    const known = this.#deps.roomFacts.room(order.jid)
    if (!known) return false
    let listeners = this.#listeners.get(room)
    if (!listeners || listeners.known !== known || listeners.changes !== room.changes) {
      listeners = listenersOf(room, known)
      if (!listeners) return false
      this.#listeners.set(room, listeners)
    }
    const { some, lists, apart, newestSince } = listeners
    if (order.at < newestSince) {
      // Somebody came, or came back, after this was said.
      this.#hand(listening(room, known.members, order), room, order, joining)
      return true
    }
    for (const list of lists) some!.writer.deliverTo(list, 'message', order.text, order.id)
    this.#hand(apart, room, order, joining)
    return true
  }

  #hand(
    streams: readonly OwnStream[],
    room: RoomAtServer,
    { text, id }: RoomOrder & { kind: 'say' },
    joining: Promise<void>[],
  ) {
    const together: string[] = []
    for (const stream of streams) {
      const join = room.streams.get(stream)
      if (join) joining.push(join.add({ text, id }))
      else together.push(expects(stream, id) ? `${stream.id}:${stream.number(text)}` : stream.id)
    }
    for (let at = 0; at < together.length; at += streamsAtOnce)
      streams[0]!.writer.deliverTo(together.slice(at, at + streamsAtOnce).join(' '), 'message', text, id)
  }

  async #remove(room: RoomAtServer, order: Exclude<RoomOrder, { kind: 'say' }>): Promise<void> {
    const { occupants, roomFacts, config } = this.#deps
    const { jid } = order
    for (const stream of [...room.streams.keys()]) {
      const { user } = stream.report
      if (order.kind === 'remove' && !order.users.includes(user)) continue
      const { state, member } = await roomFacts.of(jid, user)
      if (order.kind === 'remove' ? member : state === 'live') continue
      const from = roomAddress(roomsDomain(config), jid, user)
      stream.write(order.kind === 'remove' ? outText(from, [110, 321]) : destroyedText(from), 'presence')
      occupants.leave(stream, jid)
    }
  }
}

/** Streams whose clients confirm messages by their ids get a number; those that owe too much already get no more of them. */
const expects = (stream: OwnStream, id: string | undefined) =>
  id !== undefined && stream.report.confirms === 'ack' && stream.hasRoom

const usersOf = ({ streams }: RoomAtServer) => [...new Set([...streams.keys()].map(({ report }) => report.user))]

/** Streams of those who may hear it: what came before somebody was a member, or while they were none, is not for them. */
const listening = (
  room: RoomAtServer,
  members: ReadonlyMap<number, StandingMember | undefined>,
  { at, from }: RoomOrder & { kind: 'say' },
) =>
  [...room.streams.keys()].filter(({ report: { user } }) => {
    const member = members.get(user)
    return member && (member.since <= at || user === from)
  })

/** Undefined when it is not known of each whether they are members. */
function listenersOf(room: RoomAtServer, known: KnownRoom): Listeners | undefined {
  const ids: string[] = []
  const apart: OwnStream[] = []
  let some: OwnStream | undefined
  let newestSince = 0
  for (const [stream, joining] of room.streams) {
    const { user, confirms } = stream.report
    if (known.state === 'live' && !known.members.has(user)) return undefined
    const member = known.members.get(user)
    if (!member) continue
    some = stream
    newestSince = Math.max(newestSince, member.since)
    if (joining || confirms === 'ack') apart.push(stream)
    else ids.push(stream.id)
  }
  const lists = Array.from({ length: Math.ceil(ids.length / streamsAtOnce) }, (_, part) =>
    ids.slice(part * streamsAtOnce, (part + 1) * streamsAtOnce).join(' '),
  )
  return { known, changes: room.changes, lists, apart, some, newestSince }
}
