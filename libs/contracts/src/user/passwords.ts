import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Ignored, Pwd, Text } from '../param-types.ts'
import { Nothing } from '../result-types.ts'

export const passwords = contract('user', {
  updatePassword: {
    path: '/user/password/update',
    summary: { zh: '修改登录密码', en: 'Change the password' },
    auth: 'user',
    params: Type.Object({ oldPassword: Pwd(), newPassword: Pwd(), telephone: Ignored(), areaCode: Ignored() }),
    result: Nothing,
    errors: ['WrongOldPassword', 'LoginTooOften'],
  },
  resetPassword: {
    path: '/user/password/reset',
    summary: { zh: '重置登录密码', en: 'Reset the password' },
    auth: 'none',
    params: Type.Object({
      telephone: Text({ trim: true }),
      areaCode: Text({ default: '86', trim: true }),
      randcode: Text({ trim: true }),
      newPassword: Pwd(),
    }),
    result: Nothing,
    errors: ['AccountNotFound', 'SmsCodeInvalid'],
    // The answer shows whether somebody has the number, like that of /verify/telephone.
    limits: [{ by: 'user-or-ip', max: 30, seconds: 60 }],
  },
})
