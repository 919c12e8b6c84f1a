import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { Entry } from '../read/read-message.ts'

interface ParkedEntry {
  /** `<log>:<seq>` */
  _id: string
  at: Date
  error: string
  from: string
  /** The stanza, whole. */
  stanza: string
}

/** Long enough for an operator, and no longer: it holds what people wrote. */
const keptDays = 30

/** Entries that we failed on, whole: by our fault, so nothing of them may get lost. */
export class ParkedRepository {
  readonly collection: Collection<ParkedEntry>

  constructor(db: Db) {
    this.collection = db.collection('parked')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { at: 1 }, expireAfterSeconds: keptDays * 86_400 }])
  }

  async keep({ log, seq, from, stanza }: Entry, error: unknown): Promise<void> {
    const kept = { at: new Date(), error: String(error), from, stanza: textOf(stanza) }
    await this.collection.updateOne({ _id: `${log}:${seq}` }, { $set: kept }, { upsert: true })
  }
}

/** What it was that we could not read may be what we can't write. */
function textOf(stanza: Entry['stanza']): string {
  try {
    return stanza.toString()
  } catch (error) {
    return `unwritable: ${String(error)}`
  }
}
