import { pairOf } from '@im/contracts/social'
import { firstUserId } from '@im/contracts/user'
import { type Change, ensureIndexes, findFirst, hintFor, indexedAnd, skipOf } from '@im/service-kit'
import type { ClientSession, Collection, Db, Filter } from 'mongodb'
import type { Pair, Relation, Status } from './pair.ts'

/** Most rows of one list: nobody has more friends, and public accounts have pages for their fans. */
export const longestList = 10_000
/** Counts stop here: some accounts are followed by everybody. */
const highestCount = 100_000

/** Fans of one account that are counted. */
const mostFans = 10_000_000
const highestUserId = 2 ** 31 - 1
/** The system's own accounts are friends of all; they are no fans. */
const users = { userId: { $gte: firstUserId } }
/** Rows of those who follow somebody, where none of the two blocked the other. */
const writable = { isBeenBlack: 0, blacklist: 0, status: { $in: [1, 2] as Status[] } } as const

export interface Counts {
  userId: number
  /** Followed users and friends. */
  attCount: number
  fansCount: number
  friendsCount: number
}

export interface Page {
  pageIndex: number
  pageSize: number
}

/** What long lists are read by. Named in the queries: planning one of two possible indexes takes as long as reading a list. */
const byTime = { userId: 1, createTime: -1, _id: -1 } as const
const byFans = { toUserId: 1, isBeenBlack: 1, createTime: -1, _id: -1 } as const
const byFanId = { toUserId: 1, userId: 1 } as const
const byStatus = { userId: 1, status: 1, toUserId: 1 } as const

/** What most rows say. It is not stored, because lists of friends are long. */
const defaults = {
  remarkName: '',
  describe: '',
  chatRecordTimeOut: -1,
  offlineNoPushMsg: 0,
  isOpenSnapchat: 0,
  isOpenTopChat: 0,
  openTopChatTime: 0,
  fromAddType: 0,
} as const

type Stored = Omit<Relation, keyof typeof defaults> & Partial<Pick<Relation, keyof typeof defaults>>

/** Field by field: a spread takes several times as long, which counts in a list of thousands. */
const whole = (row: Stored): Relation => ({
  _id: row._id,
  pair: row.pair,
  userId: row.userId,
  toUserId: row.toUserId,
  status: row.status,
  blacklist: row.blacklist,
  isBeenBlack: row.isBeenBlack,
  remarkName: row.remarkName ?? defaults.remarkName,
  describe: row.describe ?? defaults.describe,
  createTime: row.createTime,
  modifyTime: row.modifyTime,
  chatRecordTimeOut: row.chatRecordTimeOut ?? defaults.chatRecordTimeOut,
  offlineNoPushMsg: row.offlineNoPushMsg ?? defaults.offlineNoPushMsg,
  isOpenSnapchat: row.isOpenSnapchat ?? defaults.isOpenSnapchat,
  isOpenTopChat: row.isOpenTopChat ?? defaults.isOpenTopChat,
  openTopChatTime: row.openTopChatTime ?? defaults.openTopChatTime,
  fromAddType: row.fromAddType ?? defaults.fromAddType,
})

const stored = (row: Relation): Stored =>
  Object.fromEntries(
    Object.entries(row).filter(([name, value]) => value !== (defaults as Record<string, unknown>)[name]),
  ) as Stored

/** The rows of all users about each other. */
export class RelationsRepository {
  readonly #rows: Collection<Stored>

  constructor(db: Db) {
    this.#rows = db.collection('relations')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#rows, [
      { key: { pair: 1, userId: 1 }, unique: true },
      { key: byTime },
      { key: { userId: 1, blacklist: 1, modifyTime: -1 } },
      { key: byStatus },
      { key: byFanId },
      { key: byFans },
    ])
  }

  /** Pairs of one user with each of the others, by the other. */
  async pairs(userId: number, toUserIds: readonly number[], session?: ClientSession): Promise<Map<number, Pair>> {
    const rows = await this.byPairs(
      toUserIds.map((toUserId) => pairOf(userId, toUserId)),
      session,
    )
    const pairs = new Map<number, Pair>(toUserIds.map((toUserId) => [toUserId, { own: undefined, other: undefined }]))
    for (const row of rows) {
      const isOwn = row.userId === userId
      const pair = pairs.get(isOwn ? row.toUserId : row.userId)
      if (pair) pair[isOwn ? 'own' : 'other'] = row
    }
    return pairs
  }

  async byPairs(pairs: readonly string[], session?: ClientSession): Promise<Relation[]> {
    if (!pairs.length) return []
    // Two rows of each.
    const batchSize = 2 * pairs.length + 1
    const rows = await this.#rows.find({ pair: { $in: [...pairs] } }, { session, batchSize }).toArray()
    return rows.map(whole)
  }

  /** Rows of pairs behind one, in the order of their pairs. */
  async pageAfter(pair: string, limit: number, session: ClientSession): Promise<Relation[]> {
    const rows = await this.#rows
      .find({ pair: { $gt: pair } }, { session, batchSize: limit })
      .sort({ pair: 1, userId: 1 })
      .limit(limit)
      .toArray()
    return rows.map(whole)
  }

  async byId(userId: number, toUserId: number): Promise<Relation | undefined> {
    const row = await this.#rows.findOne({ pair: pairOf(userId, toUserId), userId })
    return row ? whole(row) : undefined
  }

  /** What the owner says about each of these users. */
  async rowsAbout(userId: number, toUserIds: readonly number[]): Promise<Map<number, Relation>> {
    const rows = await this.byPairs(toUserIds.map((toUserId) => pairOf(userId, toUserId)))
    return new Map(rows.flatMap((row) => (row.userId === userId ? [[row.toUserId, row]] : [])))
  }

  /** Writes what became of pairs that were read in the same change. */
  write(changes: readonly { before: Pair; after: Pair }[], change: Change): void {
    const sides = changes.flatMap(({ before, after }) => [
      { old: before.own, row: after.own },
      { old: before.other, row: after.other },
    ])
    const removed = sides.flatMap(({ old, row }) => (old && !row ? [old._id] : []))
    const written = sides.flatMap(({ old, row }) => (row && old !== row ? [row] : []))
    if (removed.length) change.later(this.#rows, { deleteMany: { filter: { _id: { $in: removed } } } })
    for (const { _id, ...replacement } of written.map(stored))
      change.later(this.#rows, { replaceOne: { filter: { _id }, replacement, upsert: true } })
  }

  /** Followed users and friends, the newest first; with blocked ones, too, when no status is asked for. */
  async followedBy(userId: number, status: 0 | 1 | 2): Promise<Relation[]> {
    const wanted: Filter<Stored> = status
      ? { status, blacklist: 0 }
      : { $or: [{ status: { $in: [1, 2] } }, { blacklist: 1 }] }
    const rows = await this.#rows
      .find(indexedAnd({ userId }, wanted), { batchSize: longestList, ...(await hintFor(this.#rows, byTime)) })
      .sort({ createTime: -1, _id: -1 })
      .limit(longestList)
      .toArray()
    return rows.map(whole)
  }

  /** Rows of these statuses about users who are not blocked. */
  async unblockedBy(userId: number, statuses: readonly (1 | 2)[]): Promise<Relation[]> {
    const rows = await this.#rows
      .find(
        { userId, status: { $in: [...statuses] }, blacklist: 0 },
        { batchSize: longestList, ...(await hintFor(this.#rows, byStatus)) },
      )
      // In an order of its own the stand-in gives rows as they are stored; for any other it plans, and it makes each anew for a projection.
      .sort({ toUserId: 1 })
      .limit(longestList)
      .toArray()
    return rows.map(whole)
  }

  async blockedBy(userId: number, page?: Page): Promise<Relation[]> {
    const skip = page ? skipOf(page) : 0
    if (skip === undefined) return []
    const rows = await this.#rows
      .find({ userId, blacklist: 1 }, { batchSize: longestList })
      .sort({ modifyTime: -1 })
      .skip(skip)
      .limit(page?.pageSize ?? longestList)
      .toArray()
    return rows.map(whole)
  }

  /** Rows of those who follow the user and are not blocked by them, the newest first; of users from `first` on. */
  async fansOf(userId: number, page: Page, first = 1): Promise<Relation[]> {
    const skip = skipOf(page)
    if (skip === undefined) return []
    const from = first > 1 ? { userId: { $gte: first } } : {}
    const rows = await this.#rows
      .find(
        { toUserId: userId, isBeenBlack: 0, status: { $in: [1, 2] }, ...from },
        { ...(await hintFor(this.#rows, byFans)) },
      )
      .sort({ createTime: -1, _id: -1 })
      .skip(skip)
      .limit(page.pageSize)
      .toArray()
    return rows.map(whole)
  }

  /** Ids above `after` of those who followed an account up to `until` (seconds), where none of the two blocked the other; ascending. */
  async fanIds(
    account: number,
    { after, until, limit }: { after: number; until: number; limit: number },
  ): Promise<number[]> {
    const rows = await findFirst(this.#rows, {
      filter: { toUserId: account },
      also: { ...writable, createTime: { $lte: until } },
      field: 'userId',
      ...{
        order: 1,
        from: Math.max(after + 1, firstUserId),
        to: highestUserId,
        limit,
        projection: { _id: 0, userId: 1 },
      },
    })
    return rows.map(({ userId }) => userId)
  }

  /** How many users `fansOf` shows to an account, up to a bound. */
  async countShownFans(account: number): Promise<number> {
    const filter = { toUserId: account, ...users, isBeenBlack: 0 as const, status: { $in: [1, 2] as Status[] } }
    return await this.#rows.countDocuments(filter, { limit: mostFans, ...(await hintFor(this.#rows, byFanId)) })
  }

  /** How many would be among them. */
  async countFans(account: number, until: number): Promise<number> {
    const filter = { toUserId: account, ...users, ...writable, createTime: { $lte: until } }
    return await this.#rows.countDocuments(filter, { limit: mostFans, ...(await hintFor(this.#rows, byFanId)) })
  }

  /** Ids of friends above `after`, ascending. */
  async friendIds(userId: number, after: number, limit: number): Promise<number[]> {
    const rows = await this.#rows
      .find({ userId, status: 2, toUserId: { $gt: after } }, { batchSize: limit })
      .project<{ toUserId: number }>({ _id: 0, toUserId: 1 })
      .sort({ toUserId: 1 })
      .limit(limit)
      .toArray()
    return rows.map(({ toUserId }) => toUserId)
  }

  /** Any rows of the user, so many that one change can remove them with their other sides. */
  async someOf(userId: number, limit: number, session: ClientSession): Promise<Relation[]> {
    return (await this.#rows.find({ userId }, { session }).limit(limit).toArray()).map(whole)
  }

  /** Any rows of others about the user. */
  async someAbout(userId: number, limit: number, session: ClientSession): Promise<Relation[]> {
    return (await this.#rows.find({ toUserId: userId }, { session }).limit(limit).toArray()).map(whole)
  }

  removePairs(pairs: readonly string[], change: Change): void {
    if (pairs.length) change.later(this.#rows, { deleteMany: { filter: { pair: { $in: [...pairs] } } } })
  }

  /** How many each user follows, is followed by and has as friends. Each counts up to a bound. */
  countsOf(userIds: readonly number[]): Promise<Counts[]> {
    return Promise.all(
      userIds.map(async (userId) => {
        const [ofStatus, fansCount] = await Promise.all([this.#countByStatus(userId), this.#countFollowers(userId)])
        const [followed = 0, friendsCount = 0] = [ofStatus.get(1), ofStatus.get(2)]
        return { userId, attCount: Math.min(followed + friendsCount, highestCount), fansCount, friendsCount }
      }),
    )
  }

  async #countByStatus(userId: number): Promise<Map<Status, number>> {
    const counts = await this.#rows
      .aggregate<{ _id: Status; count: number }>([
        { $match: { userId, status: { $in: [1, 2] } } },
        { $limit: 2 * highestCount },
        { $group: { _id: '$status', count: { $sum: 1 } } },
      ])
      .toArray()
    return new Map(counts.map(({ _id, count }) => [_id, Math.min(count, highestCount)]))
  }

  #countFollowers(userId: number): Promise<number> {
    const filter = { toUserId: userId, isBeenBlack: 0 as const, status: { $in: [1, 2] as Status[] } }
    return this.#rows.countDocuments(filter, { limit: highestCount })
  }
}
