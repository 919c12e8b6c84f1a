import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** How long (s) it is known that a session has ended: calls of it that were let in before take seconds at most. */
const keptFor = 3600

/** Sessions that have ended a short while ago. */
export class EndedSessionsRepository {
  readonly #ended: Collection<{ _id: string; endedAt: Date }>

  constructor(db: Db) {
    this.#ended = db.collection('ended_sessions')
  }

  createIndexes = () => ensureIndexes(this.#ended, [{ key: { endedAt: 1 }, expireAfterSeconds: keptFor }])

  /** Adding them again changes nothing. */
  async add(sessionIds: readonly string[], now: number): Promise<void> {
    if (!sessionIds.length) return
    const update = { $setOnInsert: { endedAt: new Date(now) } }
    await this.#ended.bulkWrite(
      sessionIds.map((_id) => ({ updateOne: { filter: { _id }, update, upsert: true } })),
      { ordered: false },
    )
  }

  async has(sessionId: string): Promise<boolean> {
    return (await this.#ended.findOne({ _id: sessionId }, { projection: { _id: 1 } })) !== null
  }
}
