import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { MessageRow } from '../message/entities.ts'
import {
  Int,
  Int32,
  List,
  LongId,
  LongText,
  Name,
  PageIndex,
  PageSize,
  Prose,
  Pwd,
  Text,
  UserId,
} from '../param-types.ts'
import { Maybe, Nothing, PageVO, UnixSeconds } from '../result-types.ts'
import { Menu } from './entities.ts'

/** Pages of a public account (spec 08-public-accounts.md, transport.md §7). The session's user is the account. */
const ofAccount = { auth: 'mp', site: 'mp', signature: 'none' } as const
const page = (size: number, most = 200) => ({ pageIndex: PageIndex(), pageSize: PageSize(size, most) })
/** Rows of a page of messages: each may have 64 KiB of text, which a row repeats. */
const mostMessages = 50

export const accountSession = contract('social', {
  showLogin: {
    path: '/mp/login',
    methods: ['GET'],
    summary: { zh: '公众号登录页', en: 'Login page' },
    auth: 'none',
    site: 'mp',
    safe: true,
    signature: 'none',
    params: Type.Object({}),
    result: Nothing,
  },
  logIn: {
    path: '/mp/login',
    methods: ['POST'],
    summary: { zh: '公众号登录', en: 'Log in to the pages of a public account' },
    auth: 'none',
    site: 'mp',
    page: '/mp/home',
    signature: 'none',
    params: Type.Object({
      username: Text({ maxLength: 64, trim: true, description: 'telephone, account or userId' }),
      areaCode: Text({ default: '86', trim: true, maxLength: 8 }),
      password: Pwd(),
    }),
    result: Type.Object({
      access_token: Type.String(),
      expires_in: Type.Integer({ description: 'seconds after the last use' }),
      userId: Type.Integer(),
      nickname: Type.String(),
      csrfToken: Type.String({ description: 'X-CSRF-Token of changes that are known by the cookie' }),
    }),
    errors: ['WrongPassword', 'NotPublicAccount', 'AccountLocked', 'LoginTooOften'],
  },
  logOut: {
    ...ofAccount,
    path: '/mp/logout',
    page: '/mp/login',
    summary: { zh: '公众号退出登录', en: 'Log out' },
    params: Type.Object({}),
    result: Nothing,
  },
  showHome: {
    ...ofAccount,
    path: '/mp/home',
    safe: true,
    summary: { zh: '公众号首页', en: 'What waits for the account' },
    params: Type.Object({}),
    result: Type.Object({
      userId: Type.Integer(),
      nickname: Type.String(),
      msgCount: Type.Integer({ description: 'unread messages, at most 20,000' }),
      userCount: Type.Integer({ description: 'who wrote them' }),
      fansCount: Type.Integer(),
    }),
  },
})

export const accountMenus = contract('social', {
  listOwnMenus: {
    ...ofAccount,
    path: '/mp/menuList',
    safe: true,
    summary: { zh: '公众号菜单列表', en: 'Menus of the account' },
    params: Type.Object({}),
    result: Type.Array(Menu),
  },
  changeMenu: {
    ...ofAccount,
    path: '/mp/menu/:op',
    page: '/mp/menuList',
    summary: { zh: '保存、删除公众号菜单', en: 'Save or delete a menu; those below a menu go with it' },
    params: Type.Object({
      op: Text({ maxLength: 16, pattern: '^(save|delete)$', description: 'save, delete' }),
      id: Type.Optional(LongId({ description: 'delete: which; save: the one to change' })),
      name: Type.Optional(Name({ maxLength: 32, trim: true, description: 'needed by save' })),
      url: Text({ default: '', maxLength: 1024, description: 'http, https or without scheme' }),
      parentId: LongId({ default: '0' }),
      index: Int32({ default: 0 }),
      desc: Type.Optional(Prose({ maxLength: 256 })),
      menuId: Type.Optional(Text({ maxLength: 64, trim: true, description: 'command that is sent instead of url' })),
    }),
    result: Maybe(Menu),
    errors: ['MenuNotFound'],
  },
})

export const accountFans = contract('social', {
  listAccountFans: {
    ...ofAccount,
    path: '/mp/fans',
    safe: true,
    summary: { zh: '公众号粉丝', en: 'Fans, the newest first' },
    params: Type.Object(page(10)),
    result: PageVO(
      Type.Object({
        userId: Type.Integer({ description: 'the account' }),
        toUserId: Type.Integer({ description: 'the fan' }),
        toNickname: Type.String(),
        time: UnixSeconds(),
        status: Type.Integer({ description: '1 follows, 2 friends' }),
      }),
    ),
  },
  deleteFan: {
    ...ofAccount,
    path: '/mp/fans/delete',
    page: '/mp/fans',
    summary: { zh: '删除粉丝', en: 'Remove a fan' },
    params: Type.Object({ toUserId: UserId() }),
    result: Nothing,
    errors: ['NotFriends'],
  },
})

export const accountMessages = contract('social', {
  listWriters: {
    ...ofAccount,
    path: '/mp/msg',
    safe: true,
    summary: { zh: '用户来信列表', en: 'Who wrote to the account, the newest first' },
    params: Type.Object(page(15, mostMessages)),
    result: PageVO(
      Type.Object({
        sender: Type.Integer(),
        receiver: Type.Integer(),
        nickname: Type.String({ description: 'of the sender' }),
        count: Type.Integer({ description: 'unread' }),
        content: Type.String({ description: 'cut where it is longer than 4000 characters' }),
        body: Type.String({ description: 'the message JSON, its long members cut or left out' }),
        type: Type.Integer({ description: 'type code' }),
        isEncrypt: Type.Integer({ minimum: 0, maximum: 1 }),
        messageId: Type.String(),
        timeSend: Type.Number({ description: 'seconds' }),
      }),
    ),
  },
  listChat: {
    ...ofAccount,
    path: '/mp/msg/list',
    safe: true,
    summary: {
      zh: '与某用户的消息, 随即视为已读 (凭 cookie 调用时须带 X-CSRF-Token); 消息很长时一页行数较少, 下一页接着其后',
      en: 'Messages with a user, newest first; they count as read (by a cookie only with X-CSRF-Token). Of very long ones a page has fewer, and the next one goes on behind them',
    },
    params: Type.Object({ toUserId: UserId(), ...page(15, mostMessages) }),
    result: PageVO(MessageRow),
  },
  showReply: {
    ...ofAccount,
    path: '/mp/msg/reply',
    safe: true,
    summary: { zh: '回复页', en: 'Page for an answer' },
    params: Type.Object({ toUserId: Type.Optional(UserId({ description: 'InvalidParams without one' })) }),
    result: Type.Object({ toUserId: Type.Integer(), nickname: Type.String() }),
    errors: ['UserNotFound'],
  },
  sendReply: {
    ...ofAccount,
    path: '/mp/msg/send',
    page: '/mp/msg',
    summary: { zh: '回复用户', en: 'Write to a fan, or to somebody who wrote before' },
    params: Type.Object({
      toUserId: UserId(),
      body: LongText({ description: 'text, address of an image, or an article as JSON' }),
      type: Int({ default: 1, description: '1 text, 2 image, 80 article' }),
    }),
    result: Nothing,
    errors: ['NotFriends'],
  },
})

const toFans = {
  ...ofAccount,
  page: '/mp/broadcasts',
  result: Type.Object({ count: Type.Integer({ description: 'fans; it is sent in the background' }) }),
  limits: [{ by: 'user', max: 10, seconds: 3600, group: 'mp-broadcasts', counts: 'successes' }],
} as const

const address = (description: string) => Text({ maxLength: 1024, description })
/** Lists that belong to each other by position. */
const column = (maxLength: number, description: string) => {
  const options = { minItems: 1, maxItems: 8, unique: false, commas: false, empty: 'kept', description } as const
  return List({ item: Text({ maxLength }), ...options })
}

/** Messages to all fans. `/mp/broadcasts` (push) tells how far they have come. */
export const accountSends = contract('social', {
  showArticle: {
    ...ofAccount,
    path: '/mp/push',
    safe: true,
    summary: { zh: '单图文页', en: 'Page for one article' },
    params: Type.Object({}),
    result: Nothing,
  },
  showArticles: {
    ...ofAccount,
    path: '/mp/many',
    safe: true,
    summary: { zh: '多图文页', en: 'Page for several articles' },
    params: Type.Object({}),
    result: Nothing,
  },
  sendTextToAll: {
    ...toFans,
    path: '/mp/textToAll',
    summary: { zh: '群发文字', en: 'Send a text to all fans' },
    params: Type.Object({ title: Text({ maxLength: 4000 }) }),
  },
  sendArticleToAll: {
    ...toFans,
    path: '/mp/pushToAll',
    summary: { zh: '群发单图文', en: 'Send an article to all fans' },
    params: Type.Object({
      title: Text({ maxLength: 256 }),
      sub: Text({ maxLength: 1024 }),
      img: address('http, https or without scheme'),
      url: address('http, https or without scheme'),
    }),
  },
  sendArticlesToAll: {
    ...toFans,
    path: '/mp/manyToAll',
    summary: { zh: '群发多图文', en: 'Send several articles to all fans' },
    params: Type.Object({
      title: column(256, 'rows that are blank in all three lists are left out'),
      url: column(1024, 'as many as titles'),
      img: column(1024, 'as many as titles'),
    }),
  },
})

/** What an account answers by itself. */
export const AccountReplies = Type.Object({
  welcome: Type.String({ description: 'text for who begins to follow; empty: none' }),
  replies: Type.Array(
    Type.Object({
      id: Type.String(),
      words: Type.Array(Type.String()),
      match: Type.Integer({ description: '0 the text contains a word, 1 it is one' }),
      content: Type.String(),
    }),
    { description: 'the first that fits is sent' },
  ),
})

/** Replies of one account. */
export const mostReplies = 50

export const accountReplies = contract('social', {
  showReplies: {
    ...ofAccount,
    path: '/mp/replies',
    safe: true,
    summary: { zh: '自动回复', en: 'What the account answers by itself' },
    params: Type.Object({}),
    result: AccountReplies,
  },
  changeReplies: {
    ...ofAccount,
    path: '/mp/replies/:op',
    page: '/mp/replies',
    summary: { zh: '设置欢迎语和关键词回复', en: 'Set the welcome text; save or delete a reply to words' },
    params: Type.Object({
      op: Text({ maxLength: 16, pattern: '^(welcome|save|delete)$', description: 'welcome, save, delete' }),
      id: Type.Optional(Text({ maxLength: 32, trim: true, description: 'delete: which; save: the one to change' })),
      words: Type.Optional(List({ item: Text({ maxLength: 64 }), maxItems: 20, description: 'needed by save' })),
      match: Int({ default: 0, minimum: 0, maximum: 1, description: '0 contains, 1 the whole text' }),
      content: Type.Optional(
        Text({ maxLength: 2000, description: 'needed by save; welcome: the text, absent to end it' }),
      ),
    }),
    result: AccountReplies,
    errors: ['ReplyNotFound'],
  },
})
