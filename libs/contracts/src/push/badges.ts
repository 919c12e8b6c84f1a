import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Int } from '../param-types.ts'
import { Nothing } from '../result-types.ts'

/** The number on the icon of the app. */
export const badges = contract('push', {
  setBadge: {
    path: '/user/changeMsgNum',
    summary: { zh: '设置角标数', en: 'Set the number on the icon of the app' },
    auth: 'user',
    params: Type.Object({ num: Int({ minimum: 0, maximum: 2 ** 31 - 1 }) }),
    result: Nothing,
  },
})
