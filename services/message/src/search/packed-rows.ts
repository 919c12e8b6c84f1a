import { ObjectId } from 'mongodb'

/**
 * What the search keeps of a message. Rows are packed one behind the other, so packed rows are joined by joining the bytes.
 * Texts are UTF-8: a word that is not in the bytes of a block is in none of its rows, and looking for bytes is far quicker
 * than decoding.
 *
 * One row: flags (1: it expires), id (12 bytes), timeSend, ts, expireAt if it expires (64-bit floats), then as variable-length
 * integers from, to, contentType, the number of texts, and each text with its length before it.
 */
export interface SearchRow {
  id: ObjectId
  from: number
  /** 0 in rooms. */
  to: number
  contentType: number
  timeSend: number
  ts: number
  expireAt?: Date | undefined
  /** Folded and well-formed. */
  texts: string[]
}

const expires = 1
const idLength = 12

function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++
  return length
}

/** Non-negative integers up to 2^53, seven bits a byte, the lowest first. Returns the position behind it. */
export function writeVarint(bytes: Buffer, value: number, at: number): number {
  let rest = value
  let position = at
  while (rest >= 0x80) {
    bytes[position++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  bytes[position++] = rest
  return position
}

export function packRow(row: SearchRow): Buffer {
  const texts = row.texts.map((text) => Buffer.from(text, 'utf8'))
  const bytes = Buffer.allocUnsafe(
    1 +
      idLength +
      16 +
      (row.expireAt ? 8 : 0) +
      varintLength(row.from) +
      varintLength(row.to) +
      varintLength(row.contentType) +
      varintLength(texts.length) +
      texts.reduce((sum, text) => sum + varintLength(text.length) + text.length, 0),
  )
  bytes[0] = row.expireAt ? expires : 0
  bytes.set(row.id.id, 1)
  let at = bytes.writeDoubleLE(row.timeSend, 1 + idLength)
  at = bytes.writeDoubleLE(row.ts, at)
  if (row.expireAt) at = bytes.writeDoubleLE(row.expireAt.getTime(), at)
  at = writeVarint(bytes, row.from, at)
  at = writeVarint(bytes, row.to, at)
  at = writeVarint(bytes, row.contentType, at)
  at = writeVarint(bytes, texts.length, at)
  for (const text of texts) {
    at = writeVarint(bytes, text.length, at)
    at += text.copy(bytes, at)
  }
  return bytes
}

export const packRows = (rows: readonly SearchRow[]): Buffer => Buffer.concat(rows.map(packRow))

/** Walks packed rows. The fields are those of the row last moved to; texts are places in the bytes. */
export class RowReader {
  readonly bytes: Buffer
  /** Where the row begins and ends. */
  start = 0
  end = 0
  timeSend = 0
  ts = 0
  /** In ms; infinite when it never expires. */
  expireAt = Number.POSITIVE_INFINITY
  from = 0
  to = 0
  contentType = 0
  texts: { start: number; end: number }[] = []

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** False when there is no further row. */
  next(): boolean {
    const { bytes } = this
    if (this.end >= bytes.length) return false
    this.start = this.end
    let at = this.start + 1 + idLength
    this.timeSend = bytes.readDoubleLE(at)
    this.ts = bytes.readDoubleLE(at + 8)
    at += 16
    this.expireAt = Number.POSITIVE_INFINITY
    if (bytes[this.start]! & expires) {
      this.expireAt = bytes.readDoubleLE(at)
      at += 8
    }
    this.end = at
    this.from = this.readVarint()
    this.to = this.readVarint()
    this.contentType = this.readVarint()
    const count = this.readVarint()
    this.texts = []
    for (let n = 0; n < count; n++) {
      const length = this.readVarint()
      this.texts.push({ start: this.end, end: this.end + length })
      this.end += length
    }
    return true
  }

  /** Reads on at `end`; also for other formats that have rows in them. */
  readVarint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.bytes[this.end++]
      if (byte === undefined) throw new RangeError('packed rows end in the middle of a row')
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }

  get hexId(): string {
    return this.bytes.toString('hex', this.start + 1, this.start + 1 + idLength)
  }

  /** The row as it is packed. */
  get packed(): Buffer {
    return this.bytes.subarray(this.start, this.end)
  }

  get row(): SearchRow {
    const { from, to, contentType, timeSend, ts, expireAt } = this
    return {
      id: new ObjectId(this.hexId),
      from,
      to,
      contentType,
      timeSend,
      ts,
      ...(Number.isFinite(expireAt) ? { expireAt: new Date(expireAt) } : {}),
      texts: this.texts.map(({ start, end }) => this.bytes.toString('utf8', start, end)),
    }
  }
}

export function* unpackRows(bytes: Buffer): Generator<SearchRow> {
  for (const reader = new RowReader(bytes); reader.next(); ) yield reader.row
}

/** What a query can ask of packed rows without unpacking them. */
export interface RowsSummary {
  count: number
  minTime: number
  maxTime: number
}

export function summaryOf(bytes: Buffer): RowsSummary {
  let count = 0
  let [minTime, maxTime] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const reader = new RowReader(bytes); reader.next(); count++) {
    minTime = Math.min(minTime, reader.timeSend)
    maxTime = Math.max(maxTime, reader.timeSend)
  }
  return { count, minTime, maxTime }
}

export const countRows = (bytes: Buffer): number => summaryOf(bytes).count

/** The rows without those `isGone` names; undefined when that changes nothing. */
export function without(bytes: Buffer, isGone: (row: RowReader) => boolean): Buffer | undefined {
  const kept: Buffer[] = []
  let removed = 0
  for (const reader = new RowReader(bytes); reader.next(); )
    if (isGone(reader)) removed++
    else kept.push(reader.packed)
  return removed ? Buffer.concat(kept) : undefined
}
