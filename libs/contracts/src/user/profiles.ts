import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { changingParams } from '../fields.ts'
import { Flag, Ignored, Int, Pwd, Text, UserId, UserRef } from '../param-types.ts'
import { FlagResult } from '../result-types.ts'
import { User } from './entities.ts'
import { profileFields } from './profile-fields.ts'
import { settingFields } from './setting-fields.ts'

/** By account, of either endpoint, so that nobody can try out many (transport.md §8). Apps ask for many users by their ids. */
const accountLookups = { by: 'user-or-ip', max: 30, seconds: 60, group: 'account lookups' } as const
/** Ids have at most ten digits, perhaps with a fraction. */
const notUserId = '[^\\d.]|\\d{11}'

export const profiles = contract('user', {
  getUser: {
    path: '/user/get',
    summary: { zh: '获取用户资料', en: 'Profile of a user' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      userId: Type.Optional(UserRef({ description: 'userId or account; absent or 0: the caller' })),
    }),
    result: User,
    errors: ['UserNotFound'],
    limits: [{ ...accountLookups, where: { param: 'userId', matches: notUserId } }],
  },
  getUserByAccount: {
    path: '/user/getByAccount',
    summary: { zh: '根据通讯号获取用户资料', en: 'Profile by account name' },
    auth: 'user',
    safe: true,
    params: Type.Object({ account: Text({ trim: true, description: 'account; digits only: userId too' }) }),
    result: User,
    errors: ['AccountUnknown'],
    limits: [accountLookups],
  },
  updateUser: {
    path: '/user/update',
    summary: { zh: '修改用户资料', en: 'Change the profile' },
    auth: 'user',
    params: Type.Object({
      ...changingParams(profileFields),
      msgBackGroundUrl: Type.Optional(Text({ trim: true, maxLength: 2048 })),
      account: Type.Optional(Text({ trim: true })),
      telephone: Type.Optional(Text({ trim: true, description: 'a new number needs randcode' })),
      areaCode: Type.Optional(Text({ trim: true })),
      randcode: Type.Optional(Text({ trim: true })),
      userType: Type.Optional(Int()),
      payPassword: Type.Optional(Pwd()),
      multipleDevices: Type.Optional(settingFields.multipleDevices.param),
      password: Ignored(),
    }),
    result: User,
    errors: [
      'AccountTaken',
      'AccountChangedBefore',
      'SmsCodeInvalid',
      'TelephoneInvalid',
      'TelephoneTaken',
      'PermissionDenied',
      'PayPasswordWrong',
    ],
  },
  updateDoNotDisturb: {
    path: '/user/update/OfflineNoPushMsg',
    summary: { zh: '设置全局消息免打扰', en: 'Switch all push notifications off or on' },
    auth: 'user',
    params: Type.Object({ offlineNoPushMsg: Flag() }),
    result: User,
  },
  getOnlineState: {
    path: '/user/getOnLine',
    summary: { zh: '获取用户在线状态', en: 'Online state of a user' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Type.Optional(UserId({ description: 'absent: the caller' })) }),
    result: FlagResult(),
    errors: ['UserNotFound'],
  },
})
