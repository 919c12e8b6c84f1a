import { WrittenRows } from '@im/contracts'
import { friends } from '@im/contracts/social'
import { compileRowWriter } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import { type ShownRow, viewOf } from '../relations/show-rows.ts'

/** Bytes of all lists together. */
const mostBytes = 32 * 1024 * 1024
/** Milliseconds. */
const keptFor = 60_000
/** About what is kept of a row besides its text, in bytes. */
const besidesText = 500

interface Piece {
  shown: ShownRow
  /** Where its text stands. */
  start: number
  end: number
}

interface Written {
  bytes: Buffer
  /** By the other user. */
  pieces: ReadonlyMap<number, Piece>
}

const writeRow = compileRowWriter(friends.listFriends)

/**
 * Lists of friends as they were answered last: to write a thousand rows takes longer than to find out that they are the same as before.
 * Whatever differs from what was written is written anew, so an answer is always that of the rows that it is asked for.
 */
export class WrittenLists {
  readonly #lists = new LRUCache<number, Written>({
    ...{ maxSize: mostBytes, ttl: keptFor },
    sizeCalculation: ({ bytes, pieces }) => bytes.length + besidesText * pieces.size,
  })

  /** The rows of a user's list, in the order that rows alone decide. */
  of(userId: number, shown: readonly ShownRow[], order: (a: ShownRow, b: ShownRow) => number): WrittenRows {
    const before = this.#lists.get(userId)
    if (before && shown.length === before.pieces.size && shown.every((row) => textOf(row, before)))
      return new WrittenRows(before.bytes)
    const written = write(shown.toSorted(order), before)
    this.#lists.set(userId, written)
    return new WrittenRows(written.bytes)
  }
}

/** The text of a row that looks as it did before. */
function textOf({ row, name, talk }: ShownRow, { pieces }: Written): Piece | undefined {
  const piece = pieces.get(row.toUserId)
  const { shown } = piece ?? {}
  const isSame =
    shown?.row === row &&
    shown.name === name &&
    shown.talk?.unread === talk?.unread &&
    shown.talk?.lastTalkTime === talk?.lastTalkTime
  return isSame ? piece : undefined
}

function write(rows: readonly ShownRow[], before: Written | undefined): Written {
  const texts = rows.map((shown) => (before && textOf(shown, before)) ?? writeRow(viewOf(shown)))
  const lengths = texts.map((text) => (typeof text === 'string' ? Buffer.byteLength(text) : text.end - text.start))
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + length, Math.max(0, rows.length - 1)))
  const pieces = new Map<number, Piece>()
  let start = 0
  for (const [n, shown] of rows.entries()) {
    const [text, end] = [texts[n]!, start + lengths[n]!]
    if (n) bytes.write(',', start - 1)
    if (typeof text === 'string') bytes.write(text, start)
    else before?.bytes.copy(bytes, start, text.start, text.end)
    pieces.set(shown.row.toUserId, { shown, start, end })
    start = end + 1
  }
  return { bytes, pieces }
}
