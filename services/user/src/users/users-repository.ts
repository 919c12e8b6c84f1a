import { firstUserId, type Settings as SettingsSchema } from '@im/contracts/user'
import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { Static } from 'typebox'
import { TakenNames } from './taken-names.ts'

export type Settings = Static<typeof SettingsSchema>

/** A login as it was recorded; times in seconds. */
export interface LoginRecord {
  loginTime: number
  isupdate: 0 | 1
  serial: string
  model: string
  osVersion: string
  apiVersion: string
  location: string
  address: string
  latitude: number
  longitude: number
}

export interface UserDocument {
  _id: number
  /** System accounts have none of the three. */
  telephone?: string
  phone?: string
  areaCode?: string
  /** Lower-case telephone or user name: what is unique. */
  telephoneKey?: string
  account: string
  accountKey: string
  setAccountCount: 0 | 1
  /** md5 of everything this user may log in with; never leaves the service. */
  loginNames: string[]
  nickname: string
  userType: number
  sex: number
  birthday: number
  description: string
  countryId: number
  provinceId: number
  cityId: number
  areaId: number
  msgBackGroundUrl?: string
  status: 1 | -1
  level: number
  vip: number
  isAuth: 0 | 1
  role: number[]
  /** Seconds. */
  createTime: number
  /** Absent: cannot log in by password. `version` rises with every new password, not when a hash is only renewed. */
  password?: { hash: string; version: number }
  payPassword?: { hash: string; sealed?: string }
  settings: Settings
  offlineNoPushMsg: 0 | 1
  inviteCode?: string
  loc?: { type: 'Point'; coordinates: [longitude: number, latitude: number] }
  /** Whether any XMPP resource is there, as of `at` (ms). */
  presence: { online: boolean; at: number }
  /** Seconds; last time the user went offline, 0 never. */
  offlineTime: number
  lastLogin?: LoginRecord
  previousLogin?: LoginRecord
  /**
   * How many; without it the second of two equal logins would write nothing, and a write of nothing does not conflict with a
   * password change or a lock at the same time.
   */
  logins?: number
}

type TextFields = 'nickname' | 'description' | 'msgBackGroundUrl'
type NumberFields = 'sex' | 'birthday' | 'countryId' | 'provinceId' | 'cityId' | 'areaId'
/** Fields a user changes about himself as he likes. */
export type PlainFields = Partial<Pick<UserDocument, TextFields | NumberFields>>

type AccountFields = 'account' | 'accountKey' | 'setAccountCount' | 'loginNames'
type TelephoneFields = 'telephone' | 'phone' | 'areaCode' | 'telephoneKey' | 'isAuth'
/** All that changes of a profile. */
export type ProfileChange = PlainFields & Partial<Pick<UserDocument, AccountFields | TelephoneFields | 'payPassword'>>

/** Accounts: users, public accounts and the system's own. */
export type Contactable = Pick<UserDocument, 'status' | 'userType' | 'nickname' | 'settings'>

export class UsersRepository {
  readonly #users: Collection<UserDocument>
  readonly #counters: Collection<{ _id: string; value: number }>
  readonly #names: TakenNames

  constructor(db: Db) {
    this.#users = db.collection('users')
    this.#counters = db.collection('counters')
    this.#names = new TakenNames(db)
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#users, [
      // Unique by TakenNames.
      { key: { telephoneKey: 1 }, sparse: true },
      { key: { accountKey: 1 } },
      { key: { loginNames: 1 } },
      { key: { inviteCode: 1 }, unique: true, partialFilterExpression: { inviteCode: { $exists: true } } },
    ])
    await this.#counters.updateOne({ _id: 'userId' }, { $setOnInsert: { value: firstUserId - 1 } }, { upsert: true })
  }

  /** Ids rise and are never used twice; one that was taken for nothing leaves a gap. */
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
  async add(user: UserDocument, { session }: Change): Promise<void> {
    if (user.telephoneKey !== undefined) await this.#names.take('telephone', user.telephoneKey, user._id, session)
    await this.#names.take('account', user.accountKey, user._id, session)
    await this.#users.insertOne(user, { session })
  }

  /** Makes a system account; false when it exists. */
  async addMissing(user: UserDocument): Promise<boolean> {
    const { _id, ...fields } = user
    const { upsertedCount } = await this.#users.updateOne({ _id }, { $setOnInsert: fields }, { upsert: true })
    if (upsertedCount > 0) await this.#names.take('account', user.accountKey, _id)
    return upsertedCount > 0
  }

  async byId(userId: number, change?: Change): Promise<UserDocument | undefined> {
    return (await this.#users.findOne({ _id: userId }, { session: change?.session })) ?? undefined
  }

  /** What others need of users before they write to them. */
  async contactsOf(userIds: readonly number[]): Promise<Map<number, Contactable>> {
    const found = await this.#users
      .find({ _id: { $in: [...userIds] } })
      .project<Contactable & { _id: number }>({ status: 1, userType: 1, nickname: 1, settings: 1 })
      .toArray()
    return new Map(found.map((user) => [user._id, user]))
  }

  async byTelephone(telephone: string): Promise<UserDocument | undefined> {
    return (await this.#users.findOne({ telephoneKey: telephone.toLowerCase() })) ?? undefined
  }

  async byAccount(account: string): Promise<UserDocument | undefined> {
    return (await this.#users.findOne({ accountKey: account.toLowerCase() })) ?? undefined
  }

  async byInviteCode(inviteCode: string): Promise<UserDocument | undefined> {
    return (await this.#users.findOne({ inviteCode })) ?? undefined
  }

  /** Everyone whom one of these md5 login names may mean: one number can exist under several area codes. */
  byLoginNames(names: readonly string[]): Promise<UserDocument[]> {
    return this.#users
      .find({ loginNames: { $in: [...names] } })
      .limit(20)
      .toArray()
  }

  async idsByTelephones(telephones: readonly string[]): Promise<number[]> {
    const keys = telephones.map((telephone) => telephone.toLowerCase())
    const found = await this.#users
      .find({ telephoneKey: { $in: keys } }, { projection: { _id: 1 } })
      .limit(100)
      .toArray()
    return found.map(({ _id }) => _id)
  }

  /**
   * Records a login of a user who is not locked and whose password is still the one that was checked; undefined otherwise.
   * Gives the user as he was before.
   */
  async recordLogin(
    login: { userId: number; passwordVersion: number; record: LoginRecord; position?: [number, number] },
    change: Change,
  ): Promise<UserDocument | undefined> {
    const before = await this.#users.findOne({ _id: login.userId }, { session: change.session })
    if (before?.status !== 1 || (before.password?.version ?? 0) !== login.passwordVersion) return undefined
    const set: Partial<UserDocument> = { lastLogin: login.record }
    if (before.lastLogin) set.previousLogin = before.lastLogin
    if (login.position) set.loc = { type: 'Point', coordinates: login.position }
    await this.#users.updateOne({ _id: login.userId }, { $set: set, $inc: { logins: 1 } }, { session: change.session })
    return before
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

  /** `current` is the user as he is within the change. Throws NameTakenError. */
  async changeProfile(
    current: UserDocument,
    set: ProfileChange,
    { session }: Change,
  ): Promise<UserDocument | undefined> {
    const changes = [
      ['telephone', current.telephoneKey, set.telephoneKey],
      ['account', current.accountKey, set.accountKey],
    ] as const
    for (const [kind, before, after] of changes) {
      if (after === undefined || after === before) continue
      await this.#names.take(kind, after, current._id, session)
      if (before !== undefined) await this.#names.release(kind, before, session)
    }
    const options = { session, returnDocument: 'after' as const }
    return (await this.#users.findOneAndUpdate({ _id: current._id }, { $set: set }, options)) ?? undefined
  }

  async changeSettings(userId: number, changed: Partial<Settings>, change: Change): Promise<UserDocument | undefined> {
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

  /** Presence as of `at` (ms); older news than what is stored changes nothing. */
  async setPresence(userId: number, online: boolean, at: number): Promise<void> {
    const offline = online ? {} : { $max: { offlineTime: Math.floor(at / 1000) } }
    await this.#users.updateOne(
      { _id: userId, 'presence.at': { $lt: at } },
      { $set: { presence: { online, at } }, ...offline },
    )
  }

  async grantRole(userId: number, role: number): Promise<void> {
    await this.#users.updateOne({ _id: userId }, { $addToSet: { role } })
  }
}
