import { type Collection, type Db, ObjectId } from 'mongodb'
import type { Logger } from './logs.ts'
import { ensureIndexes } from './mongo.ts'

/** Who did what in the console, kept in the database of the service that did it. */
export interface AuditDocument {
  _id: ObjectId
  at: Date
  /** Absent for a call with the service key. */
  userId?: number | undefined
  ip: string
  requestId: string
  /** `POST /console/deleteRoom` */
  call: string
  /** As decoded, without passwords. */
  params: Record<string, unknown>
  /** Name of the error it failed with, or `Success`; absent while it runs, or when the process died. */
  outcome?: string
  /** What the handler adds: old and new values. */
  notes?: Record<string, unknown>
}

/** The audit of 10-console.md. A call is written down before it is done: what can't be written down is not done. */
export class AuditLog {
  readonly #entries: Collection<AuditDocument>
  readonly #now: () => number
  readonly #log: Logger

  constructor({ db, now, log }: { db: Db; now: () => number; log: Logger }) {
    this.#entries = db.collection('audit')
    this.#now = now
    this.#log = log
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#entries, [{ key: { at: 1 } }, { key: { userId: 1, at: 1 } }])
  }

  async begin(entry: Omit<AuditDocument, '_id' | 'at' | 'outcome' | 'notes'>): Promise<ObjectId> {
    const _id = new ObjectId()
    await this.#entries.insertOne({ _id, at: new Date(this.#now()), ...entry }, { ignoreUndefined: true })
    return _id
  }

  /** The call is done by now: that its outcome could not be written down is told to the operator alone. */
  async end(_id: ObjectId, outcome: string, notes: Record<string, unknown>): Promise<void> {
    const set = { outcome, ...(Object.keys(notes).length ? { notes } : {}) }
    await this.#entries
      .updateOne({ _id }, { $set: set })
      .catch((error: unknown) => this.#log.error({ err: error, entry: _id, ...set }, 'an audit entry has no outcome'))
  }
}
