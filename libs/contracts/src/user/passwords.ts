import { Type } from 'typebox'
import { contract, type RateLimit } from '../contract.ts'
import { Ignored, Pwd, Text } from '../param-types.ts'
import { Nothing } from '../result-types.ts'

/** Guesses at a pay password count together, wherever they are made. */
export const payPasswordGuesses = {
  by: 'user',
  max: 5,
  seconds: 900,
  counts: 'failures',
  group: 'pay-password',
} as const satisfies RateLimit

/** Each call costs a hash, the right ones too. */
const payPasswordCalls = { by: 'user', max: 30, seconds: 60 } as const satisfies RateLimit

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
  checkPayPassword: {
    path: '/user/checkPayPassword',
    summary: { zh: '校验支付密码', en: 'Check the pay password' },
    auth: 'user',
    params: Type.Object({ payPassword: Pwd() }),
    result: Nothing,
    errors: ['PayPasswordNotSet', 'PayPasswordWrong'],
    limits: [payPasswordGuesses, payPasswordCalls],
  },
  updatePayPassword: {
    path: '/user/update/payPassword',
    summary: { zh: '设置或修改支付密码', en: 'Set or change the pay password' },
    auth: 'user',
    params: Type.Object({
      payPassword: Pwd(),
      oldPayPassword: Type.Optional(Pwd({ description: 'required once one is set' })),
    }),
    result: Nothing,
    errors: ['PayPasswordWrong'],
    limits: [payPasswordGuesses, payPasswordCalls],
  },
})
