import type { StanzaText } from '../stanzas/stanza-text.ts'
import type { OwnStream } from '../streams/own-stream.ts'
import type { StreamTable } from '../streams/stream-table.ts'

/** A stanza that a stream which is joining gets behind the history of the room. */
interface Waiting {
  text: StanzaText
  /** Of the stanza. */
  id: string | undefined
}

/** A stream that is getting the history of a room: what is said meanwhile waits for that. */
export class Joining {
  readonly #waiting: Waiting[] = []
  readonly #ended = Promise.withResolvers<void>()

  add(stanza: Waiting): Promise<void> {
    this.#waiting.push(stanza)
    return this.#ended.promise
  }

  /** What waited, but for what the history held. */
  end(isKnown: (id: string) => boolean): StanzaText[] {
    this.#ended.resolve()
    return this.#waiting.flatMap(({ text, id }) => (id !== undefined && isKnown(id) ? [] : [text]))
  }
}

/** The streams of one server that have joined a room. */
export interface RoomAtServer {
  /** Undefined: it is in. */
  readonly streams: Map<OwnStream, Joining | undefined>
  /** Rises with each change. */
  changes: number
}

const noteOf = (jid: string) => `room:${jid}`
const roomOfNote = (name: string) => (name.startsWith('room:') ? name.slice(5) : undefined)

/**
 * Which streams of this replica have joined which rooms. The XMPP server keeps it with each stream and tells it again, so it
 * outlives this process.
 */
export class Occupants {
  /** By jid, then by server. */
  readonly #rooms = new Map<string, Map<string, RoomAtServer>>()
  readonly #roomsOf = new Map<OwnStream, Set<string>>()

  constructor(streams: StreamTable) {
    streams.watch({
      changed: (stream, before) => {
        if (before) return
        for (const name of stream.report.notes.keys()) {
          const jid = roomOfNote(name)
          if (jid !== undefined) this.#put(stream, jid, undefined)
        }
      },
      ended: (stream) => {
        for (const jid of this.#roomsOf.get(stream) ?? []) this.#remove(stream, jid)
      },
    })
  }

  at(jid: string, server: string): RoomAtServer | undefined {
    return this.#rooms.get(jid)?.get(server)
  }

  /** Users with a stream of this replica in the room whose join is answered. */
  usersIn(jid: string): Set<number> {
    const users = new Set<number>()
    for (const { streams } of this.#rooms.get(jid)?.values() ?? [])
      for (const [{ report }, joining] of streams) if (!joining) users.add(report.user)
    return users
  }

  has(stream: OwnStream, jid: string): boolean {
    return this.#roomsOf.get(stream)?.has(jid) === true
  }

  /** The stream joins: from now on nothing said in the room passes by it. */
  begin(stream: OwnStream, jid: string): Joining {
    this.#joiningAt(stream, jid)?.end(() => false)
    const joining = new Joining()
    this.#put(stream, jid, joining)
    return joining
  }

  /** False when it left meanwhile, or joins once more. */
  isJoining(stream: OwnStream, jid: string, joining: Joining): boolean {
    return !stream.ended && this.#joiningAt(stream, jid) === joining
  }

  /** Streams of one server have the history and what was said meanwhile. */
  complete(streams: readonly OwnStream[], jid: string): void {
    for (const stream of streams) this.#put(stream, jid, undefined)
    streams[0]?.writer.note(streams.map(({ id }) => id).join(' '), noteOf(jid), '1')
  }

  /** It is in without a history. */
  admit(stream: OwnStream, jid: string): void {
    if (stream.ended || this.has(stream, jid)) return
    this.#put(stream, jid, undefined)
    stream.writer.note(stream.id, noteOf(jid), '1')
  }

  leave(stream: OwnStream, jid: string): void {
    if (!this.has(stream, jid)) return
    this.#remove(stream, jid)
    if (!stream.ended) stream.writer.note(stream.id, noteOf(jid), undefined)
  }

  #joiningAt(stream: OwnStream, jid: string): Joining | undefined {
    return this.at(jid, stream.server)?.streams.get(stream)
  }

  #put(stream: OwnStream, jid: string, joining: Joining | undefined): void {
    const servers = this.#rooms.get(jid) ?? new Map<string, RoomAtServer>()
    this.#rooms.set(jid, servers)
    const room = servers.get(stream.server) ?? { streams: new Map(), changes: 0 }
    servers.set(stream.server, room)
    room.streams.set(stream, joining)
    room.changes++
    const rooms = this.#roomsOf.get(stream)
    if (rooms) rooms.add(jid)
    else this.#roomsOf.set(stream, new Set([jid]))
  }

  #remove(stream: OwnStream, jid: string): void {
    this.#joiningAt(stream, jid)?.end(() => false)
    const servers = this.#rooms.get(jid)
    const room = servers?.get(stream.server)
    if (servers && room) {
      room.streams.delete(stream)
      room.changes++
      if (!room.streams.size) servers.delete(stream.server)
      if (!servers.size) this.#rooms.delete(jid)
    }
    const rooms = this.#roomsOf.get(stream)
    rooms?.delete(jid)
    if (rooms && !rooms.size) this.#roomsOf.delete(stream)
  }
}
