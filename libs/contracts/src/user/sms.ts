import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Flag, Ignored, Int, Text } from '../param-types.ts'
import { Nothing, Raw } from '../result-types.ts'

const areaCode = () => Text({ default: '86', trim: true })

export const smsCodes = contract('user', {
  sendSms: {
    path: '/basic/randcode/sendSms',
    summary: { zh: '发送短信验证码', en: 'Send an SMS code' },
    auth: 'none',
    params: Type.Object({
      telephone: Text({ trim: true, description: 'number without area code' }),
      areaCode: areaCode(),
      language: Text({ default: 'zh' }),
      isRegister: Flag({ default: 1, description: '1 registration, 0 every other purpose' }),
      imgCode: Type.Optional(Text({ trim: true })),
      version: Ignored(),
    }),
    result: Type.Object({ code: Type.String({ description: 'empty, or the code with SMS_ECHO_CODE=true' }) }),
    errors: [
      'TelephoneInvalid',
      'ImageCodeMissing',
      'ImageCodeWrong',
      'TelephoneTaken',
      'AccountNotFound',
      'SmsTooFrequent',
      'SmsSendFailed',
    ],
  },
  verifyTelephone: {
    path: '/verify/telephone',
    summary: { zh: '验证手机号是否注册', en: 'Is a number registered' },
    auth: 'none',
    safe: true,
    params: Type.Object({
      telephone: Text({ trim: true, description: 'number, or user name when regeditPhoneOrName=1' }),
      areaCode: areaCode(),
      verifyType: Int({ default: 0, description: '0: success when free, 1: success when registered' }),
    }),
    result: Nothing,
    errors: ['Failed', 'TelephoneInvalid'],
    limits: [{ by: 'user-or-ip', max: 30, seconds: 60 }],
  },
  getImgCode: {
    path: '/getImgCode',
    summary: { zh: '获取图形验证码', en: 'Image code' },
    auth: 'none',
    signature: 'none',
    params: Type.Object({ telephone: Text({ trim: true, description: 'area code + number' }) }),
    result: Raw('image/png'),
    errors: ['TelephoneInvalid'],
    limits: [{ by: 'user-or-ip', max: 30, seconds: 60 }],
  },
})
