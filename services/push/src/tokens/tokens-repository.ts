import { createHash } from 'node:crypto'
import { type Change, changeMany, ensureIndexes, indexedAnd, onceMoreIfTaken } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { ProviderName, PushDevice } from '../providers/provider.ts'

export interface PushToken {
  userId: number
  device: PushDevice
  provider: ProviderName
  token: string
  /** Package or bundle id, as the app says. */
  app?: string
  registeredAt: Date
  /** Device class of the session that registered it: a browser of a computer is `pc`, its token `web`. */
  session?: string
  sessionId?: string
}

interface TokenDocument extends PushToken {
  /** SHA-256 of provider and token: a token is there once. */
  _id: string
  isForCalls: boolean
  /** The user switched notifications off, as the provider says: nothing is sent until the token is registered again. */
  isPaused?: true
}

/** A token that can be used, with its id. */
export type UsableToken = PushToken & Pick<TokenDocument, '_id' | 'isForCalls'>

const idOf = (provider: ProviderName, token: string) =>
  createHash('sha256').update(`${provider}:${token}`).digest('base64url')

/** The place that a token takes: a user has one for each device class, and one more for calls. */
const placeOf = ({ userId, device, isForCalls }: TokenDocument) => `${userId}:${device}:${isForCalls}`

/** Tokens that say nothing of their session: it had the class of the token. */
const unnamed = (classes: readonly string[]) => ({
  session: { $exists: false },
  device: { $in: classes as PushDevice[] },
})

/** Users of one query. */
const usersAtOnce = 5000

/** Devices that can be woken, and how. */
export class TokensRepository {
  readonly #tokens: Collection<TokenDocument>

  constructor(db: Db) {
    this.#tokens = db.collection('tokens')
  }

  createIndexes = () => ensureIndexes(this.#tokens, [{ key: { userId: 1 } }])

  /** The token is this user's from now on, in the place of the one that was there. */
  async register(token: PushToken): Promise<void> {
    const { userId, device, provider, registeredAt } = token
    const _id = idOf(provider, token.token)
    const isForCalls = provider === 'apns_voip'
    await onceMoreIfTaken(() => this.#tokens.replaceOne({ _id }, { ...token, isForCalls }, { upsert: true }))
    // Of two that come at the same moment each knows which one stays, or each would remove the other.
    const isOlder = { $or: [{ registeredAt: { $lt: registeredAt } }, { registeredAt, _id: { $lt: _id } }] }
    const filter = indexedAnd<TokenDocument>({ userId, device, isForCalls }, isOlder)
    await changeMany(this.#tokens, [{ deleteMany: { filter } }])
  }

  /** Of many users at once, but for those that are paused. Where a place has two, the one that was registered last counts. */
  async of(userIds: readonly number[]): Promise<UsableToken[]> {
    const found: TokenDocument[] = []
    for (let at = 0; at < userIds.length; at += usersAtOnce) {
      const some = { userId: { $in: userIds.slice(at, at + usersAtOnce) } }
      found.push(...(await this.#tokens.find(some, { batchSize: usersAtOnce }).toArray()))
    }
    const inOrder = found.sort(
      (a, b) => a.registeredAt.getTime() - b.registeredAt.getTime() || (a._id < b._id ? -1 : 1),
    )
    const places = new Map(inOrder.map((document) => [placeOf(document), document]))
    return [...places.values()].filter(({ isPaused }) => !isPaused)
  }

  /** Those of the users who have a token. */
  async ownersAmong(userIds: readonly number[]): Promise<Set<number>> {
    if (!userIds.length) return new Set()
    const found = await this.#tokens
      .find({ userId: { $in: [...userIds] } }, { batchSize: 2 * userIds.length })
      .project<{ userId: number }>({ _id: 0, userId: 1 })
      .toArray()
    return new Set(found.map(({ userId }) => userId))
  }

  /**
   * Takes the tokens that these sessions registered whenever they did, and those of their device classes that were registered
   * until they ended (ms): sessions that were refreshed had other ids.
   */
  async removeOfSessions(
    userId: number,
    { sessionIds, classes, until }: { sessionIds: readonly string[]; classes: readonly string[]; until: number },
  ): Promise<void> {
    const ofClasses = { $or: [{ session: { $in: [...classes] } }, unnamed(classes)] }
    const before = { registeredAt: { $lte: new Date(until) }, ...ofClasses }
    const filter = indexedAnd<TokenDocument>({ userId }, { $or: [{ sessionId: { $in: [...sessionIds] } }, before] })
    await changeMany(this.#tokens, [{ deleteMany: { filter } }])
  }

  async removeUser(userId: number, { session }: Partial<Pick<Change, 'session'>> = {}): Promise<void> {
    await this.#tokens.deleteMany({ userId }, { session })
  }

  /** The provider says that tokens are dead since then (ms). Those that were registered later live. */
  async removeDead(tokens: readonly { id: string; since: number }[]): Promise<void> {
    if (!tokens.length) return
    await this.#tokens.bulkWrite(
      tokens.map(({ id, since }) => ({
        deleteOne: { filter: { _id: id, registeredAt: { $lte: new Date(since) } } },
      })),
      { ordered: false },
    )
  }

  /** Until they are registered again. Those that were meanwhile are not paused. */
  async pause(tokens: readonly Pick<UsableToken, '_id' | 'registeredAt'>[]): Promise<void> {
    if (!tokens.length) return
    const update = { $set: { isPaused: true as const } }
    await this.#tokens.bulkWrite(
      tokens.map(({ _id, registeredAt }) => ({ updateOne: { filter: { _id, registeredAt }, update } })),
      { ordered: false },
    )
  }
}
