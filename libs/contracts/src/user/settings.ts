import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { changingParams } from '../fields.ts'
import { Self, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { Settings } from './entities.ts'
import { settingFields } from './setting-fields.ts'

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
      ...changingParams(settingFields),
    }),
    result: Nothing,
  },
})
