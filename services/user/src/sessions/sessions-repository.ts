import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { DeviceClass } from './device-class.ts'

export const sessionsCollection = 'sessions'

/**
 * The session of one user on one device class; the key makes a second one impossible. One that has expired stays until something ends
 * it, such as the next login: streams and push tokens that came from it may live, and end with it.
 */
export interface SessionDocument {
  /** `<userId>:<device>` */
  _id: string
  /** SHA-256 hex of the access token; the token itself is not stored. */
  sessionId: string
  userId: number
  device: DeviceClass
  serial: string
  model: string
  ip: string
  createdAt: Date
  expiresAt: Date
  /** The refresh token that may continue it, by its SHA-256 hex. Absent when none was given out. */
  refresh?: {
    /** It stays when the token replaces the session, so XMPP streams that were opened with an access token go by it. */
    family: string
    tokenId: string
    expiresAt: Date
  }
  /** What the macs of message keys must be (secrets/key-macs.ts). Absent when the session never saw the password. */
  keyMacs?: readonly string[]
}

/** Sessions of the apps. Redis holds copies of them (session-cache.ts). */
export class SessionsRepository {
  readonly #sessions: Collection<SessionDocument>

  constructor(db: Db) {
    this.#sessions = db.collection(sessionsCollection)
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#sessions, [
      { key: { sessionId: 1 } },
      { key: { userId: 1 } },
      { key: { 'refresh.family': 1 }, sparse: true },
    ])
  }

  /** Sessions of a user, by device class one. They may have expired. */
  of(userId: number, { session }: Change): Promise<SessionDocument[]> {
    return this.#sessions.find({ userId }, { session }).toArray()
  }

  /** Stores a session in place of those that it ends. */
  replace({ _id, ...session }: SessionDocument, ended: readonly SessionDocument[], change: Change): void {
    this.remove(
      ended.filter((one) => one._id !== _id),
      change,
    )
    change.later(this.#sessions, { replaceOne: { filter: { _id }, replacement: session, upsert: true } })
  }

  /** The session of a user on a device class. It may have expired. */
  async ofDevice(userId: number, device: DeviceClass, { session }: Change): Promise<SessionDocument | undefined> {
    return (await this.#sessions.findOne({ _id: `${userId}:${device}` }, { session })) ?? undefined
  }

  /** The session that refresh tokens of this family may continue. It may have expired. */
  async ofFamily(family: string): Promise<SessionDocument | undefined> {
    return (await this.#sessions.findOne({ 'refresh.family': family })) ?? undefined
  }

  /** The session, if it lives at `now` (ms). */
  async live(sessionId: string, now: number): Promise<SessionDocument | undefined> {
    return (await this.#sessions.findOne({ sessionId, expiresAt: { $gt: new Date(now) } })) ?? undefined
  }

  /** Gives a live session a new end and, if given, a serial. Returns undefined when the session is gone. */
  async renew(
    sessionId: string,
    now: number,
    expiresAt: number,
    serial?: string,
  ): Promise<SessionDocument | undefined> {
    const set = { expiresAt: new Date(expiresAt), ...(serial ? { serial } : {}) }
    const filter = { sessionId, expiresAt: { $gt: new Date(now) } }
    return (await this.#sessions.findOneAndUpdate(filter, { $set: set }, { returnDocument: 'after' })) ?? undefined
  }

  async removeOne(sessionId: string, change: Change): Promise<SessionDocument[]> {
    const found = await this.#sessions.find({ sessionId }, { session: change.session }).toArray()
    this.remove(found, change)
    return found
  }

  /** Removes sessions that were read within the change. */
  remove(sessions: readonly SessionDocument[], change: Change): void {
    const filter = { _id: { $in: sessions.map(({ _id }) => _id) } }
    if (sessions.length) change.later(this.#sessions, { deleteMany: { filter } })
  }
}
