import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { type Element, xml } from '@xmpp/component'
import { componentName } from '../config.ts'
import type { MessageWrite } from '../deliver/message-step.ts'
import { writeMessages } from '../deliver/write-messages.ts'
import type { Deps } from '../deps.ts'
import { EntryMarks } from './entry-marks.ts'
import { frameNamespace, VersionMismatch } from './frame-namespace.ts'
import { FrameWriter } from './frame-writer.ts'
import { openComponent, type XmppConnection } from './open-component.ts'
import { Pipeline } from './pipeline.ts'
import { prepareEntry } from './prepare-entry.ts'
import { type Frame, type Hello, readFrames } from './read-frame.ts'
import { traceBatch } from './trace-batch.ts'

/** What comes of the log of a server on one connection. */
interface LogWork {
  marks: EntryMarks
  pipeline: Pipeline<MessageWrite>
}

/** Between two tries (ms): short, because a server that was killed is back in less. */
const longestPause = 300

/** How long (ms) clients may take to confirm what they were given when the server goes to another replica. */
const leaveWithin = 2000
/** How long (ms) a server is left alone when it is of another version, or when we fail on its entries one after the other. */
const restBeforeRetry = 30_000

/**
 * Holds the component connection to one XMPP server: takes its entries, follows its streams, writes to them. A broken
 * connection is opened again until the signal aborts; another replica that takes the server over ends it.
 */
export class Feed {
  readonly #deps: Deps
  readonly #url: string
  #work: LogWork | undefined
  /** Of each log, the last entry that was in it when the server was connected. */
  readonly #lastBefore = new Map<string, number>()
  #connection: XmppConnection | undefined
  #writer: FrameWriter | undefined
  #hello: { server: string; epoch: number } | undefined
  #isReady = false

  constructor(deps: Deps, url: string) {
    this.#deps = deps
    this.#url = url
  }

  /** Name and epoch of the server while its streams are known. */
  get holds(): { server: string; epoch: number } | undefined {
    return this.#isReady ? this.#hello : undefined
  }

  /** Whether an entry was in the log before the server was connected: it may have been on its way to streams that are gone. */
  cameBefore(log: string, seq: number): boolean {
    return seq <= (this.#lastBefore.get(log) ?? 0)
  }

  /** Resolves when the signal aborted, or with 'replaced' when another replica took the server. */
  async run(signal: AbortSignal): Promise<'ended' | 'replaced'> {
    try {
      return await this.#keepConnected(signal)
    } finally {
      await this.#endWork()
    }
  }

  async #keepConnected(signal: AbortSignal): Promise<'ended' | 'replaced'> {
    let failures = 0
    while (!signal.aborted) {
      // The server tells what it may not have been answered again: only what is being written comes before that.
      await this.#endWork()
      try {
        await this.#connect(signal, () => {
          failures = 0
        })
      } catch (error) {
        if (signal.aborted) break
        if (isConflict(error)) {
          this.#deps.log.info({ url: this.#url }, 'another replica holds the XMPP server now')
          return 'replaced'
        }
        failures++
        this.#deps.feedMetrics.reconnects.inc()
        this.#tell(error as Error, failures)
        const mayHelp = !(error instanceof BugError || error instanceof VersionMismatch)
        const pause = mayHelp ? Math.min(50 * 2 ** failures, longestPause) : restBeforeRetry
        await delay(pause, undefined, { signal }).catch(() => {})
      }
    }
    return 'ended'
  }

  #tell(error: Error, failures: number): void {
    const line = { url: this.#url, reason: error.message }
    const { log } = this.#deps
    if (error instanceof VersionMismatch)
      log.error(
        line,
        'run the same release of the XMPP server and of this service; until then messages wait in its log',
      )
    else if (isUnauthorized(error) && failures === 1)
      log.error(line, 'the XMPP server refuses us: XMPP_COMPONENT_SECRET must be the same there and here')
    else if (isOfAnotherDomain(error) && failures === 1)
      log.error(line, 'the XMPP server is of another domain: XMPP_DOMAIN must be the same there and here')
    // While the XMPP server starts, refusals are expected: only the first is worth a line.
    else
      log[failures > 1 ? 'debug' : 'warn'](
        { ...line, ...stackOf(error) },
        'no connection to the XMPP server; trying again',
      )
  }

  /** Closes streams of a user on this server; resolves when the server has done it. */
  async closeStreams(order: { user: number; logins?: string[]; ids?: string[]; condition: string; text: string }) {
    const { user, logins, ids, condition, text } = order
    await this.#request(
      xml('close-streams', {
        xmlns: frameNamespace,
        user: String(user),
        ...(logins ? { logins: logins.join(' ') } : {}),
        ...(ids ? { id: ids.join(' ') } : {}),
        condition,
        text,
      }),
    )
  }

  /** Resolves when the server has taken what was written to it until now. Many who wait share one question. */
  whenTaken(): Promise<void> {
    if (!this.#asking) {
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined
      })
      return this.#asking
    }
    this.#askingNext ??= this.#asking
      .catch(() => {})
      .then(() => {
        this.#askingNext = undefined
        return this.whenTaken()
      })
    return this.#askingNext
  }

  #asking: Promise<void> | undefined
  #askingNext: Promise<void> | undefined
  #giveUpAsking: (reason: Error) => void = () => {}

  async #ask(): Promise<void> {
    await turn()
    this.#writer?.flush()
    const lost = Promise.withResolvers<never>()
    this.#giveUpAsking = lost.reject
    await Promise.race([this.#request(xml('ping', { xmlns: 'urn:xmpp:ping' }), 'get'), lost.promise])
  }

  async #request(order: Element, type: 'get' | 'set' = 'set'): Promise<void> {
    const connection = this.#connection
    if (!connection) throw new Error('no connection to the XMPP server')
    const { config } = this.#deps
    await connection.request(xml('iq', { type, from: componentName(config), to: config.xmppDomain }, order))
  }

  async #connect(signal: AbortSignal, progressed: () => void): Promise<void> {
    const { config, log, feedMetrics } = this.#deps
    let early: Error | undefined
    let connection: XmppConnection | undefined
    const fail = (error: Error) => {
      early ??= error
      connection?.fail(error)
    }
    // Frames arrive in the same segment as the answer of the handshake: what they cause is written when it is through.
    const written: string[] = []
    const write = (text: string) => (connection ? connection.write(text) : void written.push(text))
    connection = await openComponent({
      url: this.#url,
      jid: componentName(config),
      secret: config.xmppComponentSecret,
      domain: config.xmppDomain,
      log,
      signal,
      onStanza: (stanza) => {
        if (early || stanza.name !== 'message') return
        try {
          for (const frame of readFrames(stanza)) this.#take(frame, write, fail, progressed)
        } catch (error) {
          fail(error as Error)
        }
      },
    })
    this.#connection = connection
    for (const text of written) connection.write(text)
    if (early) connection.fail(early)
    feedMetrics.connected.inc()
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
    try {
      const fault = await Promise.race([connection.ended, aborted])
      if (fault) throw fault
      if (!signal.aborted) throw new Error('the connection ended')
    } finally {
      feedMetrics.connected.dec()
      // In this order: what is stored is confirmed before the stream is closed.
      if (signal.aborted) {
        this.#isLeaving = true
        await this.#endWork()
        await this.#leave(connection)
      }
      this.#writer?.flush()
      await connection.close()
      this.#lose()
    }
  }

  #take(frame: Frame, write: (text: string) => void, fail: (error: Error) => void, progressed: () => void): void {
    const { deps, server } = { deps: this.#deps, server: this.#hello?.server ?? '' }
    if (frame.kind !== 'hello' && !this.#hello) throw new Error(`${frame.kind} came before hello`)
    switch (frame.kind) {
      case 'hello': {
        const { config, log } = deps
        log.info({ ...frame, url: this.#url }, 'an XMPP server is connected')
        this.#hello = { server: frame.server, epoch: frame.epoch }
        // Its epoch is the time there.
        this.#clockAhead = deps.now() - frame.epoch
        const writer = new FrameWriter({
          component: componentName(config),
          domain: config.xmppDomain,
          epoch: frame.epoch,
          write,
        })
        this.#writer = writer
        const work = this.#begin(frame)
        work.marks.onMove = () => {
          progressed()
          writer.marks(work.marks.inHand, work.marks.settled)
          deps.feedMetrics.open.set({ server: frame.server }, work.marks.open)
        }
        work.marks.onMove()
        this.#lastBefore.set(frame.log, frame.last)
        this.#fail = fail
        break
      }
      case 'stream': {
        const isNew = !deps.streams.find(server, frame.report.id)
        const stream = deps.streams.report(server, frame.report, this.#writer!)
        if (isNew) deps.lateStreams.came(stream, this.#clockAhead)
        break
      }
      case 'ready':
        this.#isReady = true
        deps.feedWatchers.ready(server, this.#hello!.epoch)
        break
      case 'stream-end':
        this.#confirm(frame.id, frame.confirmed)
        deps.streams.end(server, frame.id, frame.missed)
        break
      case 'confirmed':
        for (const { stream, upTo } of frame.marks) this.#confirm(stream, upTo)
        break
      case 'hole':
        if (this.#isLeaving) break
        deps.feedMetrics.holes.inc(frame.to - frame.from + 1)
        deps.log.error({ server, from: frame.from, to: frame.to }, 'entries of the log are damaged')
        this.#work!.marks.skip(frame.from, frame.to)
        break
      case 'entry': {
        // The next replica gets it.
        if (this.#isLeaving) break
        const { marks, pipeline } = this.#work!
        const { seq, stamp, stream, from, stanza } = frame
        marks.take(seq)
        const runBefore = marks.runBefore(seq)
        pipeline.take({ server, log: marks.log, seq, stamp, stream, from, stanza, ...(runBefore ? { runBefore } : {}) })
      }
    }
  }

  #isLeaving = false

  /**
   * Waits until clients have confirmed what they were given, here and, of this server's entries, on other servers: the next
   * replica would have to give it to them again.
   */
  async #leave(connection: XmppConnection): Promise<void> {
    const server = this.#hello?.server
    if (server === undefined) return
    const own = this.#deps.streams.ofServer(server)
    for (const stream of own) stream.isLeaving = true
    let isOver = false
    void connection.ended.then(() => {
      isOver = true
    })
    const isOwed = () =>
      this.#work?.pipeline.unsettled || own.some(({ ended, owesConfirmation }) => !ended && owesConfirmation)
    for (const end = performance.now() + leaveWithin; isOwed(); await delay(20))
      if (isOver || performance.now() > end) return
  }

  /** How much (ms) our clock is ahead of the server's. */
  #clockAhead = 0
  #fail: (error: Error) => void = () => {}

  #confirm(id: string, upTo: number): void {
    const { streams, deliverer, mailboxDrain } = this.#deps
    const stream = streams.find(this.#hello!.server, id)
    if (!stream) return
    deliverer.confirmed(stream, upTo)
    mailboxDrain.roomCame(stream)
  }

  #begin({ log, released, last }: Hello): LogWork {
    const deps = this.#deps
    const before = this.#work?.marks
    if (before) before.onMove = () => {}
    // A log that ends before what came of it is not the one it was.
    const marks = new EntryMarks(log, released, before && before.last <= last ? before : undefined)
    const pipeline = new Pipeline<MessageWrite>({
      marks,
      maxBatch: deps.config.archiveBatch,
      prepare: (entry, sender) =>
        prepareEntry(deps, entry, sender, (text, name = 'message') =>
          this.#writer?.deliverTo(entry.stream, name, text),
        ),
      write: (writes, entries) =>
        deps.chatFirst.store(
          () => traceBatch(deps.tracing, entries, () => writeMessages(deps, writes)),
          entries.map(({ stamp }) => stamp),
        ),
      park: (entry, error) => deps.parked.keep(entry, error),
      giveUp: (error) => this.#fail(new BugError(error.message)),
      log: deps.log,
      metrics: deps.feedMetrics,
    })
    this.#work = { marks, pipeline }
    return this.#work
  }

  /** The connection is over. Streams may be gone until they are told again; what they had not confirmed is kept. */
  #lose(): void {
    const { streams, feedWatchers } = this.#deps
    const [hello, writer] = [this.#hello, this.#writer]
    this.#connection = undefined
    this.#writer = undefined
    this.#hello = undefined
    this.#isReady = false
    this.#giveUpAsking(new Error('the connection ended'))
    if (!hello) return
    // A server that came back elsewhere may have told of others already.
    for (const stream of streams.ofServer(hello.server))
      if (stream.writer === writer) streams.end(hello.server, stream.id)
    feedWatchers.lost(hello.server, hello.epoch)
  }

  /** Ends the work on the log: what is being written is written, and its receipts go out. Of that more may be confirmed later. */
  async #endWork(): Promise<void> {
    await this.#work?.pipeline.close()
  }
}

/** Entries fail one after the other: not the connection is at fault. */
class BugError extends Error {}

const isUnauthorized = (error: unknown) => (error as { condition?: string }).condition === 'not-authorized'

/** A stream error holds a whole stanza, of which the reason is all that one can read. */
const stackOf = (error: Error) => ('condition' in error ? {} : { err: error })

const isOfAnotherDomain = (error: unknown) => (error as { condition?: string }).condition === 'host-unknown'

const isConflict = (error: unknown) => (error as { condition?: string }).condition === 'conflict'
