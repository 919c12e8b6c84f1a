import { firstUserId, type Profile, type SettingValues } from '@im/contracts/user'
import { type Change, ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db, Filter } from 'mongodb'
import { claimedNames } from './login-names.ts'
import { NamesRepository } from './names-repository.ts'
import type { LoginRecord, UserDocument } from './user-document.ts'

/** Fields that users change about themselves as they like. */
export type PlainFields = Partial<Profile & Pick<UserDocument, 'msgBackGroundUrl'>>

type NameFields = 'account' | 'setAccountCount' | 'telephone' | 'isAuth' | 'loginNames' | 'numberNames'
/** Everything that a profile update may change. */
export type ProfileChange = PlainFields & Partial<Pick<UserDocument, NameFields | 'payPassword'>>

/** When nobody has a number under the given area code, the password is tried with so many who have it under others. */
const mostUnderOtherCodes = 3

/** What others need to know of a user before they write to them. */
export type Contactable = Pick<UserDocument, 'status' | 'userType' | 'nickname' | 'settings'>

/** What decides how a user may be befriended. */
export type FriendRulesUser = Pick<UserDocument, '_id' | 'nickname' | 'userType' | 'telephone' | 'settings'>

/** Accounts: users, public accounts and the system's own. */
export class UsersRepository {
  readonly #users: Collection<UserDocument>
  readonly #counters: Collection<{ _id: string; value: number }>
  readonly #names: NamesRepository

  constructor(db: Db) {
    this.#users = db.collection('users')
    this.#counters = db.collection('counters')
    this.#names = new NamesRepository(db)
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#users, [{ key: { loginNames: 1 } }, { key: { numberNames: 1, isAuth: -1, _id: 1 } }])
    await this.#counters.updateOne({ _id: 'userId' }, { $setOnInsert: { value: firstUserId - 1 } }, { upsert: true })
  }

  /** Ids rise and are never used twice. A registration that fails leaves a gap. */
  async nextUserId(): Promise<number> {
    const counter = await this.#counters.findOneAndUpdate(
      { _id: 'userId' },
      { $inc: { value: 1 } },
      { returnDocument: 'after' },
    )
    if (!counter) throw new Error('the counter of user ids is missing')
    return counter.value
  }

  /** Throws NameTakenError. */
  async add(user: UserDocument, change: Change): Promise<void> {
    await this.#names.change(user._id, [], claimedNames(user), change)
    await this.#users.insertOne(user, { session: change.session })
  }

  async byId(userId: number, change?: Change): Promise<UserDocument | undefined> {
    return (await this.#users.findOne({ _id: userId }, { session: change?.session })) ?? undefined
  }

  /** Users with greater ids, in the order of their ids. */
  async pageAfter(userId: number, limit: number, session: ClientSession): Promise<UserDocument[]> {
    return await this.#users
      .find({ _id: { $gt: userId } }, { session })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray()
  }

  async contactsOf(userIds: readonly number[]): Promise<Map<number, Contactable>> {
    const found = await this.#users
      .find({ _id: { $in: [...userIds] } })
      .project<Contactable & { _id: number }>({ status: 1, userType: 1, nickname: 1, settings: 1 })
      .toArray()
    return new Map(found.map((user) => [user._id, user]))
  }

  async friendRulesOf(userIds: readonly number[]): Promise<FriendRulesUser[]> {
    return await this.#users
      .find({ _id: { $in: [...userIds] } }, { batchSize: 2000 })
      .project<FriendRulesUser>({ nickname: 1, userType: 1, telephone: 1, settings: 1 })
      .toArray()
  }

  /** Users who have one of these telephones (telephones.ts: `telephoneKey`). */
  async byTelephoneKeys(
    keys: readonly string[],
  ): Promise<Pick<UserDocument, '_id' | 'telephone' | 'settings' | 'createTime'>[]> {
    const owners = await this.#names.ownersOf(keys)
    if (!owners.length) return []
    return await this.#users
      .find({ _id: { $in: owners } }, { batchSize: 5000 })
      .project<Pick<UserDocument, '_id' | 'telephone' | 'settings' | 'createTime'>>({
        ...{ telephone: 1, createTime: 1, 'settings.phoneSearch': 1, 'settings.closeTelephoneFind': 1 },
      })
      .toArray()
  }

  /** Id of the user who has claimed this name. */
  ownerOf(name: string): Promise<number | undefined> {
    return this.#names.ownerOf(name)
  }

  /** The user who has claimed this name (login-names.ts: `registeredKey`). */
  async byName(name: string): Promise<UserDocument | undefined> {
    const userId = await this.#names.ownerOf(name)
    return userId === undefined ? undefined : this.byId(userId)
  }

  async byAccount(account: string): Promise<UserDocument | undefined> {
    const user = await this.byName(account.toLowerCase())
    // A user name is claimed in the same key space and is no account.
    return user?.account.toLowerCase() === account.toLowerCase() ? user : undefined
  }

  /**
   * Everyone whom one of these md5 login names means, also as the number under this area code. They are few, because every such
   * name is claimed by one user.
   */
  byLoginNames(names: readonly string[], areaCode: string): Promise<UserDocument[]> {
    const anyOf = { $in: [...names] }
    return this.#users
      .find({ $or: [{ loginNames: anyOf }, { numberNames: anyOf, 'telephone.areaCode': areaCode }] })
      .toArray()
  }

  /** A few who have one of these numbers under any area code. Proven numbers come first, then the oldest accounts. */
  byNumberNames(names: readonly string[]): Promise<UserDocument[]> {
    return this.#users
      .find({ numberNames: { $in: [...names] } })
      .sort({ isAuth: -1, _id: 1 })
      .limit(mostUnderOtherCodes)
      .toArray()
  }

  idsByNames(names: readonly string[]): Promise<number[]> {
    return this.#names.ownersOf(names)
  }

  /**
   * Records a login of a user whose credentials were checked, and returns the user as stored before it. Returns undefined when
   * the user is locked by now or the password is no longer the one that was checked.
   */
  async recordLogin(
    checked: UserDocument,
    login: { record: LoginRecord; position?: [number, number] },
    change: Change,
  ): Promise<UserDocument | undefined> {
    const filter: Filter<UserDocument> = { _id: checked._id, status: 1 }
    if (checked.password) filter['password.version'] = checked.password.version
    else filter.password = { $exists: false }
    const set: Partial<UserDocument> = { lastLogin: login.record }
    if (checked.lastLogin) set.previousLogin = checked.lastLogin
    if (login.position) set.loc = { type: 'Point', coordinates: login.position }
    const options = { session: change.session, returnDocument: 'before' as const }
    return (await this.#users.findOneAndUpdate(filter, { $set: set, $inc: { logins: 1 } }, options)) ?? undefined
  }

  /** A stronger hash of the same password. */
  async renewPasswordHash(userId: number, oldHash: string, hash: string): Promise<void> {
    await this.#users.updateOne({ _id: userId, 'password.hash': oldHash }, { $set: { 'password.hash': hash } })
  }

  /** False when the password was changed since `version`. */
  async setPassword(userId: number, version: number, hash: string, change: Change): Promise<boolean> {
    const { matchedCount } = await this.#users.updateOne(
      { _id: userId, 'password.version': version },
      { $set: { password: { hash, version: version + 1 } } },
      { session: change.session },
    )
    return matchedCount > 0
  }

  /** `current` must have been read within the change. Throws NameTakenError. */
  async changeProfile(current: UserDocument, set: ProfileChange, change: Change): Promise<UserDocument | undefined> {
    await this.#names.change(current._id, claimedNames(current), claimedNames({ ...current, ...set }), change)
    const options = { session: change.session, returnDocument: 'after' as const }
    return (await this.#users.findOneAndUpdate({ _id: current._id }, { $set: set }, options)) ?? undefined
  }

  async changeSettings(
    userId: number,
    changed: Partial<SettingValues>,
    change: Change,
  ): Promise<UserDocument | undefined> {
    const set = Object.fromEntries(Object.entries(changed).map(([name, value]) => [`settings.${name}`, value]))
    const options = { session: change.session, returnDocument: 'after' as const }
    return (await this.#users.findOneAndUpdate({ _id: userId }, { $set: set }, options)) ?? undefined
  }

  /** False when nothing changed. */
  async setStatus(userId: number, status: 1 | -1, change: Change): Promise<boolean> {
    const { modifiedCount } = await this.#users.updateOne(
      { _id: userId, status: { $ne: status } },
      { $set: { status } },
      { session: change.session },
    )
    return modifiedCount > 0
  }

  async setOfflineTime(userId: number, seconds: number, change?: Change): Promise<void> {
    await this.#users.updateOne({ _id: userId }, { $max: { offlineTime: seconds } }, { session: change?.session })
  }

  /** Stores presence as of `at` (ms). A change that is older than what is stored changes nothing. */
  async setPresences(changes: readonly { userId: number; online: boolean; at: number }[]): Promise<void> {
    if (!changes.length) return
    await this.#users.bulkWrite(
      changes.map(({ userId, online, at }) => ({
        updateOne: {
          filter: { _id: userId, 'presence.at': { $lt: at } },
          update: {
            $set: { presence: { online, at } },
            ...(online ? {} : { $max: { offlineTime: Math.floor(at / 1000) } }),
          },
        },
      })),
      { ordered: false },
    )
  }

  async grantRole(userId: number, role: number): Promise<void> {
    await this.#users.updateOne({ _id: userId }, { $addToSet: { role } })
  }
}
