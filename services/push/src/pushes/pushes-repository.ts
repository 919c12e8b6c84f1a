import { changeMany, ensureIndexes, indexedAnd, isDuplicateKey } from '@im/service-kit'
import {
  type ClientSession,
  type Collection,
  type Db,
  type Filter,
  MongoBulkWriteError,
  type UpdateFilter,
} from 'mongodb'
import type { PushDocument } from './push-document.ts'

/** How long (ms) a claim holds unless it is renewed: after this time others go on with what a dead process had begun. */
export const claimLasts = 10_000

/** Pushes that are looked at when users have missed something. */
const mostMissed = 2000

export type Progress = Pick<PushDocument, '_id' | 'dueAt' | 'claim' | 'waiting' | 'sent' | 'shownAs' | 'missedAt'>

/** What became of devices of a push. */
export interface Settlement {
  id: string
  /** Devices whose provider took it. */
  sent: readonly string[]
  /** All devices that need nothing more. */
  done: readonly string[]
  /** When to go on (ms) with these devices; absent while others of the same claim are under way. */
  next?: { at: number; devices: readonly string[] } | 'never'
}

/** The queue of pushes, and what was pushed to whom. */
export class PushesRepository {
  readonly #pushes: Collection<PushDocument>

  constructor(db: Db) {
    this.#pushes = db.collection('pushes')
  }

  createIndexes = () =>
    ensureIndexes(this.#pushes, [
      { key: { dueAt: 1 }, sparse: true },
      { key: { messageId: 1, conversation: 1 } },
      { key: { expireAt: 1 }, expireAfterSeconds: 0 },
    ])

  /** Those that are known already stay as they are. */
  async add(pushes: readonly PushDocument[]): Promise<void> {
    if (!pushes.length) return
    try {
      await this.#pushes.insertMany([...pushes], { ordered: false })
    } catch (error) {
      const errors = error instanceof MongoBulkWriteError ? [error.writeErrors].flat() : []
      if (!isDuplicateKey(error) || errors.some(({ code }) => code !== 11000)) throw error
    }
  }

  /** Those of them that nobody looks at any more and nobody was told of are looked at again then (ms). */
  async lookAgain(ids: readonly string[], at: number): Promise<void> {
    const untold = { dueAt: { $exists: false }, sent: { $exists: false }, isRecalled: { $exists: false } }
    await this.#change({ _id: { $in: [...ids] }, ...untold }, { $set: { dueAt: new Date(at) } })
  }

  /** The same within a change. */
  async addWithin(pushes: readonly PushDocument[], session: ClientSession): Promise<void> {
    if (!pushes.length) return
    await this.#pushes.bulkWrite(
      pushes.map(({ _id, ...push }) => ({
        updateOne: { filter: { _id }, update: { $setOnInsert: push }, upsert: true },
      })),
      { session, ordered: false },
    )
  }

  /**
   * Takes pushes that are due, the oldest first, for the replica `claim`. Nobody else gets them within `claimLasts`; nor while it
   * lives, because clocks differ: those of the living `others` are left to them.
   */
  async claim(now: number, limit: number, claim: string, others: readonly string[]): Promise<PushDocument[]> {
    const isDue = { dueAt: { $lte: new Date(now) }, claim: { $nin: [...others] } }
    const due = await this.#pushes
      .find(isDue)
      .sort({ dueAt: 1 })
      .limit(limit)
      .project<Pick<PushDocument, '_id'>>({ _id: 1 })
      .toArray()
    if (!due.length) return []
    const ids = { _id: { $in: due.map(({ _id }) => _id) } }
    const until = new Date(now + claimLasts)
    await this.#change({ ...ids, ...isDue }, { $set: { claim, dueAt: until }, $inc: { tries: 1 } })
    const claimed = await this.#pushes.find({ ...ids, claim }, { batchSize: limit }).toArray()
    return claimed.sort((a, b) => a.arrivedAt - b.arrivedAt)
  }

  /** These raise the numbers on icons within the same change. Rejects when some have done so before. */
  async count(ids: readonly string[], session: ClientSession): Promise<void> {
    if (!ids.length) return
    const uncounted = { _id: { $in: [...ids] }, isCounted: { $exists: false } }
    const { modifiedCount } = await this.#pushes.updateMany(uncounted, { $set: { isCounted: true } }, { session })
    if (modifiedCount !== ids.length) throw new Error('another worker has counted some of these pushes')
  }

  /** Keeps claims of pushes that are under way. */
  async renew(ids: readonly string[], now: number, claim: string): Promise<void> {
    if (!ids.length) return
    const underWay = { _id: { $in: [...ids] }, dueAt: { $exists: true }, claim }
    await this.#change(underWay, { $set: { dueAt: new Date(now + claimLasts) } })
  }

  /** What a replica has found out. When it goes on is said by whoever has claimed it meanwhile. */
  async settle(all: readonly Settlement[], claim: string): Promise<void> {
    const writes = all.flatMap((settlement) => {
      const { id: _id, sent, done, next } = settlement
      if (!next) return done.length ? [{ updateOne: { filter: { _id }, update: changeOf(settlement) } }] : []
      const own = { updateOne: { filter: { _id, claim }, update: changeOf(settlement) } }
      const lost = { _id, claim: { $ne: claim } }
      // Before the other one, which gives the claim up.
      return sent.length
        ? [{ updateOne: { filter: lost, update: { $push: { sent: { $each: [...sent] } } } } }, own]
        : [own]
    })
    if (writes.length) await changeMany(this.#pushes, writes)
  }

  /** Nobody has to look at these any more. */
  async finish(ids: readonly string[], claim: string): Promise<void> {
    if (!ids.length) return
    await this.#change({ _id: { $in: [...ids] }, claim }, { $unset: { dueAt: '', claim: '', waiting: '', done: '' } })
  }

  /** These are looked at again then (ms). */
  async postpone(ids: readonly string[], until: number, claim: string): Promise<void> {
    if (!ids.length) return
    const underWay = { _id: { $in: [...ids] }, dueAt: { $exists: true }, claim }
    await this.#change(underWay, { $set: { dueAt: new Date(until) }, $unset: { claim: '' } })
  }

  /** Messages of a conversation, as far as they were pushed or wait for it. */
  async ofMessages(conversation: string, messageIds: readonly string[]): Promise<PushDocument[]> {
    if (!messageIds.length) return []
    return await this.#pushes.find({ conversation, messageId: { $in: [...messageIds] } }).toArray()
  }

  /** What members of rooms were told of by messages with these ids, without to whom; and not what told them again. */
  async inRooms(messageIds: readonly string[]): Promise<Omit<PushDocument, 'sent'>[]> {
    if (!messageIds.length) return []
    const told = { roomJid: { $exists: true }, shownAs: { $exists: false }, withdraws: { $exists: false } }
    return await this.#pushes
      .find(
        indexedAnd<PushDocument>({ messageId: { $in: [...messageIds] } }, { ...told, isRecalled: { $exists: false } }),
      )
      .project<Omit<PushDocument, 'sent'>>({ sent: 0, done: 0, waiting: 0, isCounted: 0 })
      .limit(mostMissed)
      .toArray()
  }

  /** How far the pushes of these messages are, whoever was told by them. */
  async progressOf(messageIds: readonly string[]): Promise<Progress[]> {
    if (!messageIds.length) return []
    return await this.#pushes
      .find({ messageId: { $in: [...messageIds] } })
      .project<Progress>({ dueAt: 1, claim: 1, waiting: 1, sent: 1, shownAs: 1, missedAt: 1 })
      .toArray()
  }

  /** No further device is told of these. */
  async recall(conversation: string, messageIds: readonly string[]): Promise<void> {
    const these = { conversation, messageId: { $in: [...messageIds] } }
    await this.#change(these, { $set: { isRecalled: true } })
  }

  async #change(filter: Filter<PushDocument>, update: UpdateFilter<PushDocument>): Promise<void> {
    await changeMany(this.#pushes, [{ updateMany: { filter, update } }])
  }
}

function changeOf({ sent, done, next }: Settlement): UpdateFilter<PushDocument> {
  const taken = sent.length ? { sent: { $each: [...sent] } } : {}
  if (!next) return { $push: { ...taken, done: { $each: [...done] } } }
  const change: UpdateFilter<PushDocument> = sent.length ? { $push: taken } : {}
  if (next === 'never') return { ...change, $unset: { dueAt: '', claim: '', waiting: '', done: '' } }
  const { at, devices } = next
  return { ...change, $set: { dueAt: new Date(at), waiting: [...devices] }, $unset: { claim: '', done: '' } }
}
