import type { EntityOf } from '@im/contracts'
import type { ownUserFields, publicUserFields, SettingValues } from '@im/contracts/user'
import type { Counts } from '../relations/relations.ts'
import type { Telephone } from './telephones.ts'

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

/** A point of GeoJSON, in degrees. */
export interface Point {
  type: 'Point'
  coordinates: [longitude: number, latitude: number]
}

/** What other services know of a user, as answers to logins tell it. */
export interface KnownElsewhere {
  counts: Counts
  /** The running number of their company, 0 without one. */
  companyId: number
}

/** What is kept of it, so that most logins ask nobody. */
export interface KeptElsewhere extends KnownElsewhere {
  /** The value of `elsewhereChanges` when it was asked; it holds while that has not risen. */
  changes: number
  /** ms */
  askedAt: number
}

type StoredFields = EntityOf<typeof publicUserFields> & EntityOf<typeof ownUserFields>

export interface UserDocument extends StoredFields {
  _id: number
  /** System accounts have neither telephone nor user name. */
  telephone?: Telephone
  /** What the user registered with instead of a telephone (config regeditPhoneOrName=1). */
  userName?: string
  /** md5 of account, user name, and area code + number, which mean this user alone. */
  loginNames: string[]
  /** md5 of the number alone, which others have under other area codes. */
  numberNames: string[]
  msgBackGroundUrl?: string
  status: 1 | -1
  isAuth: 0 | 1
  /** Absent: cannot log in by password. `version` rises with every new password, not when a hash is only renewed. */
  password?: { hash: string; version: number }
  payPassword?: { hash: string; sealed?: string }
  settings: SettingValues
  inviteCode?: string
  /** Where the user was, as only they see it. */
  loc?: Point
  /** The same as others see it (positions.ts). They are found and measured by it alone. */
  shownLoc?: Point
  /** Seconds; when `loc` was told. */
  locatedAt?: number
  /** Whether any XMPP resource is there, as of `at` (ms). */
  presence: { online: boolean; at: number }
  /** Seconds; last time the user went offline, 0 never. */
  offlineTime: number
  lastLogin?: LoginRecord
  previousLogin?: LoginRecord
  /** Rises with each login. A login that wrote nothing would not conflict with a password change or a lock in another transaction. */
  logins?: number
  /** What other services told of the user last. */
  elsewhere?: KeptElsewhere
  /** Rises whenever one of them tells that it changed. */
  elsewhereChanges?: number
}
