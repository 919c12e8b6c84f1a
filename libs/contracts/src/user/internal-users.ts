import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Flag, Int, List, PageSize, Pwd, Text, UserId } from '../param-types.ts'
import { replayOf } from '../replay.ts'
import { FlagResult, Milliseconds, Nothing, UnixSeconds } from '../result-types.ts'

/** Asked by the XMPP server. */
export const xmppAccounts = contract('user', {
  authenticate: {
    path: '/internal/xmpp/auth',
    summary: { zh: 'XMPP 登录校验', en: 'Check an XMPP login' },
    auth: 'internal',
    params: Type.Object({
      userId: UserId(),
      password: Text({ description: 'access token of this user, or md5 hex of the password' }),
      ip: Type.Optional(Text({ trim: true, maxLength: 64 })),
    }),
    result: Type.Object(
      {
        session: Type.Optional(
          Type.String({
            description: 'SHA-256 hex of the access token that was the password, or the family of its refresh tokens',
          }),
        ),
        passwordVersion: Type.Optional(Type.Integer({ description: 'version of the login password that was right' })),
      },
      { description: 'one of the two: what the stream stands for and ends with' },
    ),
    errors: ['AccountNotFound', 'WrongPassword', 'AccountLocked', 'LoginTooOften'],
  },
  getXmppUser: {
    path: '/internal/xmpp/user',
    summary: { zh: 'XMPP 用户状态', en: 'State of a user for XMPP' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userId: UserId() }),
    result: Type.Object({
      exists: FlagResult(),
      status: Type.Integer({ description: '1 normal, -1 locked or unknown' }),
    }),
  },
})

/** Asked by the gateway. */
export const internalSessions = contract('user', {
  resolveSession: {
    path: '/internal/sessions/resolve',
    summary: { zh: '解析会话', en: 'Resolve a session' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      sessionId: Text({ trim: true, maxLength: 64, description: 'SHA-256 hex of the access token' }),
      fresh: Flag({ default: 0, description: '1: read the role too, and renew a session of the console or of mp' }),
    }),
    result: Type.Object({
      exists: FlagResult(),
      session: Type.Optional(
        Type.Object({
          userId: Type.Integer(),
          device: Type.String(),
          kind: Type.Enum(['user', 'console', 'mp']),
          role: Type.Optional(
            Type.Integer({ description: 'highest role of the user now, 0 without one; with fresh=1' }),
          ),
          expiresAt: Milliseconds(),
        }),
      ),
    }),
  },
})

const contact = {
  exists: FlagResult(),
  status: Type.Integer({ description: '1 normal, -1 locked or unknown' }),
  userType: Type.Integer(),
  allowGreet: FlagResult(),
  multipleDevices: FlagResult(),
  nickname: Type.String(),
}

/** What other services keep of a user. */
export const UserRow = Type.Object({
  userId: Type.Integer(),
  nickname: Type.String(),
  account: Type.String(),
  telephone: Type.String({ description: 'area code + number; empty for system accounts' }),
  userType: Type.Integer(),
  locked: Type.Boolean(),
  offlineNoPushMsg: FlagResult({ description: '1: no push notifications at all' }),
  registeredAt: UnixSeconds(),
})

/** Asked by services that keep something of each user, once, before they follow the events. */
export const replayedUsers = contract('user', {
  pageUsers: {
    path: '/internal/users/page',
    summary: { zh: '全部用户', en: 'All users, page by page' },
    ...replayOf(UserRow),
  },
})

/** Asked by the push service, for broadcasts to all. */
export const ordinaryUsers = contract('user', {
  pageOrdinaryUsers: {
    path: '/internal/users/ordinary',
    summary: { zh: '全部普通用户的 userId', en: 'Ids of all ordinary users who are not locked, page by page' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ after: Int({ default: 0, minimum: 0 }), pageSize: PageSize(500) }),
    result: Type.Object({
      userIds: Type.Array(Type.Integer(), { description: 'above `after`, ascending' }),
      total: Type.Integer({ description: 'about so many there are' }),
    }),
  },
})

/** Asked by other services and by operators' tools. */
export const internalUsers = contract('user', {
  getContact: {
    path: '/internal/users/contact',
    summary: { zh: '用户联系信息', en: 'Contact card of a user' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userId: UserId() }),
    result: Type.Object(contact),
  },
  getContacts: {
    path: '/internal/users/contacts',
    summary: { zh: '多个用户的联系信息', en: 'Contact cards of users' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userIds: List({ item: UserId(), maxItems: 500 }) }),
    result: Type.Object({
      contacts: Type.Array(Type.Object({ userId: Type.Integer(), ...contact }), { description: 'one for each id' }),
    }),
  },
  setLocked: {
    path: '/internal/users/lock',
    summary: { zh: '锁定或解锁用户', en: 'Lock or unlock a user' },
    auth: 'internal',
    params: Type.Object({ userId: UserId(), locked: Flag() }),
    result: Nothing,
    errors: ['UserNotFound', 'SystemAccountProtected'],
  },
  deleteUser: {
    path: '/internal/users/delete',
    summary: { zh: '删除用户', en: 'Delete a user' },
    auth: 'internal',
    params: Type.Object({ userId: UserId() }),
    result: Nothing,
    errors: ['UserNotFound', 'SystemAccountProtected'],
  },
  seed: {
    path: '/internal/users/seed',
    summary: { zh: '创建系统帐号和管理员', en: 'Make system accounts and the administrator' },
    auth: 'internal',
    params: Type.Object({
      telephone: Type.Optional(Text({ trim: true, description: 'of the administrator, else CONSOLE_ADMIN_TELEPHONE' })),
      password: Type.Optional(Pwd({ description: 'of the administrator, else CONSOLE_ADMIN_PASSWORD' })),
    }),
    errors: ['TelephoneTaken', 'TelephoneInvalid'],
    result: Type.Object({ adminMade: FlagResult({ description: '1: the administrator was made by this call' }) }),
  },
})
