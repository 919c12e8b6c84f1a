import { ensureIndexes } from '@im/service-kit'
import { type ClientSession, type Collection, type Db, type Filter, ObjectId } from 'mongodb'
import type { Owner } from './owners.ts'
import { type Level, type PageFilter, slicesOf } from './page-filter.ts'

/**
 * A slice of a filter over pages of one owner, or its directory: what its columns stand for. All of a filter's slices are
 * written together; so are its end and its successor's beginning when it is merged.
 */
export interface FilterSlice {
  _id: ObjectId
  /** The same in all slices of a filter. */
  filter: ObjectId
  owner: Owner
  /** See `sliceNumber`. */
  slice: number
  /** Rows of bits, or the packed directory. */
  bytes: Buffer
  /** In directories: the messages the filter was made for, and how many of them are gone. */
  count?: number
  lost?: number
}

export type Directory = FilterSlice & Required<Pick<FilterSlice, 'count' | 'lost'>>

const directory = 999
/** Level and slice (or directory) in one number, which the index ends with. */
const sliceNumber = (level: Level, slice: number) => level * 1000 + slice
export const levels = [0, 1, 2] as const
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

/** The pages of a directory, as hex. */
export function pagesIn(bytes: Buffer): Set<string> {
  const pages = new Set<string>()
  for (let n = 0; n < bytes.length / entryLength; n++) {
    const column = columnAt(bytes, n)
    if (column) pages.add(column.page)
  }
  return pages
}

/** The directory without the columns of some pages. */
export function withoutPages(bytes: Buffer, pages: ReadonlySet<string>): Buffer {
  const left = Buffer.from(bytes)
  for (let n = 0; n < left.length / entryLength; n++)
    if (pages.has(columnAt(left, n)?.page ?? '')) left.fill(0, n * entryLength, (n + 1) * entryLength)
  return left
}

export const widthOfDirectory = (bytes: Buffer) => bytes.length / entryLength / 8

export interface StoredFilter {
  documents: ObjectId[]
  filter: PageFilter
  directory: Directory
}

/** Each branch is one range of the index. */
export const ofOwners = (owners: readonly Owner[], slices: readonly number[]): Filter<FilterSlice> => ({
  $or: owners.map((owner) => ({ owner, slice: { $in: [...slices] } })),
})

export class SearchFilters {
  readonly collection: Collection<FilterSlice>

  constructor(db: Db) {
    this.collection = db.collection<FilterSlice>('searchFilters', { promoteBuffers: true })
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { owner: 1, slice: 1 } }, { key: { filter: 1 } }])
  }

  find(filter: Filter<FilterSlice>, session?: ClientSession) {
    return this.collection.find(filter, { session, batchSize: 1000 })
  }

  /** Some slices of all filters of some owners. A pair of lists (`$in`) would make the stand-in plan each pair. */
  async of(owners: readonly Owner[], slices: readonly number[], session?: ClientSession): Promise<FilterSlice[]> {
    return await this.find(ofOwners(owners, slices), session).toArray()
  }

  async add(
    { owner, count, lost }: { owner: Owner; count: number; lost: number },
    level: Level,
    { slices }: PageFilter,
    columns: Buffer,
    session: ClientSession,
  ): Promise<void> {
    const filter = new ObjectId()
    const part = (n: number, bytes: Buffer) => ({
      _id: new ObjectId(),
      filter,
      owner,
      slice: sliceNumber(level, n),
      bytes,
    })
    const made: FilterSlice[] = slices.map((bytes, n) => part(n, bytes))
    await this.collection.insertMany([...made, { ...part(directory, columns), count, lost }], {
      session,
      ordered: false,
    })
  }

  async count(owner: Owner, level: Level): Promise<number> {
    return await this.collection.countDocuments({ owner, slice: directoryNumber(level) })
  }

  async directories(owner: Owner, session?: ClientSession): Promise<Directory[]> {
    const found = await this.find({ owner, slice: { $in: levels.map(directoryNumber) } }, session).toArray()
    return found as Directory[]
  }

  async directory(filter: ObjectId, session: ClientSession): Promise<Directory | undefined> {
    const found = await this.find({ filter, slice: { $in: levels.map(directoryNumber) } }, session).toArray()
    return found[0] as Directory | undefined
  }

  async replaceDirectory({ _id, bytes, lost }: Directory, session: ClientSession): Promise<void> {
    await this.collection.updateOne({ _id }, { $set: { bytes, lost } }, { session })
  }

  /** The oldest whole filters of a level, as many as fit into so many bytes, but at least one. */
  async oldest(
    owner: Owner,
    level: Level,
    { limit, bytes }: { limit: number; bytes: number },
    session: ClientSession,
  ): Promise<StoredFilter[]> {
    const heads = (await this.find({ owner, slice: directoryNumber(level) }, session).toArray()) as Directory[]
    heads.sort((a, b) => (a.filter.toHexString() < b.filter.toHexString() ? -1 : 1))
    const taken: StoredFilter[] = []
    let size = 0
    for (const head of heads.slice(0, limit)) {
      const documents = await this.find({ filter: head.filter }, session).toArray()
      size += documents.reduce((sum, one) => sum + one.bytes.length, 0)
      if (taken.length && size > bytes) break
      const bySlice = new Map(documents.map((one) => [one.slice, one.bytes]))
      const slices = Array.from({ length: slicesOf[level] }, (_, n) => bySlice.get(sliceNumber(level, n))!)
      taken.push({
        documents: documents.map(({ _id }) => _id),
        filter: { width: widthOfDirectory(head.bytes), slices },
        directory: head,
      })
    }
    return taken
  }

  async remove(ids: readonly ObjectId[], session: ClientSession): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } }, { session })
  }

  async removeFilter(filter: ObjectId, session: ClientSession): Promise<void> {
    await this.collection.deleteMany({ filter }, { session })
  }
}
