import type { Settings as SettingsSchema } from '@im/contracts/user'
import type { Static } from 'typebox'
import type { Telephone } from './telephones.ts'

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
  /** System accounts have neither telephone nor user name. */
  telephone?: Telephone
  /** What was registered with in the place of a telephone (config regeditPhoneOrName=1). */
  userName?: string
  account: string
  setAccountCount: 0 | 1
  /** md5 of what names this user alone: account, user name, area code + number. */
  loginNames: string[]
  /** md5 of the number alone, which others have under other area codes. */
  numberNames: string[]
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
  /** Counts logins, so that each one writes: a login that wrote nothing would not conflict with a password change or a lock. */
  logins?: number
}
