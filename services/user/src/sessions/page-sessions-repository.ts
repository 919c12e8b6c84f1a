import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

export const pageSessionsCollection = 'page-sessions'

/** A session of our own pages, made by `/mp/login`. It opens nothing else: no API of the apps, no XMPP stream. */
export interface PageSessionDocument {
  /** SHA-256 hex of the token; the token itself is not stored. */
  _id: string
  userId: number
  kind: 'mp'
  ip: string
  createdAt: Date
  expiresAt: Date
}

/** Sessions that a user may have at once; a further login ends the oldest one. */
const mostOfUser = 10

/** Sessions of our own pages. They stand apart from those of apps, so that nothing takes one for the other. */
export class PageSessionsRepository {
  readonly #sessions: Collection<PageSessionDocument>

  constructor(db: Db) {
    this.#sessions = db.collection(pageSessionsCollection)
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#sessions, [
      { key: { userId: 1, createdAt: -1 } },
      { key: { expiresAt: 1 }, expireAfterSeconds: 0 },
    ])
  }

  /** Returns the sessions that were ended because the user had too many. */
  async add(session: PageSessionDocument, change: Change): Promise<PageSessionDocument[]> {
    const tooMany = await this.#sessions
      .find({ userId: session.userId }, { session: change.session })
      .sort({ createdAt: -1 })
      .skip(mostOfUser - 1)
      .toArray()
    this.remove(tooMany, change)
    change.later(this.#sessions, { insertOne: { document: session } })
    return tooMany
  }

  /** The session, if it lives at `now` (ms). */
  async live(sessionId: string, now: number): Promise<PageSessionDocument | undefined> {
    return (await this.#sessions.findOne({ _id: sessionId, expiresAt: { $gt: new Date(now) } })) ?? undefined
  }

  /** Gives a live session a new end (ms). */
  async renew(sessionId: string, expiresAt: number): Promise<void> {
    await this.#sessions.updateOne({ _id: sessionId }, { $set: { expiresAt: new Date(expiresAt) } })
  }

  async removeOne(sessionId: string, change: Change): Promise<PageSessionDocument[]> {
    const found = await this.#sessions.find({ _id: sessionId }, { session: change.session }).toArray()
    return this.remove(found, change)
  }

  /** Removes sessions that were read within the change. */
  remove(found: PageSessionDocument[], change: Change): PageSessionDocument[] {
    const filter = { _id: { $in: found.map(({ _id }) => _id) } }
    if (found.length) change.later(this.#sessions, { deleteMany: { filter } })
    return found
  }
}
