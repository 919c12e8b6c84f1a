import { randomInt } from 'node:crypto'
import { defaultsOf } from '@im/contracts'
import { ownUserFields, publicUserFields, type SettingValues, settingFields } from '@im/contracts/user'
import { loginNamesOf } from './login-names.ts'
import type { UserDocument } from './user-document.ts'

interface NewUser extends Partial<Omit<UserDocument, '_id' | 'settings' | 'loginNames' | 'numberNames'>> {
  userId: number
  createTime: number
  settings?: Partial<SettingValues>
}

/** An account in which everything that is not given has its default. `createTime` is in seconds. */
export function newUser(given: NewUser): UserDocument {
  const { userId, createTime, settings, ...more } = given
  const account = more.account ?? `${userId}${randomInt(100_000, 1_000_000)}`
  return {
    _id: userId,
    ...defaultsOf(publicUserFields),
    ...defaultsOf(ownUserFields),
    status: 1,
    nickname: String(userId),
    isAuth: 0,
    presence: { online: false, at: 0 },
    offlineTime: 0,
    createTime,
    ...more,
    settings: { ...defaultsOf(settingFields), ...settings },
    account,
    ...loginNamesOf({ ...more, account }),
  }
}
