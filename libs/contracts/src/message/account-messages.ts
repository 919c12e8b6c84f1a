import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Flag, Int, JsonOf, List, LongText, PageIndex, PageSize, Text, UserId } from '../param-types.ts'
import { PageVO } from '../result-types.ts'
import { MessageRow } from './entities.ts'

/** Receivers of one call. */
export const mostReceivers = 500

/** Bytes (UTF-8) of the content of a message. */
export const longestContent = 64 * 1024

/** Messages that other services send in the name of system and public accounts. They have checked that the sender may. */
export const serverMessages = contract('message', {
  sendToUsers: {
    path: '/internal/messages/send',
    summary: { zh: '以系统号、公众号名义发送消息', en: 'Send one message to users in the name of an account' },
    auth: 'internal',
    maxBytes: 1024 * 1024,
    timeoutMs: 30_000,
    params: Type.Object({
      from: UserId(),
      fromUserName: Text({ default: '', maxLength: 256 }),
      type: Int({ minimum: 1, maximum: 999, description: 'type code; one that is archived' }),
      content: LongText({ empty: 'kept', description: '`content` of the body' }),
      more: Type.Optional(
        JsonOf(Type.Record(Type.String(), Type.Unknown()), { description: 'further fields of the body' }),
      ),
      receivers: JsonOf(
        Type.Array(
          Type.Object({
            userId: Type.Integer({ minimum: 1 }),
            name: Type.Optional(Type.String()),
            messageId: Type.String({
              pattern: '^[0-9a-f]{32}$',
              description: 'what is sent again under it is sent once',
            }),
          }),
          { maxItems: mostReceivers },
        ),
        { maxBytes: 256 * 1024 },
      ),
    }),
    result: Type.Object({
      sent: Type.Integer({ description: 'stored by this call, in mailboxes and on their way' }),
      known: Type.Integer({ description: 'sent before' }),
    }),
  },
})

/** What the pages of a public account show of its chats. */
export const accountChats = contract('message', {
  countUnread: {
    path: '/internal/messages/unread',
    summary: { zh: '未读消息数', en: 'How much a user has not read' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userId: UserId() }),
    result: Type.Object({
      messages: Type.Integer({ description: 'counts to 20,000' }),
      peers: Type.Integer({ description: 'who wrote them' }),
    }),
  },
  findNewestReceived: {
    path: '/internal/messages/newest-received',
    summary: { zh: '各用户发来的最新消息', en: 'The newest message that each of these users wrote to a user' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userId: UserId(), peers: List({ item: UserId(), maxItems: 1000 }) }),
    result: Type.Object({
      messages: Type.Array(
        Type.Pick(MessageRow, ['receiver', 'content', 'body', 'contentType', 'isEncrypt', 'messageId', 'timeSend']),
        { description: 'as the user sees them; peers without a visible one are absent' },
      ),
    }),
  },
  pageChat: {
    path: '/internal/messages/chat',
    summary: { zh: '单聊消息分页', en: 'A page of a single chat, newest first' },
    auth: 'internal',
    params: Type.Object({
      userId: UserId(),
      peer: UserId(),
      pageIndex: PageIndex(),
      pageSize: PageSize(15),
      read: Flag({ default: 0, description: '1: what the peer wrote counts as read' }),
    }),
    result: PageVO(MessageRow),
  },
})
