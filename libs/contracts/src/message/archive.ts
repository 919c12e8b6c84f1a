import { Type } from 'typebox'
import { contract } from '../contract.ts'
import {
  Flag,
  Int,
  List,
  LongText,
  PageIndex,
  PageSize,
  PageSizeOrAll,
  RoomRef,
  Text,
  Time,
  UserId,
} from '../param-types.ts'
import { FlagResult, Nothing } from '../result-types.ts'
import { LastChat, MessageRow, RoomRow } from './entities.ts'

/** The history of messages, and what users may do with theirs (spec 07-message.md). */
export const archive = contract('message', {
  listLastChats: {
    path: '/tigase/getLastChatList',
    summary: { zh: '获取最近的聊天列表', en: 'Last chats' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      startTime: Time({ default: 0, fraction: true }),
      endTime: Time({ default: 0, fraction: true }),
      pageIndex: PageIndex(),
      pageSize: PageSizeOrAll(),
    }),
    result: Type.Array(LastChat),
  },
  listSingleHistory: {
    path: '/tigase/shiku_msgs',
    summary: { zh: '获取单聊漫游消息', en: 'History of a single chat' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      receiver: UserId({ description: 'the peer' }),
      startTime: Time({ default: 0, fraction: true }),
      endTime: Time({ default: 0, fraction: true }),
      pageIndex: PageIndex(),
      pageSize: PageSize(50),
      maxType: Int({ default: 200, description: 'only type codes below it' }),
    }),
    result: Type.Array(MessageRow),
    successText: { zh: '', en: '' },
  },
  listRoomHistory: {
    path: '/tigase/shiku_muc_msgs',
    summary: { zh: '获取群聊漫游消息', en: 'History of a room' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      roomId: RoomRef(),
      startTime: Time({ default: 0, fraction: true }),
      endTime: Time({ default: 0, fraction: true }),
      pageIndex: PageIndex(),
      pageSize: PageSize(20),
      maxType: Int({ default: 200, description: 'only type codes below it' }),
    }),
    result: Type.Array(RoomRow),
    successText: { zh: '', en: '' },
  },
  getMessage: {
    path: '/tigase/getMessage',
    summary: { zh: '获取单条消息', en: 'One message' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      messageId: Text({ maxLength: 128 }),
      type: Int({ default: 1, description: '1 single chat, 2 room' }),
      roomJid: Type.Optional(RoomRef()),
    }),
    result: Type.Union([MessageRow, RoomRow]),
    errors: ['MessageNotFound'],
  },
  deleteMessages: {
    path: '/tigase/deleteMsg',
    summary: { zh: '撤回、删除消息', en: 'Delete or recall messages' },
    auth: 'user',
    params: Type.Object({
      messageId: List(),
      type: Type.Optional(Int({ description: '1 single chat, 2 room; absent: searched in both' })),
      delete: Int({ default: 1, description: '1 for the caller only, 2 recall' }),
      roomJid: Type.Optional(RoomRef()),
    }),
    result: Nothing,
    errors: ['RecallNotAllowed', 'RecallExpired'],
  },
  clearChats: {
    path: '/tigase/emptyMyMsg',
    timeoutMs: 30_000,
    summary: { zh: '清空我的单聊消息', en: 'Empty my single chats' },
    auth: 'user',
    params: Type.Object({
      type: Int({ default: 0, description: '0 with one peer, 1 with all' }),
      toUserId: Type.Optional(UserId({ description: 'needed for type 0' })),
    }),
    result: Nothing,
  },
  markRead: {
    path: '/tigase/changeRead',
    summary: { zh: '修改消息的已读状态', en: 'Mark a message as read' },
    auth: 'user',
    params: Type.Object({ messageId: List() }),
    result: Nothing,
  },
})

/** Encrypts and decrypts texts with the cipher that old apps use (spec crypto.md §4). */
export const ciphers = contract('message', {
  encryptText: {
    path: '/tigase/encrypt',
    summary: { zh: '加密消息', en: 'Encrypt a text' },
    auth: 'user',
    safe: true,
    params: Type.Object({ text: LongText({ empty: 'kept' }), key: Text({ empty: 'blank-kept' }) }),
    result: Type.Object({ text: Type.String({ description: 'Base64' }) }),
    errors: ['CipherFailed'],
  },
  decryptText: {
    path: '/tigase/decrypt',
    summary: { zh: '解密消息', en: 'Decrypt a text' },
    auth: 'user',
    safe: true,
    params: Type.Object({ text: LongText(), key: Text({ empty: 'blank-kept' }) }),
    result: Type.Object({ text: Type.String() }),
    errors: ['CipherFailed'],
  },
})

export const presence = contract('message', {
  setOnlineState: {
    path: '/tigase/OnlineState',
    summary: { zh: '设置用户在线状态', en: 'Set the online state' },
    auth: 'optional',
    params: Type.Object({
      userId: UserId(),
      OnlineState: Flag({ aliases: ['onlineState'] }),
    }),
    result: Nothing,
    errors: ['TokenMissing', 'PermissionDenied'],
  },
})

/** The XMPP server asks this before it routes a message. Its module caches the answers for a few seconds. */
export const xmppChecks = contract('message', {
  checkMessage: {
    path: '/internal/xmpp/check',
    summary: { zh: '校验单聊消息权限', en: 'May this user write to that user' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      from: UserId(),
      to: UserId(),
      type: Int({ default: 1, description: 'type code of the body' }),
      messageIds: Type.Optional(List({ description: 'type 202: the messages it recalls' })),
    }),
    result: Type.Object({
      allow: FlagResult(),
      condition: Type.Optional(Type.String({ description: 'not-allowed or service-unavailable' })),
      text: Type.Optional(Type.String()),
    }),
  },
})

/** Asked by the user service, which keeps copies of messages that users collect. */
export const internalMessages = contract('message', {
  readMessages: {
    path: '/internal/messages/read',
    summary: { zh: '读取用户可见的消息', en: 'Bodies of messages that a user can see' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      userId: UserId(),
      messageIds: List({ item: Text({ maxLength: 128 }) }),
      room: Type.Optional(RoomRef({ description: 'absent: single chats' })),
    }),
    result: Type.Object({
      messages: Type.Array(
        Type.Object({ messageId: Type.String(), from: Type.Integer(), body: Type.String(), type: Type.Integer() }),
      ),
    }),
  },
})
