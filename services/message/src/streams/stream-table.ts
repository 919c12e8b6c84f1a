import { OwnStream, type StreamReport, type StreamWriter } from './own-stream.ts'

/** A stream on a server that another replica holds, as that replica told. */
export interface FarStream {
  /** See `streamKey`. */
  key: string
  replica: string
  server: string
  id: string
  user: number
  resource: string
  since: number
  isAvailable: boolean
  carbons: boolean
}

/** Told of what happens to the streams of this replica. */
export interface StreamWatcher {
  /** It is new, or its report changed. */
  changed?(stream: OwnStream, before: StreamReport | undefined): void
  /**
   * It is gone for good, or its server is out of reach. What it had not confirmed is abandoned right after. `missed`: ids of what
   * its client has not confirmed and no mailbox holds, as far as the server knows: what was said in rooms, and of a client that
   * confirms nothing also in single chats.
   */
  ended?(stream: OwnStream, missed: readonly string[]): void
  /** Another replica told of a stream of its. */
  farChanged?(stream: FarStream): void
}

const none: readonly never[] = []

/** Who is where: the streams of the servers this replica holds, and what other replicas told of theirs. */
export class StreamTable {
  readonly #own = new Map<string, Map<string, OwnStream>>()
  readonly #ownOf = new Map<number, OwnStream[]>()
  readonly #far = new Map<string, FarStream>()
  readonly #farOf = new Map<number, FarStream[]>()
  /** Told by another replica of streams whose server this one has not noticed to have lost: they count from then on. */
  readonly #toldEarly = new Map<string, FarStream>()
  readonly #watchers: StreamWatcher[] = []

  watch(watcher: StreamWatcher): void {
    this.#watchers.push(watcher)
  }

  /** Takes a report: of a new stream, or of one that changed. */
  report(server: string, report: StreamReport, writer: StreamWriter): OwnStream {
    let streams = this.#own.get(server)
    if (!streams) {
      streams = new Map()
      this.#own.set(server, streams)
    }
    let stream = streams.get(report.id)
    const before = stream?.report
    if (stream) stream.report = report
    else {
      stream = new OwnStream(server, report, writer)
      streams.set(report.id, stream)
      this.removeFar(stream.key)
      const others = this.#ownOf.get(report.user)
      if (others) others.push(stream)
      else this.#ownOf.set(report.user, [stream])
    }
    for (const watcher of this.#watchers) watcher.changed?.(stream, before)
    return stream
  }

  find(server: string, id: string): OwnStream | undefined {
    return this.#own.get(server)?.get(id)
  }

  end(server: string, id: string, missed: readonly string[] = none): OwnStream | undefined {
    const streams = this.#own.get(server)
    const stream = streams?.get(id)
    if (!streams || !stream) return undefined
    streams.delete(id)
    const { user } = stream.report
    const others = this.#ownOf.get(user)?.filter((other) => other !== stream) ?? []
    if (others.length) this.#ownOf.set(user, others)
    else this.#ownOf.delete(user)
    for (const watcher of this.#watchers) watcher.ended?.(stream, missed)
    const told = this.#toldEarly.get(stream.key)
    if (told) this.putFar(told)
    return stream
  }

  ofServer(server: string): OwnStream[] {
    return [...(this.#own.get(server)?.values() ?? [])]
  }

  ownOf(user: number): readonly OwnStream[] {
    return this.#ownOf.get(user) ?? none
  }

  *own(): Generator<OwnStream> {
    for (const streams of this.#own.values()) yield* streams.values()
  }

  farOf(user: number): readonly FarStream[] {
    return this.#farOf.get(user) ?? none
  }

  putFar(stream: FarStream): void {
    this.removeFar(stream.key)
    // One of the two replicas has not noticed yet that the other one holds the server.
    if (this.find(stream.server, stream.id)) {
      this.#toldEarly.set(stream.key, stream)
      return
    }
    this.#far.set(stream.key, stream)
    this.#farOf.set(stream.user, [...this.farOf(stream.user), stream])
    for (const watcher of this.#watchers) watcher.farChanged?.(stream)
  }

  /** With `replica`, only when that one told of it: another may have taken its server over. */
  removeFar(key: string, replica?: string): void {
    const told = this.#toldEarly.get(key)
    if (replica === undefined || told?.replica === replica) this.#toldEarly.delete(key)
    const stream = this.#far.get(key)
    if (!stream || (replica !== undefined && stream.replica !== replica)) return
    this.#far.delete(key)
    const others = this.farOf(stream.user).filter((other) => other !== stream)
    if (others.length) this.#farOf.set(stream.user, others)
    else this.#farOf.delete(stream.user)
  }

  removeFarWhere(matches: (stream: FarStream) => boolean): void {
    for (const stream of [...this.#far.values(), ...this.#toldEarly.values()])
      if (matches(stream)) this.removeFar(stream.key, stream.replica)
  }
}
