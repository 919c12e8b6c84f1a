import { ensureIndexes, skipOf } from '@im/service-kit'
import { type Collection, type Db, ObjectId } from 'mongodb'

/** How long (seconds) one count stands for, and how long it is kept. */
const grains = {
  sample: { seconds: 300, kept: 3 * 86_400 },
  hour: { seconds: 3600, kept: 32 * 86_400 },
  day: { seconds: 86_400, kept: undefined },
} as const

export type Grain = keyof typeof grains

interface CountDocument {
  _id: ObjectId
  grain: Grain
  /** Seconds; when the time that it stands for begins. */
  time: number
  /** The highest counts of that time. */
  online: number
  offline: number
  expireAt?: Date
}

/** How many users were online: every five minutes, and the highest count of each hour and each day. */
export class UserCountsRepository {
  readonly #counts: Collection<CountDocument>

  constructor(db: Db) {
    this.#counts = db.collection('user-counts')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#counts, [
      { key: { grain: 1, time: 1 }, unique: true },
      { key: { expireAt: 1 }, expireAfterSeconds: 0 },
    ])
  }

  /** Counting the same time again keeps the higher counts. `time` and `dayStart`: seconds. */
  async add(counts: { online: number; offline: number }, time: number, dayStart: number): Promise<void> {
    const begins = { sample: time - (time % 300), hour: time - (time % 3600), day: dayStart }
    await this.#counts.bulkWrite(
      Object.entries(grains).map(([name, { kept }]) => {
        const grain = name as Grain
        const expireAt = kept === undefined ? {} : { expireAt: new Date((begins[grain] + kept) * 1000) }
        return {
          updateOne: {
            filter: { grain, time: begins[grain] },
            update: { $max: counts, $setOnInsert: { _id: new ObjectId(), ...expireAt } },
            upsert: true,
          },
        }
      }),
      { ordered: false },
    )
  }

  /** Counts of a time (seconds, both ends included), in its order. */
  async list(
    grain: Grain,
    { from, to }: { from: number; to: number },
    page: { pageIndex: number; pageSize: number },
  ): Promise<CountDocument[]> {
    const skip = skipOf(page)
    if (skip === undefined) return []
    return this.#counts
      .find({ grain, time: { $gte: from, $lte: to } })
      .sort({ time: 1 })
      .skip(skip)
      .limit(page.pageSize)
      .toArray()
  }
}
