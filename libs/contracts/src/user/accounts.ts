import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { makingParams } from '../fields.ts'
import { Double, Flag, Ignored, Int, Pwd, Text, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { AutoLoginResult, LoginResult } from './entities.ts'
import { profileFields } from './profile-fields.ts'

const deviceText = () => Type.Optional(Text({ maxLength: 200, trim: true }))

/** Device and place of a call that makes or renews a session. */
export const deviceParams = {
  serial: Type.Optional(Text({ maxLength: 200, trim: true, aliases: ['serialNumber'] })),
  model: deviceText(),
  osVersion: deviceText(),
  apiVersion: deviceText(),
  appId: deviceText(),
  deviceKey: Type.Optional(Text({ maxLength: 200, trim: true, description: 'android, ios, pc, mac or web' })),
  latitude: Type.Optional(Double()),
  longitude: Type.Optional(Double()),
  location: deviceText(),
}

export const accounts = contract('user', {
  register: {
    path: '/user/register',
    summary: { zh: '用户注册', en: 'Register' },
    auth: 'none',
    params: Type.Object({
      telephone: Text({ trim: true, description: 'number, or user name when regeditPhoneOrName=1' }),
      areaCode: Text({ default: '86', trim: true }),
      password: Pwd(),
      ...makingParams(profileFields),
      userType: Int({ default: 0, description: '0 or 1 ordinary, 2 public account' }),
      isSmsRegister: Flag({ default: 0 }),
      smsCode: Type.Optional(Text({ trim: true })),
      randcode: Type.Optional(Text({ trim: true })),
      verificationCode: Type.Optional(Text({ trim: true })),
      inviteCode: Type.Optional(Text({ trim: true })),
      ...deviceParams,
      area: Ignored(),
      xmppVersion: Ignored(),
      email: Ignored(),
      name: Ignored(),
      w: Ignored(),
      d: Ignored(),
    }),
    result: LoginResult,
    errors: [
      'RegisterClosed',
      'TelephoneInvalid',
      'TelephoneTaken',
      'SmsCodeInvalid',
      'InviteCodeRequired',
      'InviteCodeInvalid',
      'PermissionDenied',
    ],
    limits: [
      { by: 'ip', max: 10, seconds: 3600, counts: 'successes' },
      { by: 'param:serial', max: 3, seconds: 86_400, counts: 'successes' },
      // The answer shows whether somebody has the number, like that of /verify/telephone.
      { by: 'ip', max: 30, seconds: 60 },
    ],
  },
  login: {
    path: '/user/login',
    summary: { zh: '用户登录', en: 'Log in' },
    auth: 'none',
    params: Type.Object({
      telephone: Text({
        trim: true,
        description: 'md5 of number, area code + number or account; or one of them plain',
      }),
      areaCode: Text({ default: '86', trim: true }),
      password: Type.Optional(Pwd()),
      loginType: Int({ default: 0, description: '1: SMS login with verificationCode' }),
      verificationCode: Type.Optional(Text({ trim: true })),
      ...deviceParams,
      address: deviceText(),
      grant_type: Ignored(),
      xmppVersion: Ignored(),
      area: Ignored(),
      userId: Ignored(),
    }),
    result: LoginResult,
    errors: ['AccountNotFound', 'WrongPassword', 'SmsCodeInvalid', 'AccountLocked', 'LoginTooOften'],
  },
  autoLogin: {
    path: '/user/login/auto',
    summary: { zh: '用户自动登录', en: 'Log in with a token' },
    auth: 'none',
    params: Type.Object({
      userId: Type.Optional(UserId()),
      ...deviceParams,
      area: Ignored(),
      xmppVersion: Ignored(),
    }),
    result: AutoLoginResult,
    errors: ['TokenMissing', 'TokenInvalid', 'AccountLocked'],
  },
  logout: {
    path: '/user/logout',
    summary: { zh: '用户注销登录', en: 'Log out' },
    auth: 'user',
    params: Type.Object({
      deviceKey: Ignored({ aliases: ['devicekey'], description: 'ignored: the session knows its device' }),
      telephone: Ignored(),
      areaCode: Ignored(),
      userId: Ignored(),
      serial: Ignored(),
      model: Ignored(),
      osVersion: Ignored(),
    }),
    result: Nothing,
  },
})
