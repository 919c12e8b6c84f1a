import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Pwd, Text } from '../param-types.ts'
import { Nothing } from '../result-types.ts'

/** How many seconds a session of our own pages lives after its last use (spec 08-public-accounts.md, 10-console.md). */
export const pageSessionSeconds = 1800

/** Asked by the social service, which has the pages of public accounts. Passwords and sessions are the user service's. */
export const internalPageSessions = contract('user', {
  openAccountSession: {
    path: '/internal/page-sessions/open',
    summary: { zh: '公众号登录', en: 'Check the password of a public account and open a session of its pages' },
    auth: 'internal',
    params: Type.Object({
      username: Text({ maxLength: 64, trim: true, description: 'telephone, account or userId' }),
      areaCode: Text({ default: '86', trim: true, maxLength: 8 }),
      password: Pwd(),
      ip: Text({ trim: true, maxLength: 64, description: 'of the browser' }),
    }),
    result: Type.Object({
      accessToken: Type.String(),
      userId: Type.Integer(),
      nickname: Type.String(),
    }),
    errors: ['WrongPassword', 'NotPublicAccount', 'AccountLocked', 'LoginTooOften'],
  },
  endPageSession: {
    path: '/internal/page-sessions/end',
    summary: { zh: '结束页面会话', en: 'End a session of our own pages' },
    auth: 'internal',
    params: Type.Object({ sessionId: Text({ trim: true, maxLength: 64, description: 'SHA-256 hex of the token' }) }),
    result: Nothing,
  },
})
