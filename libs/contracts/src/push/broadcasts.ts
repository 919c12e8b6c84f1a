import { type Static, Type } from 'typebox'
import { contract } from '../contract.ts'
import { Int, JsonOf, LongText, Oid, PageIndex, PageSize, Text, UserId } from '../param-types.ts'
import { PageVO, UnixSeconds } from '../result-types.ts'

/** One message for many, and how far it has come. */
export const Broadcast = Type.Object({
  id: Type.String(),
  fromUserId: Type.Integer({ description: 'the account' }),
  audience: Type.Enum(['fans', 'users'], { description: 'followers of the account, or all ordinary users' }),
  type: Type.Integer({ description: 'type code of the message' }),
  content: Type.String({ description: 'the first 200 characters' }),
  state: Type.Enum(['running', 'paused', 'done', 'canceled']),
  of: Type.Integer({ description: 'receivers when it was made' }),
  done: Type.Integer({ description: 'receivers who have it' }),
  failed: Type.Integer({ description: 'receivers to whom it could not be sent' }),
  createTime: UnixSeconds(),
  endTime: UnixSeconds({ description: 'seconds, 0 while it runs' }),
})
export type Broadcast = Static<typeof Broadcast>

const ofAccount = { auth: 'mp', site: 'mp', signature: 'none' } as const
const ofConsole = { auth: { console: 5 }, site: 'console', signature: 'none' } as const
const list = {
  safe: true,
  params: Type.Object({ pageIndex: PageIndex(), pageSize: PageSize(10, 200) }),
  result: PageVO(Broadcast),
} as const
const change = {
  params: Type.Object({
    op: Text({ maxLength: 16, pattern: '^(pause|resume|cancel)$', description: 'pause, resume, cancel' }),
    id: Oid({ notFound: 'BroadcastNotFound' }),
  }),
  result: Broadcast,
  errors: ['BroadcastNotFound'],
} as const

/** Broadcasts of a public account. `/mp/textToAll` and its like make them. */
export const accountBroadcasts = contract('push', {
  listAccountBroadcasts: {
    path: '/mp/broadcasts',
    summary: { zh: '公众号群发列表', en: 'Broadcasts of the account, the newest first' },
    ...ofAccount,
    ...list,
  },
  changeAccountBroadcast: {
    path: '/mp/broadcasts/:op',
    summary: { zh: '暂停、继续、取消群发', en: 'Pause, resume or cancel a broadcast' },
    page: '/mp/broadcasts',
    ...ofAccount,
    ...change,
  },
})

/** Broadcasts to all users, and all broadcasts, for the console (spec 10-console.md). */
export const consoleBroadcasts = contract('push', {
  pushToAll: {
    path: '/console/pushToAll',
    summary: { zh: '群发消息给全部用户', en: 'Send a message to all users' },
    ...ofConsole,
    page: '/console/broadcasts',
    audit: true,
    params: Type.Object({
      fromUserId: UserId({ description: '10000, 10005 or a public account' }),
      body: LongText({ description: 'a text, or a message body as JSON with type 1, 2, 3, 6, 9, 80 or 81' }),
    }),
    result: Type.Object({ count: Type.Integer({ description: 'receivers' }) }),
  },
  listBroadcasts: {
    path: '/console/broadcasts',
    summary: { zh: '群发列表', en: 'All broadcasts, the newest first' },
    ...ofConsole,
    ...list,
  },
  changeBroadcast: {
    path: '/console/broadcasts/:op',
    summary: { zh: '暂停、继续、取消群发', en: 'Pause, resume or cancel a broadcast' },
    page: '/console/broadcasts',
    audit: true,
    ...ofConsole,
    ...change,
  },
})

/** Asked by the social service, which knows who follows an account. */
export const internalBroadcasts = contract('push', {
  createBroadcast: {
    path: '/internal/broadcasts/create',
    summary: { zh: '创建群发任务', en: 'Send a message to all who follow an account' },
    auth: 'internal',
    safe: true,
    maxBytes: 1024 * 1024,
    params: Type.Object({
      id: Oid({ description: 'making it again under this id changes nothing' }),
      fromUserId: UserId(),
      fromUserName: Text({ default: '', maxLength: 256 }),
      type: Int({ minimum: 1, maximum: 999 }),
      content: LongText(),
      more: Type.Optional(JsonOf(Type.Record(Type.String(), Type.Unknown()))),
      of: Int({ minimum: 0, description: 'followers now' }),
      until: Int({ minimum: 0, description: 'seconds: who follows later gets nothing' }),
    }),
    result: Broadcast,
  },
})
