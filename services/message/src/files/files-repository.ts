import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** An uploaded file. Avatars have no row: their keys follow from whom they show. */
export interface FileDocument {
  /** 32 hex digits: the name in its address. */
  _id: string
  owner: number
  key: string
  hasThumbnail: boolean
  bytes: number
  /** As it is shown. */
  name: string
  createdAt: Date
  /** Absent: for ever. */
  expireAt?: Date
  /** Its owner shows it no more: it goes with the last message or room that does. */
  isTakenBack?: true
  /** Somebody collected it: it neither expires nor goes with its message. */
  kept?: true
  /** It is about to be removed: nobody can keep it any more. */
  isGoing?: true
}

export class FilesRepository {
  readonly #files: Collection<FileDocument>

  constructor(db: Db) {
    this.#files = db.collection('files')
  }

  createIndexes = () => ensureIndexes(this.#files, [{ key: { owner: 1 } }, { key: { expireAt: 1 }, sparse: true }])

  async add(files: readonly FileDocument[]): Promise<void> {
    await this.#files.insertMany([...files])
  }

  /** Sets when they expire; absent: never. False when one of them is no more. */
  async setExpiry(names: readonly string[], expireAt: Date | undefined): Promise<boolean> {
    const _id = { $in: [...names] }
    const { matchedCount } = await this.#files.updateMany(
      { _id, isGoing: { $exists: false } },
      expireAt ? { $set: { expireAt } } : { $unset: { expireAt: '' } },
    )
    return matchedCount === names.length
  }

  async byNames(names: readonly string[]): Promise<FileDocument[]> {
    return names.length ? await this.#files.find({ _id: { $in: [...names] } }).toArray() : []
  }

  /** Those whose time is over, the oldest first. */
  async expired(now: number, limit: number): Promise<FileDocument[]> {
    return await this.#files
      .find({ expireAt: { $lte: new Date(now) } })
      .sort({ expireAt: 1 })
      .limit(limit)
      .toArray()
  }

  /** From now on they neither expire nor go with their message, but for those that are going already. */
  async keep(names: readonly string[]): Promise<void> {
    const staying = { _id: { $in: [...names] }, isGoing: { $exists: false } } as const
    if (names.length) await this.#files.updateMany(staying, { $set: { kept: true }, $unset: { expireAt: '' } })
  }

  async takeBack(names: readonly string[]): Promise<void> {
    if (names.length) await this.#files.updateMany({ _id: { $in: [...names] } }, { $set: { isTakenBack: true } })
  }

  /** To be removed, but for those that somebody keeps. Returns those that are. */
  async letGo(names: readonly string[]): Promise<FileDocument[]> {
    if (!names.length) return []
    const _id = { $in: [...names] }
    await this.#files.updateMany({ _id, kept: { $exists: false } }, { $set: { isGoing: true } })
    return await this.#files.find({ _id, isGoing: true }).toArray()
  }

  /** The same for some of a user, whoever keeps them. */
  async letOwnGo(owner: number, limit: number): Promise<FileDocument[]> {
    const some = await this.#files.find({ owner }).limit(limit).toArray()
    await this.#files.updateMany({ _id: { $in: some.map(({ _id }) => _id) } }, { $set: { isGoing: true } })
    return some
  }

  async remove(names: readonly string[]): Promise<void> {
    if (names.length) await this.#files.deleteMany({ _id: { $in: [...names] } })
  }
}
