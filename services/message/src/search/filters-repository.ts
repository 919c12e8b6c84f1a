import { ensureIndexes } from '@im/service-kit'
import { type ClientSession, type Collection, type Db, type Filter, ObjectId } from 'mongodb'
import { type Level, type PageFilter, slicesOf } from './page-filter.ts'

/**
 * A slice of a filter over pages of one conversation, or its directory: what its columns stand for. All of a filter's slices are
 * written together; so are its end and its successor's beginning when it is merged.
 */
export interface FilterSlice {
  _id: ObjectId
  /** The same in all slices of a filter. */
  filter: ObjectId
  conversation: string
  /** Both sides of a single chat; absent for rooms. */
  users?: number[]
  /** See `sliceNumber`. */
  slice: number
  /** Rows of bits, or the packed directory. */
  bytes: Buffer
}

const directory = 999
/** Level and slice (or directory) in one number, which the indexes end with. */
const sliceNumber = (level: Level, slice: number) => level * 1000 + slice

export const directoryNumber = (level: Level) => sliceNumber(level, directory)
export const numberOfSlice = sliceNumber

/** What a column of a filter stands for. */
export interface Column {
  page: ObjectId
  minTime: number
  maxTime: number
}

const entryLength = 28

/** The columns of a filter of `width` bytes; the rest of the last byte stays empty. */
export function packDirectory(columns: readonly Column[], width: number): Buffer {
  const bytes = Buffer.alloc(width * 8 * entryLength)
  for (const [n, { page, minTime, maxTime }] of columns.entries()) {
    const at = n * entryLength
    bytes.set(page.id, at)
    bytes.writeDoubleLE(minTime, at + 12)
    bytes.writeDoubleLE(maxTime, at + 20)
  }
  return bytes
}

/** Undefined where there is none. `page` is hex. */
export function columnAt(bytes: Buffer, n: number): { page: string; minTime: number; maxTime: number } | undefined {
  const at = n * entryLength
  const page = bytes.toString('hex', at, at + 12)
  if (page === nowhere) return undefined
  return { page, minTime: bytes.readDoubleLE(at + 12), maxTime: bytes.readDoubleLE(at + 20) }
}
const nowhere = '0'.repeat(24)

export const widthOfDirectory = (bytes: Buffer) => bytes.length / entryLength / 8

export interface StoredFilter {
  id: ObjectId
  documents: ObjectId[]
  filter: PageFilter
  directory: Buffer
}

export class SearchFilters {
  readonly collection: Collection<FilterSlice>

  constructor(db: Db) {
    this.collection = db.collection<FilterSlice>('searchFilters', { promoteBuffers: true })
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { users: 1, slice: 1 } }, { key: { conversation: 1, slice: 1 } }])
  }

  find(filter: Filter<FilterSlice>, session?: ClientSession) {
    return this.collection.find(filter, { session, batchSize: 1000 })
  }

  async add(
    owner: Pick<FilterSlice, 'conversation' | 'users'>,
    level: Level,
    { slices }: PageFilter,
    columns: Buffer,
    session: ClientSession,
  ): Promise<void> {
    const filter = new ObjectId()
    const made = [...slices.map((bytes, n) => ({ n, bytes })), { n: directory, bytes: columns }]
    await this.collection.insertMany(
      made.map(({ n, bytes }) => ({
        _id: new ObjectId(),
        filter,
        conversation: owner.conversation,
        ...(owner.users ? { users: owner.users } : {}),
        slice: sliceNumber(level, n),
        bytes,
      })),
      { session, ordered: false },
    )
  }

  async count(conversation: string, level: Level): Promise<number> {
    return await this.collection.countDocuments({ conversation, slice: directoryNumber(level) })
  }

  /** The oldest whole filters of a level. */
  async oldest(conversation: string, level: Level, limit: number, session: ClientSession): Promise<StoredFilter[]> {
    const found = await this.find(
      { conversation, slice: { $gte: sliceNumber(level, 0), $lte: directoryNumber(level) } },
      session,
    ).toArray()
    const byFilter = [...Map.groupBy(found, ({ filter }) => filter.toHexString())].sort(([a], [b]) => (a < b ? -1 : 1))
    return byFilter.slice(0, limit).map(([, documents]) => {
      const bySlice = new Map(documents.map(({ slice, bytes }) => [slice, bytes]))
      const columns = bySlice.get(directoryNumber(level))!
      const slices = Array.from({ length: slicesOf[level] }, (_, n) => bySlice.get(sliceNumber(level, n))!)
      return {
        id: documents[0]!.filter,
        documents: documents.map(({ _id }) => _id),
        filter: { width: widthOfDirectory(columns), slices },
        directory: columns,
      }
    })
  }

  async remove(ids: readonly ObjectId[], session: ClientSession): Promise<void> {
    await this.collection.deleteMany({ _id: { $in: [...ids] } }, { session })
  }
}
