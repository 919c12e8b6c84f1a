import { randomInt } from 'node:crypto'
import { loginNamesOf } from './login-names.ts'
import type { Settings, UserDocument } from './user-document.ts'

/** Settings of a new account, below what the stored configuration names. */
export const defaultSettings: Readonly<Settings> = {
  allowAtt: 1,
  allowGreet: 1,
  friendsVerify: 0,
  openService: 0,
  closeTelephoneFind: 0,
  chatRecordTimeOut: -1,
  chatSyncTimeLen: -1,
  groupChatSyncTimeLen: -1,
  isEncrypt: 0,
  isVibration: 1,
  isTyping: 1,
  isUseGoogleMap: 0,
  multipleDevices: 1,
  isKeepalive: 1,
  phoneSearch: 1,
  nameSearch: 1,
  showLastLoginTime: 1,
  showTelephone: 2,
  friendFromList: '1,2,3,4,5',
}

interface NewUser extends Partial<Omit<UserDocument, '_id' | 'settings' | 'loginNames' | 'numberNames'>> {
  userId: number
  createTime: number
  settings?: Partial<Settings>
}

/** An account with everything at its default. `createTime` in seconds. */
export function newUser(given: NewUser): UserDocument {
  const { userId, createTime, settings, ...more } = given
  const account = more.account ?? `${userId}${randomInt(100_000, 1_000_000)}`
  return {
    _id: userId,
    setAccountCount: 0,
    nickname: String(userId),
    userType: 0,
    sex: 0,
    birthday: 0,
    description: '',
    countryId: 0,
    provinceId: 0,
    cityId: 0,
    areaId: 0,
    status: 1,
    level: 0,
    vip: 0,
    isAuth: 0,
    role: [],
    offlineNoPushMsg: 0,
    presence: { online: false, at: 0 },
    offlineTime: 0,
    createTime,
    ...more,
    settings: { ...defaultSettings, ...settings },
    account,
    ...loginNamesOf({ ...more, account }),
  }
}
