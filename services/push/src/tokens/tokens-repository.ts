import { createHash } from 'node:crypto'
import { ensureIndexes, isDuplicateKey } from '@im/service-kit'
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
}

interface TokenDocument extends PushToken {
  /** SHA-256 of provider and token: a token is there once. */
  _id: string
  isForCalls: boolean
}

const idOf = (provider: ProviderName, token: string) =>
  createHash('sha256').update(`${provider}:${token}`).digest('base64url')

/** The place that a token takes: a user has one for each device class, and one more for calls. */
const placeOf = ({ userId, device, isForCalls }: TokenDocument) => `${userId}:${device}:${isForCalls}`

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
    const replaced = { userId, device, isForCalls, _id: { $ne: _id }, registeredAt: { $lte: registeredAt } }
    await this.#tokens.deleteMany(replaced)
  }

  /** Of many users at once. Where two were registered at the same moment, the later one counts. */
  async of(userIds: readonly number[]): Promise<PushToken[]> {
    const found = await this.#tokens
      .find({ userId: { $in: [...userIds] } })
      .sort({ registeredAt: 1, _id: 1 })
      .toArray()
    const places = new Map(found.map((document) => [placeOf(document), document]))
    return [...places.values()].map(({ _id, isForCalls, ...token }) => token)
  }

  /** Takes the tokens that sessions of these device classes had registered until they ended. */
  async removeOfDevices(userId: number, devices: readonly string[], until: number): Promise<void> {
    const device = { $in: devices as PushDevice[] }
    await this.#tokens.deleteMany({ userId, device, registeredAt: { $lte: new Date(until) } })
  }

  async removeUser(userId: number): Promise<void> {
    await this.#tokens.deleteMany({ userId })
  }

  /** The provider says that a token is dead since then. One that was registered later lives. */
  async removeDead({ provider, token }: PushToken, since: number): Promise<void> {
    await this.#tokens.deleteOne({ _id: idOf(provider, token), registeredAt: { $lte: new Date(since) } })
  }
}

/** Two upserts of one id: the second finds what the first inserted. */
async function onceMoreIfTaken<T>(write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (!isDuplicateKey(error)) throw error
    return await write()
  }
}
