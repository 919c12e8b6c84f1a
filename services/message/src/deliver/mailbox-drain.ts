import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '@im/service-kit'
import {
  isBefore,
  type MailboxRepository,
  type MailboxRow,
  type Place,
  type WaitingRow,
} from '../mailbox/mailbox-repository.ts'
import { keyText } from '../messages/message-document.ts'
import type { MessagesRepository } from '../messages/messages-repository.ts'
import { withDelay } from '../stanzas/stanza-text.ts'
import { noneWaiting, type OwnStream, type StreamReport } from '../streams/own-stream.ts'
import type { StreamTable } from '../streams/stream-table.ts'
import type { Deliverer } from './deliverer.ts'

/** Rows, without their texts, that one look into a mailbox tells of. */
const mostAhead = 250
/** Rows and bytes that are read and handed over in one go: whatever else there is to do goes on in between. */
const mostRowsAtOnce = 200
const mostBytesAtOnce = 128 * 1024
/** How long (ms) everybody else goes first after so many bytes: at full speed they keep the message service and the XMPP server busy. */
const rest = 10
/** How often (ms) it is looked for rows that nobody rang for, because a replica died or NATS was away in that moment. */
const lookEvery = 5000
/** Longer than it takes to see them at least once. */
const lookBack = 60_000
/** Users of one question. */
const usersAtOnce = 500

/**
 * Hands mailboxes over (spec xmpp.md §5): to each stream that takes them, in order, no more at a time than the stream may
 * owe, the next portion as its client confirms. A stream that has got everything is live: until then all that comes waits
 * behind what is there.
 */
export class MailboxDrain {
  readonly #mailbox: MailboxRepository
  readonly #messages: Pick<MessagesRepository, 'known'>
  readonly #deliverer: Deliverer
  readonly #streams: StreamTable
  readonly #log: Logger
  readonly #closing = new AbortController()
  readonly #running = new Set<Promise<void>>()
  #looking: NodeJS.Timeout | undefined

  constructor(options: {
    mailbox: MailboxRepository
    messages: Pick<MessagesRepository, 'known'>
    deliverer: Deliverer
    streams: StreamTable
    log: Logger
  }) {
    this.#mailbox = options.mailbox
    this.#messages = options.messages
    this.#deliverer = options.deliverer
    this.#streams = options.streams
    this.#log = options.log
    options.deliverer.ring = (stream, place) => this.wake(stream, place)
    options.deliverer.rest = (stream) => this.#goOn(stream)
    options.streams.watch({ changed: (stream, before) => this.#changed(stream, before) })
  }

  #changed(stream: OwnStream, before: StreamReport | undefined): void {
    if (!stream.isAvailable) stream.mail = 'away'
    else if (stream.mail === 'away') this.wake(stream)
    else if (before?.waiting && !stream.report.waiting && stream.mail === 'behind') this.#start(stream)
  }

  /** Another replica has put a row into the user's mailbox. */
  wakeUser(user: number, from: Place): void {
    for (const stream of this.#streams.ownOf(user)) this.wake(stream, from)
  }

  /** Rows may wait for the stream, from a place on; without one, any. */
  wake(stream: OwnStream, from: Place = first): void {
    if (!stream.isAvailable) return
    stream.mail = 'behind'
    if (!stream.rungFrom || isBefore(from, stream.rungFrom)) stream.rungFrom = from
    this.#start(stream)
  }

  /** The stream's client has confirmed something: there may be room for more. */
  roomCame(stream: OwnStream): void {
    if (stream.hasPlenty) this.#goOn(stream)
  }

  #goOn(stream: OwnStream): void {
    if (stream.mail === 'behind') this.#start(stream)
  }

  #start(stream: OwnStream): void {
    if (stream.isDraining || stream.report.waiting || this.#closing.signal.aborted) return
    stream.isDraining = true
    const running = this.#drain(stream).finally(() => {
      stream.isDraining = false
      this.#running.delete(running)
    })
    this.#running.add(running)
  }

  async #drain(stream: OwnStream): Promise<void> {
    // What was read when there was no room any more may be long ago: more may have come that nobody rang for.
    stream.ahead.hasMore = true
    let attempt = 0
    while (takes(stream) && !this.#closing.signal.aborted) {
      try {
        if (!(await this.#portion(stream))) return
        attempt = 0
      } catch (error) {
        this.#log.warn({ reason: String(error), attempt }, 'a mailbox could not be read; trying again')
        await delay(Math.min(100 * 2 ** attempt++, 1000), undefined, { signal: this.#closing.signal }).catch(() => {})
      }
    }
  }

  /** Hands the next rows over. False when there is nothing to do for now: no room, or no row. */
  async #portion(stream: OwnStream): Promise<boolean> {
    if (!stream.hasRoom) return false
    goBack(stream)
    const { user, resource } = stream.report
    if (!stream.ahead.rows.length) {
      const rows = await this.#mailbox.waiting(user, resource, stream.cursor, mostAhead)
      stream.ahead = { rows, hasMore: rows.length === mostAhead }
    }
    const next = portionOf(stream)
    if (!next.length && stream.ahead.rows.length) return false
    const rows = await this.#mailbox.read(
      next.map(({ _id }) => _id),
      resource,
    )
    const gone = await this.#goneAmong([...rows.values()])
    if (!takes(stream)) return false
    const writesFrom = this.#deliverer.writesFrom(user)
    for (const { _id, at, seq } of next) {
      // One that comes before it has been written since they were read, or is being written.
      if (stream.rungFrom && isBefore(stream.rungFrom, { at, seq })) return true
      if (writesFrom && isBefore(writesFrom, { at, seq })) return false
      const row = rows.get(_id)
      if (row && gone.has(_id)) this.#deliverer.removeRow(row)
      else if (row && !this.#deliverer.hasRow(stream, row)) {
        // Something else was written to it meanwhile.
        if (!stream.hasRoomFor(row.bytes)) return false
        this.#deliverer.handRow(stream, row, withDelay(row.text, row.at))
      }
      stream.cursor = { at, seq, _id }
      stream.ahead.rows.shift()
    }
    if (stream.ahead.rows.length || stream.ahead.hasMore || stream.rungFrom) {
      const bytes = next.reduce((sum, row) => sum + row.bytes, stream.ahead.rows[0]?.bytes ?? 0)
      if (bytes > mostBytesAtOnce) await delay(rest, undefined, { signal: this.#closing.signal }).catch(() => {})
      return true
    }
    // A row that is on its way into the mailbox rings when it is there.
    if (!this.#deliverer.writesFrom(user)) stream.mail = 'live'
    return false
  }

  /**
   * Rows whose message was recalled before they were written. What stands in a row was taken: a refusal that is kept of it is that
   * of another attempt.
   */
  async #goneAmong(rows: readonly MailboxRow[]): Promise<Set<string>> {
    const late = rows.filter((row) => row.late)
    const gone = new Set<string>()
    if (!late.length) return gone
    const known = await this.#messages.known(late.map((row) => row.late!))
    for (const row of late) {
      const message = known.get(keyText(row.late!))
      if (message?.gone && !message.refused) gone.add(row._id)
    }
    return gone
  }

  /** Begins to look for rows that nobody rang for. */
  start(): void {
    let isLooking = false
    this.#looking = setInterval(() => {
      if (isLooking) return
      isLooking = true
      this.#look()
        .catch((error) => this.#log.warn({ reason: String(error) }, 'mailboxes could not be looked through'))
        .finally(() => {
          isLooking = false
        })
    }, lookEvery)
  }

  /** Asks for those who are here alone: a broadcast puts rows for many who are not. */
  async #look(): Promise<void> {
    const live = new Set<number>()
    for (const { mail, report } of this.#streams.own()) if (mail === 'live') live.add(report.user)
    const users = [...live]
    for (let at = 0; at < users.length && !this.#closing.signal.aborted; at += usersAtOnce)
      for (const user of await this.#mailbox.usersOfLast(lookBack, users.slice(at, at + usersAtOnce)))
        for (const stream of this.#streams.ownOf(user)) if (stream.mail === 'live') this.wake(stream)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    clearInterval(this.#looking)
    await Promise.all(this.#running)
  }
}

/** Before any row. */
const first = { at: 0, seq: 0 }

/** The next portion begins where a bell told of something, also one that rang while the last portion was read. */
function goBack(stream: OwnStream): void {
  const { rungFrom: from, cursor } = stream
  if (!from) return
  if (cursor && isBefore(from, cursor)) stream.cursor = { ...from, _id: '' }
  const { rows } = stream.ahead
  const last = rows.at(-1)
  stream.ahead = !last || isBefore(from, last) ? noneWaiting() : { rows, hasMore: true }
  stream.rungFrom = undefined
}

/** The rows that come next, as many as go in one go. */
function portionOf(stream: OwnStream): readonly WaitingRow[] {
  const { rows } = stream.ahead
  let bytes = 0
  const end = rows.findIndex((row, count) => {
    bytes += row.bytes
    const isFull = count === mostRowsAtOnce || (count > 0 && bytes > mostBytesAtOnce)
    return isFull || !stream.hasRoomFor(bytes, count + 1)
  })
  return rows.slice(0, end < 0 ? rows.length : end)
}

const takes = (stream: OwnStream) => !stream.ended && stream.isAvailable && !stream.report.waiting
