import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Flag, Int32, RoomRef, Text, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'

const webUrl = () => Text({ trim: true, maxLength: 2048, description: 'address of a web page' })

export const reports = contract('user', {
  report: {
    path: '/user/report',
    summary: { zh: '举报用户、群组或网页', en: 'Report a user, a room or a web page' },
    auth: 'user',
    params: Type.Object({
      toUserId: Type.Optional(UserId()),
      roomId: Type.Optional(RoomRef()),
      webUrl: Type.Optional(webUrl()),
      reason: Int32({ description: 'number that apps show a text for' }),
    }),
    result: Nothing,
    errors: ['UserNotFound', 'RoomNotFound'],
    limits: [{ by: 'user', max: 20, seconds: 86_400 }],
  },
  checkLink: {
    path: '/user/checkReportUrl',
    summary: { zh: '检查网页是否被屏蔽', en: 'Is a web page blocked' },
    auth: 'user',
    safe: true,
    params: Type.Object({ webUrl: webUrl() }),
    result: Nothing,
    errors: ['LinkExpired'],
  },
})

/** The console blocks pages that were reported. */
export const internalReports = contract('user', {
  blockLink: {
    path: '/internal/links/block',
    summary: { zh: '屏蔽或恢复网页', en: 'Block a web page, or allow it again' },
    auth: 'internal',
    params: Type.Object({ webUrl: webUrl(), blocked: Flag({ default: 1 }) }),
    result: Nothing,
  },
})
