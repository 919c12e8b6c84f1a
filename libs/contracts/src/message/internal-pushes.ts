import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Int, JsonOf, List, UserId } from '../param-types.ts'
import { ArchivedMessage, PassedMessage } from './events.ts'

/** Asked by the push service, for what no event holds. */
export const pushedMessages = contract('message', {
  getPushTexts: {
    path: '/internal/messages/push-texts',
    summary: { zh: '推送用的消息文字', en: 'What notifications show of messages' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      messages: JsonOf(
        Type.Array(
          Type.Object({
            messageId: Type.String({ maxLength: 128 }),
            conversation: Type.String({ maxLength: 128 }),
            from: Type.Integer({ minimum: 1 }),
          }),
          { maxItems: 500 },
        ),
      ),
    }),
    result: Type.Object({
      texts: Type.Array(
        Type.Object({
          isThere: Type.Boolean({ description: 'false: never archived, recalled, expired or removed by both sides' }),
          text: Type.String({ description: 'the beginning of the content; empty when it is encrypted' }),
          mentioned: Type.Array(Type.Integer(), { description: 'members whom a text in a room names' }),
          mentionsAll: Type.Boolean(),
          recalled: Type.Array(Type.String(), { description: 'ids of the messages that a recall (202) names' }),
        }),
        { description: 'one for each message, in their order' },
      ),
    }),
  },
  getPresent: {
    path: '/internal/presence/present',
    summary: { zh: '多人中的在线者', en: 'Who of these users has an available device with a connection' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userIds: List({ item: UserId(), maxItems: 10_000 }) }),
    result: Type.Object({ userIds: Type.Array(Type.Integer()) }),
  },
  getUnconfirmed: {
    path: '/internal/messages/unconfirmed',
    summary: {
      zh: '没有设备确认收到的消息',
      en: 'Messages that no device of these users has confirmed',
    },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      userIds: List({ item: UserId(), maxItems: 100 }),
      since: Int({ minimum: 0, description: 'ms: those that came later' }),
    }),
    result: Type.Object({
      messages: Type.Array(ArchivedMessage, { description: 'of single chats; at most 1000, the newest' }),
      passed: Type.Optional(
        Type.Array(PassedMessage, { description: 'the same of what is not archived, as long as it waits' }),
      ),
      inRooms: Type.Optional(
        Type.Array(Type.Object({ userId: Type.Integer(), messageIds: Type.Array(Type.String()) }), {
          description: 'what those who are offline were given in rooms at last; whatever its age, at most 100 each',
        }),
      ),
    }),
  },
})
