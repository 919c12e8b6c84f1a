import { ensureIndexes } from '@im/service-kit'
import { type Collection, type Db, type Filter, ObjectId } from 'mongodb'

export type BroadcastState = 'running' | 'paused' | 'done' | 'canceled'

/** What all receivers get. */
export interface BroadcastBody {
  type: number
  content: string
  /** Further fields of the body. */
  more?: Record<string, unknown>
}

/** One message for many, and how far it has come. */
export interface BroadcastDocument {
  _id: ObjectId
  /** The account in whose name it is sent. */
  from: number
  fromUserName: string
  audience: 'fans' | 'users'
  /** Seconds: who follows the account later gets nothing. */
  until: number
  body: BroadcastBody
  state: BroadcastState
  /** The last receiver of the part before: all up to them are settled. */
  after: number
  of: number
  done: number
  failed: number
  createdAt: Date
  endedAt?: Date
}

export type NewBroadcast = Pick<BroadcastDocument, 'from' | 'fromUserName' | 'audience' | 'until' | 'body' | 'of'>

/** What one part has brought. */
export interface PartOutcome {
  /** The last receiver of the part. */
  after: number
  done: number
  failed: number
}

/** How long (s) broadcasts that have ended are listed. */
const keptFor = 180 * 86_400
/** Broadcasts that take turns. Others wait until one of them has ended. */
const mostAtOnce = 100

/** Those an account has made itself; all when none is named. The console makes others in its name. */
const ownOf = (account: number | undefined): Filter<BroadcastDocument> =>
  account === undefined ? {} : { from: account, audience: 'fans' }

export class BroadcastsRepository {
  readonly #broadcasts: Collection<BroadcastDocument>

  constructor(db: Db) {
    this.#broadcasts = db.collection('broadcasts')
  }

  createIndexes = () =>
    ensureIndexes(this.#broadcasts, [
      { key: { from: 1, audience: 1, _id: -1 } },
      { key: { state: 1, _id: 1 } },
      { key: { endedAt: 1 }, expireAfterSeconds: keptFor },
    ])

  /** Adding it again under its id changes nothing. Returns it as it is. */
  async add(id: string, broadcast: NewBroadcast, now: number): Promise<BroadcastDocument> {
    const _id = new ObjectId(id)
    const begin = { state: 'running' as const, after: 0, done: 0, failed: 0, createdAt: new Date(now) }
    const made = { ...broadcast, ...begin }
    const options = { upsert: true, returnDocument: 'after' as const }
    const found = await this.#broadcasts.findOneAndUpdate({ _id }, { $setOnInsert: made }, options)
    return found ?? { _id, ...made }
  }

  /** The newest first; of one account when it is named. No rows without `skip`. */
  async page(
    from: number | undefined,
    skip: number | undefined,
    limit: number,
  ): Promise<{ rows: BroadcastDocument[]; total: number }> {
    const filter = ownOf(from)
    const [rows, total] = await Promise.all([
      skip === undefined ? [] : this.#broadcasts.find(filter).sort({ _id: -1 }).skip(skip).limit(limit).toArray(),
      from === undefined ? this.#broadcasts.estimatedDocumentCount() : this.#broadcasts.countDocuments(filter),
    ])
    return { rows, total }
  }

  /** Moves it to another state from one of these. Returns it as it is then; undefined when this account has none of this id. */
  async move(
    id: string,
    from: number | undefined,
    states: readonly BroadcastState[],
    state: BroadcastState,
    now: number,
  ): Promise<BroadcastDocument | undefined> {
    const own: Filter<BroadcastDocument> = { _id: new ObjectId(id), ...ownOf(from) }
    const set = { state, ...(state === 'canceled' ? { endedAt: new Date(now) } : {}) }
    await this.#broadcasts.updateOne({ ...own, state: { $in: [...states] } }, { $set: set })
    return (await this.#broadcasts.findOne(own)) ?? undefined
  }

  /** Those that have something to do, the oldest first. */
  async running(): Promise<BroadcastDocument[]> {
    return await this.#broadcasts.find({ state: 'running' }).sort({ _id: 1 }).limit(mostAtOnce).toArray()
  }

  /**
   * Notes that a part is settled, whatever became of the broadcast meanwhile. Nothing is noted when somebody else has noted
   * this part.
   */
  async advance({ _id, after }: BroadcastDocument, part: PartOutcome): Promise<void> {
    const { done, failed } = part
    await this.#broadcasts.updateOne({ _id, after }, { $set: { after: part.after }, $inc: { done, failed } })
  }

  /** Nobody is left, or the account is gone. */
  async end({ _id, after }: BroadcastDocument, state: 'done' | 'canceled', now: number): Promise<void> {
    const filter = { _id, after, state: { $in: ['running', 'paused'] as BroadcastState[] } }
    await this.#broadcasts.updateOne(filter, { $set: { state, endedAt: new Date(now) } })
  }
}
