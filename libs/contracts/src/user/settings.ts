import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Days, FlagOrUnchanged, Int, Self, Text, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { Settings } from './entities.ts'

const flag = () => Type.Optional(FlagOrUnchanged())
const viewers = () =>
  Type.Optional(Int({ minimum: -1, maximum: 3, description: '1 all, 2 friends, 3 contacts, -1 nobody' }))
const days = () => Type.Optional(Days())

export const userSettings = contract('user', {
  getSettings: {
    path: '/user/settings',
    summary: { zh: '获取用户设置', en: 'Settings of a user' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Type.Optional(UserId({ description: 'absent or 0: the caller' })) }),
    result: Type.Partial(Settings),
    errors: ['UserNotFound'],
  },
  updateSettings: {
    path: '/user/settings/update',
    summary: { zh: '修改用户设置', en: 'Change settings' },
    auth: 'user',
    params: Type.Object({
      userId: Self(),
      allowAtt: flag(),
      allowGreet: flag(),
      friendsVerify: flag(),
      openService: Type.Optional(Int({ minimum: -1, maximum: 2147483647 })),
      closeTelephoneFind: flag(),
      chatRecordTimeOut: days(),
      chatSyncTimeLen: days(),
      groupChatSyncTimeLen: days(),
      isEncrypt: flag(),
      isVibration: flag(),
      isTyping: flag(),
      isUseGoogleMap: flag(),
      multipleDevices: flag(),
      isKeepalive: flag(),
      phoneSearch: flag(),
      nameSearch: flag(),
      showLastLoginTime: viewers(),
      showTelephone: viewers(),
      friendFromList: Type.Optional(Text({ trim: true, description: 'comma list of 1..5; 0 or -1: none' })),
    }),
    result: Nothing,
  },
})
