import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { StreamReport } from '../streams/own-stream.ts'

/** Something that streams rested on and that is void: those streams have to be closed, wherever and whenever they turn up. */
export interface Revocation {
  /** `t:<session>`, `p:<user>` (older passwords) or `u:<user>` (the whole account). */
  _id: string
  /** Passwords below this version are void; `p:` only. */
  version?: number
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
    await ensureIndexes(this.collection, [{ key: { expireAt: 1 }, expireAfterSeconds: 0 }])
  }

  async add(revocations: readonly Omit<Revocation, 'expireAt'>[], now: number): Promise<void> {
    if (!revocations.length) return
    const expireAt = new Date(now + keptFor)
    await this.collection.bulkWrite(
      revocations.map(({ _id, version, closeAt, ...fields }) => ({
        updateOne: {
          filter: { _id },
          // Told again it changes nothing. A later password voids more streams, and has its own moment.
          update: {
            $setOnInsert: version === undefined ? { ...fields, closeAt } : fields,
            $set: { expireAt },
            ...(version === undefined ? {} : { $max: { version, closeAt } }),
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

  /**
   * What may be void of what streams rest on, by id. Who logs in again and again leaves any number of revocations, so they are not
   * looked for by user.
   */
  async of(streams: readonly StreamReport[]): Promise<Map<string, Revocation>> {
    const ids = [...new Set(streams.flatMap(restingOn))]
    if (!ids.length) return new Map()
    const found = await this.collection.find({ _id: { $in: ids } }).toArray()
    return new Map(found.map((revocation) => [revocation._id, revocation]))
  }
}

/** Ids of the revocations that would void a stream. */
export const restingOn = ({ login, user }: StreamReport): string[] => [
  login.startsWith('p:') ? `p:${user}` : login,
  `u:${user}`,
]

/** Whether a stream rests on what is revoked. */
export function isRevoked(stream: StreamReport, { _id, version }: Revocation): boolean {
  return restingOn(stream).includes(_id) && (version === undefined || Number(stream.login.slice(2)) < version)
}
