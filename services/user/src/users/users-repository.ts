import { firstUserId, type Profile, type SettingValues } from '@im/contracts/user'
import { type Change, ensureIndexes, findFirst } from '@im/service-kit'
import type { ClientSession, Collection, Db, Document, Filter } from 'mongodb'
import { claimedNames } from './login-names.ts'
import { NamesRepository } from './names-repository.ts'
import { positionFields } from './positions.ts'
import { SearchableUsersRepository, type UserFilter } from './searchable-users-repository.ts'
import type { KeptElsewhere, LoginRecord, Point, UserDocument } from './user-document.ts'

/** Fields that users change about themselves as they like. */
export type PlainFields = Partial<Profile & Pick<UserDocument, 'msgBackGroundUrl'>>

type NameFields = 'account' | 'setAccountCount' | 'telephone' | 'isAuth' | 'loginNames' | 'numberNames'
/** Everything that a profile update may change. */
export type ProfileChange = PlainFields & Partial<Pick<UserDocument, NameFields | 'payPassword'>>

/** When nobody has a number under the given area code, the password is tried with so many who have it under others. */
const mostUnderOtherCodes = 3

/** Users around a place who are looked at for those who fit: 500 km around a city may hold very many. */
const mostLookedAt = 5000

/** Users who are changed by one command. */
const changedAtOnce = 1000

/** How long (ms) the newest id is good enough to say where a search begins. */
const newestFor = 5000

/** The highest id that apps can read. */
const lastUserId = 2_147_483_647

/** What others need to know of a user before they write to them. */
export type Contactable = Pick<UserDocument, 'status' | 'userType' | 'nickname' | 'settings'>

/** What other services keep of all users. */
const replayedFields = [
  '_id',
  'nickname',
  'account',
  'telephone',
  'userName',
  'userType',
  'status',
  'offlineNoPushMsg',
  'createTime',
] as const
export type ReplayedUser = Pick<UserDocument, (typeof replayedFields)[number]>

/** What decides how a user may be befriended. */
export type FriendRulesUser = Pick<UserDocument, '_id' | 'nickname' | 'userType' | 'telephone' | 'settings'>

/** Accounts: users, public accounts and the system's own. */
export class UsersRepository {
  readonly #users: Collection<UserDocument>
  readonly #counters: Collection<{ _id: string; value: number }>
  readonly #names: NamesRepository
  readonly #searchable: SearchableUsersRepository
  #newest = { userId: firstUserId, readAgainAt: 0 }

  constructor(db: Db) {
    this.#users = db.collection('users')
    this.#counters = db.collection('counters')
    this.#names = new NamesRepository(db)
    this.#searchable = new SearchableUsersRepository(db)
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#users, [
      { key: { loginNames: 1 } },
      { key: { numberNames: 1, isAuth: -1, _id: 1 } },
      // With its version: without one the stand-in takes it for another index at the second start.
      { key: { shownLoc: '2dsphere' }, '2dsphereIndexVersion': 3 },
      // Users who are online are counted, and only they are in this index.
      { key: { 'presence.online': 1 }, partialFilterExpression: { 'presence.online': true } },
    ])
    await this.#searchable.createIndexes()
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

  /** The newest id, as it was a few seconds ago. */
  async #newestUserId(): Promise<number> {
    if (performance.now() < this.#newest.readAgainAt) return this.#newest.userId
    const userId = (await this.#counters.findOne({ _id: 'userId' }))?.value ?? firstUserId
    this.#newest = { userId, readAgainAt: performance.now() + newestFor }
    return userId
  }

  /** The change throws NameTakenError. */
  add(user: UserDocument, change: Change): void {
    this.#names.change(user._id, [], claimedNames(user), change)
    change.later(this.#users, { insertOne: { document: user } })
    this.#searchable.follow(undefined, user, change)
  }

  /** Frees the names of a user, who must have been read within the change, and removes them. */
  remove(user: UserDocument, change: Change): void {
    this.#names.change(user._id, claimedNames(user), [], change)
    change.later(this.#users, { deleteOne: { filter: { _id: user._id } } })
    this.#searchable.follow(user, undefined, change)
  }

  async byId(userId: number, change?: Change): Promise<UserDocument | undefined> {
    return (await this.#users.findOne({ _id: userId }, { session: change?.session })) ?? undefined
  }

  async exists(userId: number): Promise<boolean> {
    return (await this.#users.findOne({ _id: userId }, { projection: { _id: 1 } })) !== null
  }

  /** Users with greater ids, in the order of their ids. */
  async pageAfter(userId: number, limit: number, session: ClientSession): Promise<ReplayedUser[]> {
    const projection = Object.fromEntries(replayedFields.map((name) => [name, 1]))
    const range = { order: 1, from: userId + 1, to: lastUserId } as const
    return await findFirst(this.#users, { filter: {}, ...range, limit, projection, session })
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
    const set: Partial<UserDocument> = {
      lastLogin: login.record,
      ...(login.position ? positionFields(login.position, login.record.loginTime) : {}),
    }
    if (checked.lastLogin) set.previousLogin = checked.lastLogin
    const options = { session: change.session, returnDocument: 'before' as const }
    return (await this.#users.findOneAndUpdate(filter, { $set: set, $inc: { logins: 1 } }, options)) ?? undefined
  }

  /** Counts a login that records no device. False when the password was changed or the account locked since the check. */
  async countLogin({ _id, password }: UserDocument, { session }: Change): Promise<boolean> {
    const filter = { _id, status: 1 as const, 'password.version': password?.version ?? -1 }
    return (await this.#users.updateOne(filter, { $inc: { logins: 1 } }, { session })).matchedCount > 0
  }

  /** A stronger hash of the same password. */
  async renewPasswordHash(userId: number, oldHash: string, hash: string): Promise<void> {
    await this.#users.updateOne({ _id: userId, 'password.hash': oldHash }, { $set: { 'password.hash': hash } })
  }

  /** Replaces the password of this version, which must have been read within the change. */
  setPassword(userId: number, version: number, hash: string, change: Change): void {
    const update = { $set: { password: { hash, version: version + 1 } } }
    change.later(this.#users, { updateOne: { filter: { _id: userId, 'password.version': version }, update } })
  }

  /** Returns the user as changed. `current` must have been read within the change, which throws NameTakenError. */
  changeProfile(current: UserDocument, set: ProfileChange, change: Change): UserDocument {
    const changed = { ...current, ...set }
    this.#names.change(current._id, claimedNames(current), claimedNames(changed), change)
    return this.#change(current, changed, set, change)
  }

  /** Returns the user as changed. `current` must have been read within the change. */
  changeSettings(current: UserDocument, settings: Partial<SettingValues>, change: Change): UserDocument {
    const set = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`settings.${name}`, value]))
    return this.#change(current, { ...current, settings: { ...current.settings, ...settings } }, set, change)
  }

  #change(before: UserDocument, after: UserDocument, set: Document, change: Change): UserDocument {
    change.later(this.#users, { updateOne: { filter: { _id: before._id }, update: { $set: set } } })
    this.#searchable.follow(before, after, change)
    return after
  }

  /** False when nothing changed. */
  async setStatus(userId: number, status: 1 | -1, change: Change): Promise<boolean> {
    const options = { session: change.session, returnDocument: 'before' as const }
    const filter: Filter<UserDocument> = { _id: userId, status: { $ne: status } }
    const before = await this.#users.findOneAndUpdate(filter, { $set: { status } }, options)
    if (!before) return false
    this.#searchable.follow(before, { ...before, status }, change)
    return true
  }

  async setDoNotDisturb(userId: number, flag: 0 | 1, change: Change): Promise<UserDocument | undefined> {
    const options = { session: change.session, returnDocument: 'after' as const }
    const set = { offlineNoPushMsg: flag }
    return (await this.#users.findOneAndUpdate({ _id: userId }, { $set: set }, options)) ?? undefined
  }

  /** Replaces the pay password `replaced` (its hash; undefined when none was set). False when it is another one by now. */
  async setPayPassword(
    userId: number,
    replaced: string | undefined,
    payPassword: NonNullable<UserDocument['payPassword']>,
    change: Change,
  ): Promise<boolean> {
    const filter: Filter<UserDocument> =
      replaced === undefined
        ? { _id: userId, payPassword: { $exists: false } }
        : { _id: userId, 'payPassword.hash': replaced }
    const { matchedCount } = await this.#users.updateOne(filter, { $set: { payPassword } }, { session: change.session })
    return matchedCount > 0
  }

  async setOfflineTime(userId: number, seconds: number): Promise<void> {
    await this.#users.updateOne({ _id: userId }, { $max: { offlineTime: seconds } })
  }

  /** The same as part of a change. */
  noteOffline(userId: number, seconds: number, change: Change): void {
    change.later(this.#users, { updateOne: { filter: { _id: userId }, update: { $max: { offlineTime: seconds } } } })
  }

  async keepElsewhere(userId: number, elsewhere: KeptElsewhere): Promise<void> {
    await this.#users.updateOne({ _id: userId }, { $set: { elsewhere } })
  }

  /** What other services know of these users has changed. */
  async changeElsewhere(userIds: readonly number[]): Promise<void> {
    const update = { $inc: { elsewhereChanges: 1 } }
    for (let from = 0; from < userIds.length; from += changedAtOnce) {
      const changed = userIds.slice(from, from + changedAtOnce)
      const changes = changed.map((_id) => ({ updateOne: { filter: { _id }, update } }))
      await this.#users.bulkWrite(changes, { ordered: false })
    }
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

  /** Users who have one of these ids, as far as they exist. */
  async byIds(userIds: readonly number[]): Promise<Map<number, UserDocument>> {
    const found = await this.#users.find({ _id: { $in: [...userIds] } }).toArray()
    return new Map(found.map((user) => [user._id, user]))
  }

  /** Users whom one of these md5 login names means, whatever their area code. They are few, as in `byLoginNames`. */
  byAnyName(names: readonly string[]): Promise<UserDocument[]> {
    const anyOf = { $in: [...names] }
    return this.#users
      .find({ $or: [{ loginNames: anyOf }, { numberNames: anyOf }] })
      .limit(10)
      .toArray()
  }

  /**
   * Ids of users who may be listed and fit the filter, newest first (`order` -1) or oldest first. The search begins behind
   * `after`.
   */
  async search(filter: UserFilter, order: 1 | -1, after: number | undefined, limit: number): Promise<number[]> {
    const range =
      order === 1
        ? { from: (after ?? firstUserId - 1) + 1, to: lastUserId }
        : { from: (after ?? lastUserId) - 1, to: firstUserId }
    return this.#searchable.find(filter, { order, ...range, newest: () => this.#newestUserId() }, limit)
  }

  /** Of the nearest thousands of users who may be listed, those who fit the filter, the nearest first. */
  async near(
    place: { longitude: number; latitude: number; metres: number; locatedSince: number },
    filter: Filter<UserDocument>,
    limit: number,
  ): Promise<UserDocument[]> {
    const { longitude, latitude, metres, locatedSince } = place
    const near = { type: 'Point', coordinates: [longitude, latitude] } satisfies Point
    const listed = { status: 1, userType: 0, locatedAt: { $gte: locatedSince }, _id: { $gte: firstUserId } }
    return this.#users
      .aggregate<UserDocument>([
        { $geoNear: { near, maxDistance: metres, key: 'shownLoc', query: listed, distanceField: 'metres' } },
        { $limit: mostLookedAt },
        { $match: filter },
        { $limit: limit },
      ])
      .toArray()
  }

  /** Users who are online, and about how many ordinary users there are. */
  async counts(): Promise<{ online: number; registered: number }> {
    const [online, registered] = await Promise.all([
      this.#users.countDocuments({ 'presence.online': true }),
      this.#searchable.count(),
    ])
    return { online, registered }
  }

  /** Ids above `after` of ordinary users who are not locked, ascending, and about how many there are of all. */
  async ordinaryAfter(after: number, limit: number): Promise<{ userIds: number[]; total: number }> {
    const [userIds, total] = await Promise.all([this.#searchable.idsAfter(after, limit), this.#searchable.count()])
    return { userIds, total }
  }

  /** Makes users who registered before users could be searched searchable. Once is enough. */
  async makeAllSearchable(): Promise<void> {
    const mark = { _id: 'searchable-users', value: 1 }
    if (await this.#counters.findOne({ _id: mark._id })) return
    const found = this.#users.find({ _id: { $gte: firstUserId } }, { batchSize: 500 })
    for (let batch: UserDocument[] = []; ; batch = []) {
      while (batch.length < 500 && (await found.hasNext())) batch.push((await found.next()) as UserDocument)
      if (!batch.length) break
      await this.#searchable.add(batch)
    }
    await this.#counters.updateOne({ _id: mark._id }, { $set: { value: mark.value } }, { upsert: true })
  }

  async grantRole(userId: number, role: number): Promise<void> {
    await this.#users.updateOne({ _id: userId }, { $addToSet: { role } })
  }
}
