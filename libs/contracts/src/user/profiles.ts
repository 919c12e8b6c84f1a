import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { FlagOrUnchanged, Ignored, Int, Int32, Pwd, Text, Time, UserId, UserRef } from '../param-types.ts'
import { FlagResult } from '../result-types.ts'
import { User } from './entities.ts'

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
      nickname: Type.Optional(Text({ trim: true, minLength: 1, maxLength: 32 })),
      sex: Type.Optional(Int({ minimum: 0, maximum: 1 })),
      birthday: Type.Optional(Time()),
      description: Type.Optional(Text({ maxLength: 200, empty: 'blank-clears', description: 'one blank clears it' })),
      countryId: Type.Optional(Int32()),
      provinceId: Type.Optional(Int32()),
      cityId: Type.Optional(Int32()),
      areaId: Type.Optional(Int32()),
      msgBackGroundUrl: Type.Optional(Text({ trim: true, maxLength: 2048 })),
      account: Type.Optional(Text({ trim: true })),
      telephone: Type.Optional(Text({ trim: true, description: 'a new number needs randcode' })),
      areaCode: Type.Optional(Text({ trim: true })),
      randcode: Type.Optional(Text({ trim: true })),
      userType: Type.Optional(Int()),
      payPassword: Type.Optional(Pwd()),
      multipleDevices: Type.Optional(FlagOrUnchanged()),
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
