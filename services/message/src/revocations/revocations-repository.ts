import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { StreamReport } from '../streams/own-stream.ts'

/** Something that streams rested on and that is void: those streams have to be closed, wherever and whenever they turn up. */
export interface Revocation {
  /** `t:<session>`, `p:<user>` (older passwords) or `u:<user>` (the whole account). */
  _id: string
  user: number
  /** Passwords below this version are void, and so are tokens with which streams were opened before `changedAt` (ms); `p:` only. */
  version?: number
  changedAt?: number
  /** Said to the client. */
  text: string
  /** Not before; ms. */
  closeAt: number
  expireAt: Date
}

/** How long a stream may live on a server that is out of our reach. */
const keptFor = 30 * 86_400_000

export class RevocationsRepository {
  readonly collection: Collection<Revocation>

  constructor(db: Db) {
    this.collection = db.collection('revocations')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { user: 1 } }, { key: { expireAt: 1 }, expireAfterSeconds: 0 }])
  }

  async add(revocations: readonly Omit<Revocation, 'expireAt'>[], now: number): Promise<void> {
    if (!revocations.length) return
    const expireAt = new Date(now + keptFor)
    await this.collection.bulkWrite(
      revocations.map(({ _id, version, changedAt, closeAt, ...fields }) => ({
        updateOne: {
          filter: { _id },
          // Told again it changes nothing. A later password voids more streams, and has its own moment.
          update: {
            $setOnInsert: version === undefined ? { ...fields, closeAt } : fields,
            $set: { expireAt },
            ...(version === undefined ? {} : { $max: { version, changedAt, closeAt } }),
          },
          upsert: true,
        },
      })),
      { ordered: true },
    )
  }

  async remove(id: string): Promise<void> {
    await this.collection.deleteOne({ _id: id })
  }

  async ofUsers(users: readonly number[]): Promise<Map<number, Revocation[]>> {
    if (!users.length) return new Map()
    const found = await this.collection.find({ user: { $in: [...users] } }).toArray()
    return Map.groupBy(found, ({ user }) => user)
  }
}

/** Whether a stream rests on what is revoked. */
export function isRevoked({ login, user, since }: StreamReport, revocation: Revocation): boolean {
  const { _id, version = 0, changedAt = 0 } = revocation
  if (_id === `u:${user}`) return true
  if (_id === `p:${user}`) return login.startsWith('p:') ? Number(login.slice(2)) < version : since < changedAt
  return _id === login
}
