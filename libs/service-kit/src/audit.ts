import { type Collection, type Db, ObjectId } from 'mongodb'
import type { Logger } from './logs.ts'
import { ensureIndexes } from './mongo.ts'

/** Who did what in the console, kept in the database of the service that did it. */
export interface AuditDocument {
  _id: ObjectId
  at: Date
  /** Absent when the call was made with the service key. */
  userId?: number | undefined
  ip: string
  requestId: string
  /** `POST /console/deleteRoom` */
  call: string
  /** The decoded parameters, without passwords. */
  params: Record<string, unknown>
  /** `Success` or the name of the error. Absent while the call runs, and for good when the process died. */
  outcome?: string
  /** Details that the handler adds, such as old and new values. */
  notes?: Record<string, unknown>
}

/** The audit of 10-console.md. A call is recorded before its handler runs; when it can't be recorded, it fails. */
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

  /** Never fails, because the call is done by now. An outcome that can't be recorded is logged. */
  async end(_id: ObjectId, outcome: string, notes: Record<string, unknown>): Promise<void> {
    const set = { outcome, ...(Object.keys(notes).length ? { notes } : {}) }
    await this.#entries
      .updateOne({ _id }, { $set: set })
      .catch((error: unknown) => this.#log.error({ err: error, entry: _id, ...set }, 'an audit entry has no outcome'))
  }
}
