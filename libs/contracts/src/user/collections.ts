import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Ignored, Int, Json, List, LongText, PageIndex, PageSizeOrAll, Self, Text } from '../param-types.ts'
import { Nothing, UnixSeconds } from '../result-types.ts'

/** Something that a user keeps: a message, a link, or an emoji (spec 02-user.md, Emoji). */
export const Collected = Type.Object({
  emojiId: Type.String(),
  userId: Type.Integer(),
  type: Type.Integer({ description: '1 image, 2 video, 3 file, 4 voice, 5 text, 6 emoji, 7 link' }),
  url: Type.Optional(Type.String()),
  msg: Type.Optional(Type.String({ description: 'body of the message, or what the app sent' })),
  msgId: Type.Optional(Type.String()),
  roomJid: Type.Optional(Type.String()),
  fileName: Type.Optional(Type.String()),
  fileLength: Type.Integer({ description: 'seconds' }),
  fileSize: Type.Number({ description: 'bytes' }),
  collectType: Type.Integer({ description: '0 message, 1 moments, -1 none' }),
  collectContent: Type.Optional(Type.String()),
  collectMsgId: Type.Optional(Type.String()),
  title: Type.Optional(Type.String()),
  shareURL: Type.Optional(Type.String()),
  createTime: UnixSeconds(),
})

const page = { userId: Self(), pageIndex: PageIndex(), pageSize: PageSizeOrAll() }

export const collections = contract('user', {
  addCollected: {
    path: '/emoji/add',
    aliases: ['/user/emoji/add'],
    summary: { zh: '收藏消息或表情', en: 'Keep messages or emoji' },
    auth: 'user',
    maxBytes: 1024 * 1024,
    params: Type.Object({
      emoji: Type.Optional(Json({ description: 'one object or an array of what is kept; else the fields below' })),
      messageId: Type.Optional(Text({ trim: true, maxLength: 128, description: 'msgId of items without one' })),
      msgId: Type.Optional(List({ item: Text({ maxLength: 128 }), unique: false, maxItems: 100 })),
      type: Type.Optional(List({ item: Int({ minimum: 1, maximum: 7 }), unique: false, maxItems: 100 })),
      roomJid: Type.Optional(Text({ trim: true, maxLength: 64, description: 'absent or 0: single chats' })),
      url: Type.Optional(LongText({ trim: true, maxLength: 4096 })),
      userId: Ignored(),
    }),
    result: Nothing,
    errors: ['AlreadyCollected', 'MessageNotFound', 'NotRoomMember'],
    limits: [{ by: 'user', max: 1000, seconds: 86_400 }],
  },
  listEmoji: {
    path: '/emoji/list',
    aliases: ['/user/emoji/list'],
    summary: { zh: '表情列表', en: 'Own emoji' },
    auth: 'user',
    safe: true,
    params: Type.Object(page),
    result: Type.Array(Collected),
  },
  listCollected: {
    path: '/collection/list',
    aliases: ['/user/collection/list'],
    summary: { zh: '收藏列表', en: 'What the caller keeps, but for emoji' },
    auth: 'user',
    safe: true,
    params: Type.Object({ ...page, type: Int({ default: 0, description: '0: all but emoji' }) }),
    result: Type.Array(Collected),
  },
  deleteCollected: {
    path: '/emoji/delete',
    aliases: ['/user/emoji/delete'],
    summary: { zh: '取消收藏', en: 'Keep no longer' },
    auth: 'user',
    params: Type.Object({ emojiId: List() }),
    result: Nothing,
  },
})
