import { ensureIndexes } from '@im/service-kit'
import { type Collection, type Db, ObjectId } from 'mongodb'

/** What somebody was reported for; one of the three is there. */
export interface ReportTarget {
  toUserId?: number
  roomId?: string
  webUrl?: string
}

interface ReportDocument extends ReportTarget {
  _id: ObjectId
  userId: number
  reason: number
  status: 'open'
  at: Date
}

/** Reports of users, for the console. */
export class ReportsRepository {
  readonly #reports: Collection<ReportDocument>

  constructor(db: Db) {
    this.#reports = db.collection('reports')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#reports, [{ key: { status: 1, at: -1 } }])
  }

  async add(userId: number, target: ReportTarget, reason: number, at: number): Promise<void> {
    await this.#reports.insertOne({ _id: new ObjectId(), userId, ...target, reason, status: 'open', at: new Date(at) })
  }
}
