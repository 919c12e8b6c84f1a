import { ensureIndexes, indexedAnd, isDuplicateKey, onceMoreIfTaken } from '@im/service-kit'
import type { ClientSession, Collection, Db } from 'mongodb'

/** A server with available resources of a user. */
export interface PresenceAt {
  server: string
  resources: string[]
  /** None of them has a connection at the moment; each may come back to its stream. */
  isAsleep?: true
}

/** A resource that was available until a moment (ms) not long ago. */
export interface Left {
  resource: string
  at: number
}

export interface PresenceDocument {
  /** userId */
  _id: number
  /** What was told last, by an XMPP server or by `/tigase/OnlineState`. */
  online: boolean
  at: PresenceAt[]
  left?: Left[]
  /** Of who is offline: ids of messages, most of them in rooms, that their last stream was given and has not confirmed. */
  missed?: string[]
  /** ms */
  changedAt: number
}

/** An XMPP server as far as presence goes: whoever holds its newest connection writes, and nobody else. */
interface PresenceServer {
  _id: string
  epoch: number
  /** When its holder was last there; ms by the clock of that one. */
  seenAt: number
  /** Counts writes: two connections of one server meet here. */
  writes: number
}

/** An XMPP server, and the last sign of whoever holds it. */
export interface SeenServer extends Pick<PresenceServer, 'epoch' | 'seenAt'> {
  server: string
}

export class PresencesRepository {
  readonly collection: Collection<PresenceDocument>
  readonly #servers: Collection<PresenceServer>

  constructor(db: Db) {
    this.collection = db.collection<PresenceDocument>('presence')
    this.#servers = db.collection<PresenceServer>('presenceServers')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { 'at.server': 1, _id: 1 } }])
  }

  async of(userIds: readonly number[], session?: ClientSession): Promise<Map<number, PresenceDocument>> {
    const found = await this.collection.find({ _id: { $in: [...userIds] } }, { session }).toArray()
    return new Map(found.map((presence) => [presence._id, presence]))
  }

  /** Those of the users who are online and can be reached: a device of theirs has a connection. */
  async present(userIds: readonly number[]): Promise<number[]> {
    const isAwake = [{ at: { $elemMatch: { isAsleep: { $exists: false } } } }, { at: { $size: 0 } }]
    const found = await this.collection
      .find(indexedAnd({ _id: { $in: [...userIds] } }, { online: true, $or: isAwake }), {
        batchSize: userIds.length + 1,
      })
      .project<{ _id: number }>({ _id: 1 })
      .toArray()
    return found.map(({ _id }) => _id)
  }

  /** Those of the users who are offline and whose last stream has missed something that waits in no mailbox. */
  async missed(userIds: readonly number[]): Promise<{ userId: number; messageIds: string[] }[]> {
    const found = await this.collection
      .find(indexedAnd({ _id: { $in: [...userIds] } }, { online: false, missed: { $exists: true } }), {
        batchSize: userIds.length + 1,
      })
      .project<{ _id: number; missed: string[] }>({ missed: 1 })
      .toArray()
    return found.map(({ _id: userId, missed: messageIds }) => ({ userId, messageIds }))
  }

  /** Users with resources on a server, from an id on. */
  async usersAt(server: string, after: number, limit: number): Promise<PresenceDocument[]> {
    return await this.collection
      .find({ 'at.server': server, _id: { $gt: after } })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray()
  }

  /** A connection begins: writes of older ones are refused from now on. False when a newer one was here already. */
  async begin(server: string, epoch: number, now: number): Promise<boolean> {
    try {
      const { matchedCount, upsertedCount } = await onceMoreIfTaken(() =>
        this.#servers.updateOne(
          { _id: server, epoch: { $lte: epoch } },
          { $set: { epoch, seenAt: now }, $setOnInsert: { writes: 0 } },
          { upsert: true },
        ),
      )
      return matchedCount + upsertedCount > 0
    } catch (error) {
      if (isDuplicateKey(error)) return false
      throw error
    }
  }

  /** Part of each transaction that writes for a server. False when its connection is not the newest any more. */
  async isNewest(server: string, epoch: number, session: ClientSession): Promise<boolean> {
    const { matchedCount } = await this.#servers.updateOne({ _id: server, epoch }, { $inc: { writes: 1 } }, { session })
    return matchedCount > 0
  }

  async seen(servers: readonly { server: string; epoch: number }[], now: number): Promise<void> {
    for (const { server, epoch } of servers)
      await this.#servers.updateOne({ _id: server, epoch }, { $set: { seenAt: now } })
  }

  /** All servers, and what their holders said last. */
  async servers(): Promise<SeenServer[]> {
    const found = await this.#servers.find().toArray()
    return found.map(({ _id, epoch, seenAt }) => ({ server: _id, epoch, seenAt }))
  }

  /** A server is gone for good: it is forgotten with the last of its users. */
  async forgetServer(server: string, epoch: number): Promise<void> {
    await this.#servers.deleteOne({ _id: server, epoch })
  }

  async save(presences: readonly PresenceDocument[], session: ClientSession): Promise<void> {
    if (!presences.length) return
    await this.collection.bulkWrite(
      presences.map(({ _id, ...fields }) => ({
        updateOne: {
          filter: { _id },
          update: { $set: fields, ...(fields.missed ? {} : { $unset: { missed: '' as const } }) },
          upsert: true,
        },
      })),
      { session, ordered: false },
    )
  }
}
