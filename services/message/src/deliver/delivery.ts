import { type MailboxRow, month, type RowChange } from '../mailbox/mailbox-repository.ts'
import type { OwnStream } from '../streams/own-stream.ts'
import type { StanzaText } from './stanza-text.ts'

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
}

const lifeOf = ({ waits, at, expireAt = Number.POSITIVE_INFINITY }: Outgoing) =>
  Math.min(expireAt, at + (waits === 'minute' ? 60_000 : month))

/** The row that keeps a message for its user. */
export const rowOf = (id: string, message: Outgoing, isLate: boolean): MailboxRow => ({
  _id: id,
  user: message.user,
  at: message.at,
  seq: message.seq,
  ...(message.id === undefined ? {} : { id: message.id }),
  text: message.text,
  bytes: message.text.length,
  expireAt: new Date(lifeOf(message)),
  ...(isLate && message.conversation
    ? { late: { conversation: message.conversation, messageId: message.messageId, from: message.from } }
    : {}),
})

/** What another replica says of its streams: one confirmed it, it stands in the mailbox, or it has none that it is for. */
export type FarOutcome = 'confirmed' | 'kept' | 'nobody'

/** Where a delivery writes its row, and what it tells of itself. */
export interface DeliveryBacking {
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
  /** Peers that look after streams of their own and have not said yet that it is settled there. */
  #elsewhere = 0
  /** Resources that are owed it and have no stream that was given it. */
  readonly #owed = new Set<string>()
  #isConfirmed = false
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

  get isConfirmed(): boolean {
    return this.#isConfirmed
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

  handedElsewhere(): void {
    this.#elsewhere++
  }

  /** A device that is there can't be given it now: it gets it from the mailbox. */
  owe(resource: string): void {
    this.#owed.add(resource)
  }

  confirmedBy(stream: OwnStream): void {
    if (!this.#streams.delete(stream)) return
    this.#isConfirmed = true
    if (this.#row !== 'none') this.#keepForOthers()
    this.review()
  }

  /** The stream is gone and never confirmed it. */
  lostBy(stream: OwnStream): void {
    if (!this.#streams.delete(stream)) return
    if (this.#isConfirmed || this.#isServed) this.#owed.add(stream.resource)
    this.review()
  }

  /** Another replica is done with it. */
  settledElsewhere(outcome: FarOutcome): void {
    if (this.#elsewhere === 0) return
    this.#elsewhere--
    if (outcome === 'confirmed') {
      this.#isConfirmed = true
      if (this.#row !== 'none') this.#keepForOthers()
    }
    if (outcome === 'kept') this.#isKeptElsewhere = true
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
    return this.#streams.size > 0 || this.#elsewhere > 0
  }

  /** Writes the row when somebody is owed the message whom nobody serves, and sees whether it is settled. */
  review(): void {
    const keepsNothing = this.#isRecalled || this.message.waits === 'never'
    const wantsRow =
      this.#isOverdue || this.#owed.size > 0 || !(this.#isServed || this.#isConfirmed || this.#isKeptElsewhere)
    if (this.#row === 'none' && wantsRow && !keepsNothing) this.#writeRow()
    const isOver = this.#row === 'none' && (!this.#isServed || this.#isOverdue)
    if (this.#row === 'written' || isOver) this.#settle()
    if (this.#isSettled && this.#streams.size === 0) this.#backing.forget(this)
  }

  #writeRow(): void {
    this.#row = 'asked'
    this.#backing.change({ kind: 'put', row: rowOf(this.rowId, this.message, true) }, () => {
      this.#row = 'written'
      if (this.#owed.size > 0 || !this.#isServed) this.#backing.rowWaits(this)
      this.review()
    })
    if (this.#isConfirmed) this.#keepForOthers()
  }

  /** A first device has it: the row is for those that have not, or goes. */
  #keepForOthers(): void {
    const resources = [...new Set([...this.#owed, ...[...this.#streams].map(({ resource }) => resource)])]
    const id = this.rowId
    const { user, text } = this.message
    this.#backing.change(
      resources.length ? { kind: 'keep-for', id, resources } : { kind: 'remove', id, user, bytes: text.length },
    )
  }

  #settle(): void {
    if (this.#isSettled) return
    this.#isSettled = true
    for (const done of this.#waiters.splice(0)) done()
  }
}
