import type { Collection, Db } from 'mongodb'
import type { Bus } from './bus.ts'

interface CatchUpDocument {
  _id: string
  stream: string
  /** How many times it was begun. */
  round: number
  /** Where the next page begins. */
  after?: string
  rows: number
  finishedAt?: Date
}

export type Progress = Omit<CatchUpDocument, '_id' | 'stream'>

/** Another replica has gone on from the same page, or the catch-up was begun anew. */
class CatchUpLostError extends Error {
  override name = 'CatchUpLostError'
}

/** Wakes finished catch-ups of a service that have to begin anew. */
export const catchUpTopic = ({ service }: Pick<Bus, 'service'>): string => `catch-up.${service}`

/** How far a service has read the rows that others had before it followed their events. */
export class CatchUps {
  readonly #catchUps: Collection<CatchUpDocument>

  constructor(db: Db) {
    this.#catchUps = db.collection('catch_ups')
  }

  /** Begins the catch-up unless it was begun before. */
  async progressOf(name: string, stream: string): Promise<Progress> {
    const options = { upsert: true, returnDocument: 'after' } as const
    const progress = await this.#catchUps.findOneAndUpdate(
      { _id: name },
      { $setOnInsert: { stream, round: 1, rows: 0 } },
      options,
    )
    if (!progress) throw new Error(`${name} was not begun`)
    return progress
  }

  /** Goes on from a page to the next one; without one it is finished. */
  async moveOn(name: string, from: Progress, next: string | undefined, count: number): Promise<void> {
    const set = next === undefined ? { finishedAt: new Date() } : { after: next }
    const moved = await this.#catchUps.updateOne(
      { _id: name, round: from.round, after: from.after ?? { $exists: false }, finishedAt: { $exists: false } },
      { $set: set, $inc: { rows: count } },
    )
    if (!moved.matchedCount) throw new CatchUpLostError(name)
  }

  /** Everything of a stream's owner has to be read again, or only what one of its projections needs. */
  async beginAnew(stream: string, name?: string): Promise<void> {
    await this.#catchUps.updateMany(
      { stream, ...(name === undefined ? {} : { _id: name }) },
      { $inc: { round: 1 }, $unset: { after: 1, finishedAt: 1 }, $set: { rows: 0 } },
    )
  }
}
