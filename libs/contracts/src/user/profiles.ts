import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { changingParams } from '../fields.ts'
import { Ignored, Int, Pwd, Text, UserId, UserRef } from '../param-types.ts'
import { FlagResult } from '../result-types.ts'
import { User } from './entities.ts'
import { profileFields } from './profile-fields.ts'
import { settingFields } from './setting-fields.ts'

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
  },
  getUserByAccount: {
    path: '/user/getByAccount',
    summary: { zh: '根据通讯号获取用户资料', en: 'Profile by account name' },
    auth: 'user',
    safe: true,
    params: Type.Object({ account: Text({ trim: true, description: 'account; digits only: userId too' }) }),
    result: User,
    errors: ['AccountUnknown'],
    limits: [{ by: 'user-or-ip', max: 30, seconds: 60 }],
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
