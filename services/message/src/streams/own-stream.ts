import type { Place, RowPlace, WaitingRow } from '../mailbox/mailbox-repository.ts'
import { streamKey } from '../read/addresses.ts'
import { bytesOf, type StanzaName, type StanzaText } from '../stanzas/stanza-text.ts'
import type { Delivery } from './delivery.ts'

/** What an XMPP server tells of a stream, whole each time. */
export interface StreamReport {
  /** Unique on its server, also over restarts and resumes. */
  id: string
  user: number
  resource: string
  /** `t:<session id>` or `p:<password version>`: what it was opened with, or resumed last. */
  login: string
  /** When it was bound, in ms. */
  since: number
  /** Undefined: no available presence. */
  priority: number | undefined
  carbons: boolean
  /** How its client confirms what it gets. */
  confirms: 'sm' | 'ack' | 'write'
  /** Without a connection at the moment; it may be resumed. */
  waiting: boolean
  /** Highest numbers the server was given for it, and its client confirmed. */
  delivered: number
  confirmed: number
  notes: ReadonlyMap<string, string>
}

/** Where a stream stands to the mailbox of its user. */
export type MailState =
  /** It takes nothing from it: no presence, or a negative priority. */
  | 'away'
  /** Rows wait that it has not got: what comes now has to wait behind them. */
  | 'behind'
  /** It has got all: what comes now goes to it at once. */
  | 'live'

/** How much a stream may owe its confirmation of. Beyond it, messages wait in the mailbox. */
const mostUnconfirmed = 500
const mostUnconfirmedBytes = 512 * 1024

/** Rows of a mailbox that come next. */
export interface Waiting {
  rows: WaitingRow[]
  /** There may be more behind them. */
  hasMore: boolean
}

export const noneWaiting = (): Waiting => ({ rows: [], hasMore: true })

/** Writes to the streams of one server. */
export interface StreamWriter {
  deliver(streamId: string, number: number | undefined, text: StanzaText, expectId: string | undefined): void
  /** One text for many streams: `to` is a list of `stream` or `stream:number`, separated by blanks. */
  deliverTo(to: string, name: StanzaName, text: StanzaText, expectId?: string): void
  /** The server keeps it with streams, in a list separated by blanks, and tells it again; without value it is forgotten. */
  note(to: string, name: string, value: string | undefined): void
}

interface Handed {
  number: number
  bytes: number
  /** Undefined: nobody keeps it beside the server. */
  delivery: Delivery | undefined
}

/** A stream on an XMPP server whose connection this replica holds. */
export class OwnStream {
  readonly server: string
  report: StreamReport
  mail: MailState = 'away'
  /** Rows of the mailbox up to here were handed over; undefined: none. */
  cursor: RowPlace | undefined
  /** Rows behind the cursor, as the mailbox was read last. */
  ahead = noneWaiting()
  isDraining = false
  /** It was there before we heard of it, and may get something twice: see LateStreams. */
  cameLate = false
  /** Rows may have come since the mailbox was read, from this place on. */
  rungFrom: Place | undefined
  ended = false
  /** Its server goes to another replica: what comes from now on is that one's to give, out of the mailbox. */
  isLeaving = false
  /** Of its server. */
  readonly writer: StreamWriter
  readonly #handed: Handed[] = []
  #bytes = 0
  #next: number

  constructor(server: string, report: StreamReport, writer: StreamWriter) {
    this.server = server
    this.report = report
    this.writer = writer
    this.#next = report.delivered + 1
  }

  get id(): string {
    return this.report.id
  }

  /** Names it among the streams of all servers. */
  get key(): string {
    return streamKey(this.server, this.report.id)
  }

  get resource(): string {
    return this.report.resource
  }

  get carbons(): boolean {
    return this.report.carbons
  }

  /** Takes what is addressed to the user as a whole. */
  get isAvailable(): boolean {
    const { priority } = this.report
    return priority !== undefined && priority >= 0
  }

  get hasRoom(): boolean {
    return !this.isLeaving && this.#handed.length < mostUnconfirmed && this.#bytes < mostUnconfirmedBytes
  }

  /** Half of it is free: worth reading the next portion of a mailbox. */
  get hasPlenty(): boolean {
    return !this.isLeaving && this.#handed.length <= mostUnconfirmed / 2 && this.#bytes <= mostUnconfirmedBytes / 2
  }

  /** Its client has something that it may still confirm. */
  get owesConfirmation(): boolean {
    return this.#handed.length > 0 && !this.report.waiting
  }

  /** Whether so much more fits into what it may owe; one message does when it owes nothing. */
  hasRoomFor(bytes: number, messages = 1): boolean {
    const count = this.#handed.length + messages
    return !this.isLeaving && (count === 1 || (count <= mostUnconfirmed && this.#bytes + bytes <= mostUnconfirmedBytes))
  }

  /** Gives it a message that its client has to confirm. */
  hand(delivery: Delivery, text: StanzaText): void {
    this.writer.deliver(this.id, this.#numbered(text, delivery), text, delivery.message.id)
  }

  /** Writes what nobody confirms. */
  write(text: StanzaText, name: StanzaName = 'message'): void {
    this.writer.deliverTo(this.id, name, text)
  }

  /** The number of a delivery that it is given together with other streams. */
  number(text: StanzaText): number {
    return this.#numbered(text, undefined)
  }

  #numbered(text: StanzaText, delivery: Delivery | undefined): number {
    const number = this.#next++
    const bytes = bytesOf(text)
    this.#handed.push({ number, bytes, delivery })
    this.#bytes += bytes
    return number
  }

  /** What its client has confirmed with this. */
  confirm(upTo: number): Delivery[] {
    let count = 0
    while (count < this.#handed.length && this.#handed[count]!.number <= upTo)
      this.#bytes -= this.#handed[count++]!.bytes
    return this.#handed.splice(0, count).flatMap(({ delivery }) => delivery ?? [])
  }

  /** What was handed over and never confirmed, when the stream is gone. */
  abandon(): Delivery[] {
    this.ended = true
    this.#bytes = 0
    return this.#handed.splice(0).flatMap(({ delivery }) => delivery ?? [])
  }
}
