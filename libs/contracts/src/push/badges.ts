import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Int, UserId } from '../param-types.ts'
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

/** Asked by the user service, which shows it to its owner as `User.msgNum`. */
export const internalBadges = contract('push', {
  getBadge: {
    path: '/internal/badges/of',
    summary: { zh: '用户的角标数', en: 'The number on the icon of the apps of a user' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userId: UserId() }),
    result: Type.Object({ count: Type.Integer({ description: '0: nothing was pushed since the last login' }) }),
  },
})
