import { upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { MailboxLimits } from '../mailbox/mailbox-limits.ts'
import {
  isBefore,
  type MailboxRow,
  type Place,
  type RowChange,
  rowId,
  rowIdOf,
  type SingleMessage,
} from '../mailbox/mailbox-repository.ts'
import type { MailboxWriter } from '../mailbox/mailbox-writer.ts'
import {
  type Audience,
  Delivery,
  type DeliveryBacking,
  type FarOutcome,
  type Outgoing,
  rowOf,
} from '../streams/delivery.ts'
import type { OwnStream } from '../streams/own-stream.ts'
import type { FarStream, StreamTable } from '../streams/stream-table.ts'

/** How long (ms) a delivery may stay unconfirmed before it stands in the mailbox as well. */
const confirmedWithin = 4000
const lookEvery = 500

/** Other replicas, as far as deliveries need them. */
export interface FarDeliveries {
  /** Asks another replica to serve its streams; `settled` is called once, also when no answer comes. */
  deliver(replica: string, message: Outgoing, settled: ((outcome: FarOutcome) => void) | undefined): void
  /** Mailboxes have grown: who serves these users looks again. */
  mailboxGrew(user: number, place: { at: number; seq: number }): void
}

/** A row of a mailbox, or the message it is for. */
type RowInHand = Place & { user: number }

/** Told when a row waits, from this place on, that a stream here has not got. */
export type MailboxBell = (stream: OwnStream, place: Place) => void

/** Hands messages to streams and answers for each until it is confirmed or stands in a mailbox. */
export class Deliverer {
  readonly #streams: StreamTable
  readonly #writer: MailboxWriter
  readonly #far: FarDeliveries
  readonly #limits: MailboxLimits
  readonly #now: () => number
  readonly #deliveries = new Map<string, Delivery>()
  /** Rows that are being written, by user: nobody's mailbox is empty while there are some. */
  readonly #writing = new Map<number, Set<RowInHand>>()
  /** When those that are not over yet have to be confirmed, in this order. */
  readonly #due = new Map<Delivery, number>()
  readonly #looking: NodeJS.Timeout
  readonly #backing: DeliveryBacking
  /** `<row>/<resource>` of what was confirmed a moment ago: a reader of the mailbox may still see its row. */
  readonly #justConfirmed = new LRUCache<string, true>({ ...upTo(100_000), ttl: 60_000 })
  ring: MailboxBell = () => {}
  /** Told when a row of a user is not being written any more. */
  rest: (stream: OwnStream) => void = () => {}

  constructor(options: {
    streams: StreamTable
    writer: MailboxWriter
    limits: MailboxLimits
    far: FarDeliveries
    now: () => number
  }) {
    this.#streams = options.streams
    this.#writer = options.writer
    this.#limits = options.limits
    this.#far = options.far
    this.#now = options.now
    this.#looking = setInterval(() => this.#look(), lookEvery)
    this.#backing = {
      now: options.now,
      change: (change, done) => this.#change(change, done),
      rowWaits: (delivery) => this.#grew(delivery),
      forget: (delivery) => {
        this.#due.delete(delivery)
        if (this.#deliveries.get(delivery.rowId) === delivery) this.#deliveries.delete(delivery.rowId)
      },
    }
    this.#streams.watch({
      ended: (stream) => {
        for (const delivery of stream.abandon()) delivery.lostBy(stream)
      },
    })
  }

  /** The first place of those rows of the user that are on their way into the mailbox. */
  writesFrom(user: number): Place | undefined {
    const places: Place[] = [...(this.#writing.get(user) ?? [])]
    return places.length ? places.reduce((first, place) => (isBefore(place, first) ? place : first)) : undefined
  }

  /** The row a message needs in the transaction that stores it; undefined when a stream can be given it at once. */
  rowFor(message: Outgoing): MailboxRow | undefined {
    if (message.waits === 'never' || this.#replicasOf(message).size) return undefined
    const takes = ({ mail, hasRoom, report }: OwnStream) => mail !== 'behind' && hasRoom && !report.waiting
    if (this.#devices(message).some(takes)) return undefined
    const row = this.firstRow(message)
    return this.#limits.take(row.user, row.bytes) ? row : undefined
  }

  /** A row for a message that no device has been given yet: it is owed to each that is there. */
  firstRow(message: Outgoing): MailboxRow {
    const owes = new Set([...this.known(message), ...missingOf(message)])
    const id = rowId(message.user, message.from, message.messageId)
    return rowOf(id, message, [...owes], { isLate: false, now: this.#now() })
  }

  /** Devices a message is for, on streams here and at other replicas. */
  known(message: Pick<Outgoing, 'user' | 'audience'>): string[] {
    const own = this.#devices(message).map(({ resource }) => resource)
    return [...own, ...[...this.#replicasOf(message).values()].flat()]
  }

  /** To be called around the writing of rows by a transaction: streams don't pass them meanwhile. */
  rowsBegin(rows: Iterable<RowInHand>): void {
    for (const row of rows) this.#begin(row)
  }

  /** With the very objects with which it began. */
  rowsEnd(rows: Iterable<RowInHand>): void {
    for (const row of rows) this.#end(row)
  }

  /**
   * Gives a message to the streams it is for; `settled` is called when it can't be lost any more. `hasRow`: it stands in the
   * mailbox already.
   */
  deliver(message: Outgoing, { hasRow = false, settled }: { hasRow?: boolean; settled: () => void }): void {
    if (message.waits === 'never') {
      for (const stream of this.#devices(message)) stream.write(message.text)
      for (const replica of this.#replicasOf(message).keys()) this.#far.deliver(replica, message, undefined)
      settled()
      return
    }
    const { delivery, known } = this.#begun(message, hasRow)
    const replicas = this.#replicasOf(message)
    this.#handOut(delivery, { hasRow, elsewhere: new Set([...replicas.values()].flat()), known })
    for (const [replica, devices] of replicas) {
      delivery.handedElsewhere(devices)
      const settled = (outcome: FarOutcome) => delivery.settledElsewhere(outcome, devices)
      // What is owed to devices elsewhere is seen to here: it is not for that replica to keep.
      this.#far.deliver(replica, { ...message, devices, known: [] }, settled)
    }
    if (hasRow) {
      this.#ringOthers(delivery)
      if (!replicas.size) this.#far.mailboxGrew(message.user, message)
    }
    settleTogether(delivery, known, settled)
  }

  /** Serves another replica: its message goes to the streams here. */
  deliverHere(message: Outgoing, answer: (outcome: FarOutcome) => void): void {
    const devices = this.#devices(message)
    if (!devices.length || message.waits === 'never') {
      for (const stream of devices) stream.write(message.text)
      answer(devices.length ? { is: 'kept' } : { is: 'nobody' })
      return
    }
    const { delivery, known } = this.#begun(message, false)
    this.#handOut(delivery, { hasRow: false, known })
    settleTogether(delivery, known, () => {
      const by = new Set([...delivery.confirmedBy, ...(known?.confirmedBy ?? [])])
      answer(by.size ? { is: 'confirmed', by: [...by] } : { is: 'kept' })
    })
  }

  /**
   * The delivery of a message, and the one of it that is under way already: another replica may have asked for some of its devices
   * before this one got its entry, or its row.
   */
  #begun(message: Outgoing, hasRow: boolean): { delivery: Delivery; known: Delivery | undefined } {
    const id = rowId(message.user, message.from, message.messageId)
    const known = this.#deliveries.get(id)
    const delivery = new Delivery(id, message, hasRow, this.#backing)
    if (!known) this.#deliveries.set(id, delivery)
    return { delivery, known }
  }

  /** Gives it to the streams that can take it now; the others, and devices that can't be found, get it from the mailbox. */
  #handOut(
    delivery: Delivery,
    {
      hasRow,
      elsewhere = noDevices,
      known,
    }: { hasRow: boolean; elsewhere?: ReadonlySet<string>; known: Delivery | undefined },
  ): void {
    const { message } = delivery
    const devices = this.#devices(message)
    for (const stream of devices) {
      if (known?.isWith(stream) || known?.confirmedBy.has(stream.resource)) continue
      if (stream.mail !== 'behind' && stream.hasRoom) this.#hand(stream, delivery, message.text)
      else if (!hasRow) {
        stream.mail = 'behind'
        delivery.owe(stream.resource)
      }
    }
    if (hasRow) return
    for (const resource of missingOf(message))
      if (!elsewhere.has(resource) && !known?.confirmedBy.has(resource))
        if (devices.every((stream) => stream.resource !== resource)) delivery.owe(resource)
  }

  /** A row of the mailbox goes to a stream. */
  handRow(stream: OwnStream, row: MailboxRow, text: string): void {
    const known = this.#deliveries.get(row._id)
    if (known?.isWith(stream)) return
    const delivery = known ?? new Delivery(row._id, messageOf(row), true, this.#backing)
    this.#deliveries.set(row._id, delivery)
    this.#hand(stream, delivery, text)
    delivery.review()
  }

  #hand(stream: OwnStream, delivery: Delivery, text: string): void {
    delivery.handedTo(stream)
    stream.hand(delivery, text)
    if (!this.#due.has(delivery)) this.#due.set(delivery, this.#now() + confirmedWithin)
  }

  /** The stream is to get a message that others of its user have, out of the mailbox. */
  owe(stream: OwnStream, message: Outgoing): void {
    const id = rowId(message.user, message.from, message.messageId)
    const row = rowOf(id, message, [stream.resource], { isLate: true, now: this.#now() })
    this.#change({ kind: 'put', row: { ...row, isTaken: true } }, () => this.ring(stream, message))
  }

  /** The stream has the row, or had it a moment ago: then the row came behind that, and goes. */
  hasRow(stream: OwnStream, { _id: id, user, bytes }: MailboxRow): boolean {
    if (this.#deliveries.get(id)?.isWith(stream)) return true
    if (!this.#justConfirmed.has(`${id}/${stream.resource}`)) return false
    this.#change({ kind: 'took', id, user, bytes, resources: [stream.resource], owes: [] })
    return true
  }

  /** Nobody is to get the row any more. */
  removeRow({ _id: id, user, bytes }: MailboxRow): void {
    this.#change({ kind: 'remove', id, user, bytes })
  }

  confirmed(stream: OwnStream, upTo: number): void {
    for (const delivery of stream.confirm(upTo)) {
      // Another replica may put a row of it in the mailbox for a device of its own, and we for a stream that came late.
      if (delivery.hasRow || delivery.message.devices?.length || stream.cameLate)
        this.#justConfirmed.set(`${delivery.rowId}/${stream.resource}`, true)
      delivery.confirmed(stream)
    }
  }

  /** Messages that were taken back: those under way are not kept. */
  recall(messages: readonly SingleMessage[]): void {
    for (const message of messages) this.#deliveries.get(rowIdOf(message) ?? '')?.recall()
  }

  close(): void {
    clearInterval(this.#looking)
  }

  /** Streams here that the message is for. */
  #devices({ user, audience }: Pick<Outgoing, 'user' | 'audience'>): readonly OwnStream[] {
    const own = this.#streams.ownOf(user)
    if (audience.kind !== 'resource') return own.filter((stream) => isMeant(stream, audience))
    const exact = own.filter((stream) => stream.resource === audience.resource)
    if (exact.length) return exact
    const isElsewhere = this.#streams.farOf(user).some(({ resource }) => resource === audience.resource)
    return isElsewhere ? [] : own.filter(({ isAvailable }) => isAvailable)
  }

  /** Peers that hold streams the message is for, and the devices these are. */
  #replicasOf({ user, audience }: Pick<Outgoing, 'user' | 'audience'>): ReadonlyMap<string, string[]> {
    const far = this.#streams.farOf(user)
    if (!far.length) return nowhere
    let meant = far.filter((stream) => isMeant(stream, audience))
    if (audience.kind === 'resource' && !meant.length) {
      const isHere = this.#streams.ownOf(user).some(({ resource }) => resource === audience.resource)
      meant = isHere ? [] : far.filter(({ isAvailable }) => isAvailable)
    }
    const devices = new Map<string, string[]>()
    for (const { replica, resource } of meant) devices.set(replica, [...(devices.get(replica) ?? []), resource])
    return devices
  }

  #change(change: RowChange, done?: () => void): void {
    if (change.kind === 'remove' || (change.kind === 'took' && !change.owes.length))
      this.#limits.give(change.user, change.bytes)
    if (change.kind !== 'put') this.#writer.change(change, done)
    else this.#put(change, done)
  }

  #put(change: RowChange & { kind: 'put' }, done?: () => void): void {
    const { user, bytes } = change.row
    // Beyond the limit a message is in the archive alone (spec xmpp.md §5).
    if (!this.#limits.take(user, bytes)) {
      done?.()
      return
    }
    this.#begin(change.row)
    this.#writer.change(change, () => {
      this.#end(change.row)
      done?.()
    })
  }

  #begin(row: RowInHand): void {
    const rows = this.#writing.get(row.user)
    if (rows) rows.add(row)
    else this.#writing.set(row.user, new Set([row]))
  }

  #end(row: RowInHand): void {
    const { user } = row
    const rows = this.#writing.get(user)
    rows?.delete(row)
    if (!rows?.size) this.#writing.delete(user)
    for (const stream of this.#streams.ownOf(user)) this.rest(stream)
  }

  #grew(delivery: Delivery): void {
    this.#ringOthers(delivery)
    this.#far.mailboxGrew(delivery.message.user, delivery.message)
  }

  /** Streams that have not been given it get it from the mailbox. */
  #ringOthers(delivery: Delivery): void {
    const { user, at, seq } = delivery.message
    for (const stream of this.#streams.ownOf(user)) if (!delivery.isWith(stream)) this.ring(stream, { at, seq })
  }

  #look(): void {
    const now = this.#now()
    for (const [delivery, at] of this.#due) {
      if (at > now) break
      this.#due.delete(delivery)
      delivery.overdue()
    }
  }
}

/** Settles a delivery, and what is under way of the same message, which may have left nothing for it. */
function settleTogether(delivery: Delivery, known: Delivery | undefined, settled: () => void): void {
  if (known && !delivery.concernsSomebody) {
    known.whenSettled(settled)
    return
  }
  delivery.whenSettled(() => (known ? known.whenSettled(settled) : settled()))
  delivery.review()
}

const nowhere: ReadonlyMap<string, string[]> = new Map()
const noDevices: ReadonlySet<string> = new Set()

/** Devices that are said to be there or were there a moment ago, as far as the message is for them. */
function missingOf({ devices = [], known = [], audience }: Outgoing): readonly string[] {
  const all = known.length ? [...devices, ...known] : devices
  return audience.kind === 'resource' ? all.filter((resource) => resource === audience.resource) : all
}

type Addressable = Pick<FarStream, 'key' | 'resource' | 'isAvailable' | 'carbons'>

function isMeant(stream: Addressable, audience: Audience): boolean {
  switch (audience.kind) {
    case 'available':
      return stream.isAvailable
    case 'resource':
    case 'exactly':
      return stream.resource === audience.resource
    case 'others':
      return stream.isAvailable && stream.key !== audience.stream
    case 'carbons':
      return stream.carbons && stream.key !== audience.stream
  }
}

/** What the row tells of its message: enough to answer for it again. */
const messageOf = ({ user, at, seq, text, id, expireAt, late }: MailboxRow): Outgoing => ({
  user,
  from: late?.from ?? 0,
  messageId: late?.messageId ?? '',
  ...(late ? { conversation: late.conversation } : {}),
  at,
  seq,
  text,
  id,
  waits: 'month',
  audience: { kind: 'available' },
  expireAt: expireAt.getTime(),
})
