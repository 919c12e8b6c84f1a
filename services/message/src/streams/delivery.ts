import { type MailboxRow, month, type RowChange } from '../mailbox/mailbox-repository.ts'
import { bytesOf, type StanzaText } from '../stanzas/stanza-text.ts'
import type { OwnStream } from './own-stream.ts'

/** How long a message waits for a user who is not there (spec xmpp.md §5). */
export type Waits = 'month' | 'minute' | 'never'

/** Which streams of a user a message is for (spec xmpp.md §5). Streams are named by their `key`. */
export type Audience =
  /** All that take what is for the user as a whole. */
  | { kind: 'available' }
  /** One device; when it is not there, as `available`. */
  | { kind: 'resource'; resource: string }
  /** One device or nobody. */
  | { kind: 'exactly'; resource: string }
  /** All that are available but this one. */
  | { kind: 'others'; stream: string }
  /** All that asked for copies but this one. */
  | { kind: 'carbons'; stream: string }

/** A message on its way to one user. */
export interface Outgoing {
  user: number
  /** Sender and id: what makes it one message, however often it is told. */
  from: number
  messageId: string
  /** Of single chats: what a recall names it by. */
  conversation?: string
  /** Its place among what the user is owed. */
  at: number
  seq: number
  text: StanzaText
  /** Of the stanza. */
  id: string | undefined
  waits: Waits
  /** Nobody is to get it later than this (ms). */
  expireAt?: number
  audience: Audience
  /** Devices (resources) that are said to be there: those of them that no stream can be found for are owed it. */
  devices?: readonly string[]
  /** Devices whose streams were known when it came or began to be stored: those that are gone since then are owed it. */
  known?: readonly string[]
}

/** A row that waits for a month tells by its end when it was put: who looks for rows of the last minute finds late ones, too. */
const endOf = ({ waits, at, expireAt = Number.POSITIVE_INFINITY }: Outgoing, now: number) =>
  Math.min(expireAt, waits === 'minute' ? at + 60_000 : now + month)

/** The row that keeps a message for its user from `now` (ms) on, and for these devices of theirs even when another has it. */
export const rowOf = (
  id: string,
  message: Outgoing,
  owes: readonly string[],
  { isLate, now }: { isLate: boolean; now: number },
): MailboxRow => ({
  _id: id,
  user: message.user,
  at: message.at,
  seq: message.seq,
  ...(message.id === undefined ? {} : { id: message.id }),
  text: message.text,
  bytes: bytesOf(message.text),
  expireAt: new Date(endOf(message, now)),
  owes: [...owes],
  ...(isLate && message.conversation
    ? { late: { conversation: message.conversation, messageId: message.messageId, from: message.from } }
    : {}),
})

/** What another replica says of its streams: some confirmed it, it stands in the mailbox, or it has none that it is for. */
export type FarOutcome = { is: 'confirmed'; by: string[] } | { is: 'kept' } | { is: 'nobody' }

/** Where a delivery writes its row, and what it tells of itself. */
export interface DeliveryBacking {
  now(): number
  change(change: RowChange, done?: () => void): void
  /** Its row is written, and some device waits for it. */
  rowWaits(delivery: Delivery): void
  /** Nothing has to be remembered of it any more. */
  forget(delivery: Delivery): void
}

/**
 * One message and one user: which streams have it, which have confirmed it, and the row that keeps it for those that have
 * not. It is settled when nothing is lost with this process and the XMPP server's log: each stream that got it has confirmed
 * it, or the row is written. The first stream that confirms it makes the row one for the other devices alone.
 */
export class Delivery {
  readonly rowId: string
  readonly message: Outgoing
  readonly #backing: DeliveryBacking
  readonly #streams = new Set<OwnStream>()
  /** Devices that peers look after who have not said yet that it is settled there: a list for each. */
  readonly #elsewhere = new Set<readonly string[]>()
  /** Resources that are owed it and have no stream that was given it. */
  readonly #owed = new Set<string>()
  /** Resources that have confirmed it, here and elsewhere. */
  readonly #confirmedBy = new Set<string>()
  /** It stands in the mailbox by another replica's hand. */
  #isKeptElsewhere = false
  #isRecalled = false
  #isOverdue = false
  #row: 'none' | 'asked' | 'written'
  #isSettled = false
  readonly #waiters: (() => void)[] = []

  constructor(rowId: string, message: Outgoing, hasRow: boolean, backing: DeliveryBacking) {
    this.rowId = rowId
    this.message = message
    this.#backing = backing
    this.#row = hasRow ? 'written' : 'none'
  }

  get confirmedBy(): ReadonlySet<string> {
    return this.#confirmedBy
  }

  /** Somebody is being given it, or is owed it. */
  get concernsSomebody(): boolean {
    return this.#isServed || this.#owed.size > 0
  }

  get hasRow(): boolean {
    return this.#row !== 'none'
  }

  /** Calls back when it is settled, at once when it is. */
  whenSettled(done: () => void): void {
    if (this.#isSettled) done()
    else this.#waiters.push(done)
  }

  isWith(stream: OwnStream): boolean {
    return this.#streams.has(stream)
  }

  /** A stream has been given it. */
  handedTo(stream: OwnStream): void {
    this.#streams.add(stream)
    this.#owed.delete(stream.resource)
  }

  handedElsewhere(devices: readonly string[]): void {
    this.#elsewhere.add(devices)
  }

  /** A device can't be given it now: it gets it from the mailbox. A row that is there names it already, as it does all served. */
  owe(resource: string): void {
    this.#owed.add(resource)
  }

  confirmed(stream: OwnStream): void {
    if (!this.#streams.delete(stream)) return
    this.#took([stream.resource])
    this.review()
  }

  /** The stream is gone and never confirmed it. */
  lostBy(stream: OwnStream): void {
    if (!this.#streams.delete(stream)) return
    this.owe(stream.resource)
    this.review()
  }

  /** Another replica is done with it, which was to look after these devices. */
  settledElsewhere(outcome: FarOutcome, devices: readonly string[]): void {
    if (!this.#elsewhere.delete(devices)) return
    if (outcome.is === 'confirmed') this.#took(outcome.by)
    if (outcome.is === 'kept') this.#isKeptElsewhere = true
    if (outcome.is === 'nobody') for (const resource of devices) this.owe(resource)
    this.review()
  }

  /** Nobody is to read it any more: nothing is kept of it. Who recalls it removes a row that is there. */
  recall(): void {
    this.#isRecalled = true
  }

  /** Not confirmed for too long: from now on it stands in the mailbox, too. */
  overdue(): void {
    if (!this.#isServed) return
    this.#isOverdue = true
    this.review()
  }

  get #isServed(): boolean {
    return this.#streams.size > 0 || this.#elsewhere.size > 0
  }

  /** Writes the row when somebody is owed the message whom nobody serves, and sees whether it is settled. */
  review(): void {
    const keepsNothing = this.#isRecalled || this.message.waits === 'never'
    const wantsRow =
      this.#isOverdue || this.#owed.size > 0 || !(this.#isServed || this.#confirmedBy.size || this.#isKeptElsewhere)
    if (this.#row === 'none' && wantsRow && !keepsNothing) this.#writeRow()
    const isOver = this.#row === 'none' && (!this.#isServed || this.#isOverdue)
    if (this.#row === 'written' || isOver) this.#settle()
    if (this.#isSettled && this.#streams.size === 0) this.#backing.forget(this)
  }

  #writeRow(): void {
    this.#row = 'asked'
    const row = rowOf(this.rowId, this.message, this.#unconfirmed(), { isLate: true, now: this.#backing.now() })
    if (this.#confirmedBy.size) row.isTaken = true
    this.#backing.change({ kind: 'put', row }, () => {
      this.#row = 'written'
      if (this.#owed.size > 0 || !this.#isServed) this.#backing.rowWaits(this)
      this.review()
    })
  }

  /** Devices have it: the row is for those that have not, or goes. */
  #took(resources: string[]): void {
    for (const resource of resources) this.#confirmedBy.add(resource)
    if (this.#row === 'none') return
    const { user, text } = this.message
    const owes = this.#unconfirmed()
    this.#backing.change({ kind: 'took', id: this.rowId, user, bytes: bytesOf(text), resources, owes })
  }

  #unconfirmed(): string[] {
    const served = [...this.#streams].map(({ resource }) => resource)
    return [...new Set([...this.#owed, ...served, ...[...this.#elsewhere].flat()])]
  }

  #settle(): void {
    if (this.#isSettled) return
    this.#isSettled = true
    for (const done of this.#waiters.splice(0)) done()
  }
}
