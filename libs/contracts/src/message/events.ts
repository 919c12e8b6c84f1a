import { Type } from 'typebox'
import { event } from '../events.ts'
import { Milliseconds } from '../result-types.ts'

const userId = Type.Integer({ minimum: 1 })

/** What is told of a message that is stored. */
export const ArchivedMessage = Type.Object({
  messageId: Type.String(),
  conversation: Type.String({ description: 'u:<low>:<high> or r:<jid>' }),
  from: userId,
  to: Type.Optional(userId),
  roomJid: Type.Optional(Type.String()),
  contentType: Type.Integer(),
  timeSend: Type.Number({ description: 'seconds' }),
  arrivedAt: Milliseconds(),
  isEncrypt: Type.Boolean(),
})

/**
 * One event for each batch, because the archive commits messages in batches. A batch that is delivered again may repeat
 * messages, so consumers tell them apart by messageId.
 */
export const messageArchived = event(
  'message.archived.v1',
  'Messages were stored durably',
  Type.Object({ messages: Type.Array(ArchivedMessage) }),
)

export const PassedMessage = Type.Object({
  messageId: Type.String(),
  from: userId,
  to: userId,
  contentType: Type.Integer(),
  timeSend: Type.Number({ description: 'seconds' }),
  arrivedAt: Milliseconds(),
  isEncrypt: Type.Boolean(),
  isReadDel: Type.Boolean(),
})

/** One event for each batch, beside `message.archived`: messages that are pushed to absent users but not archived. */
export const messagesPassed = event(
  'message.passed.v1',
  'Messages were sent that are pushed but not archived: calls, friend events, messages burnt after reading',
  Type.Object({ messages: Type.Array(PassedMessage) }),
)

/** The same for rooms. The text of these messages is kept nowhere, so the event says whom they name. */
export const roomMessagesPassed = event(
  'message.passed-in-room.v1',
  'Messages were sent to rooms that are pushed but not archived: calls, messages burnt after reading',
  Type.Object({
    messages: Type.Array(
      Type.Object({
        messageId: Type.String(),
        from: userId,
        roomJid: Type.String(),
        contentType: Type.Integer(),
        timeSend: Type.Number({ description: 'seconds' }),
        arrivedAt: Milliseconds(),
        isEncrypt: Type.Boolean(),
        isReadDel: Type.Boolean(),
        mentioned: Type.Array(userId),
        mentionsAll: Type.Boolean(),
      }),
    ),
  }),
)

/** One event for each batch, beside the others. */
export const friendsTold = event(
  'message.friends-told.v1',
  'Users told each other that they ask to be friends, accept, follow, block …: types 500 to 510',
  Type.Object({
    messages: Type.Array(
      Type.Object({
        messageId: Type.String(),
        from: userId,
        to: userId,
        contentType: Type.Integer(),
        content: Type.String({ description: 'the first 500 characters' }),
        arrivedAt: Milliseconds(),
      }),
    ),
  }),
)

export const messageRecalled = event(
  'message.recalled.v1',
  'Messages were removed for everybody',
  Type.Object({
    conversation: Type.String(),
    messageIds: Type.Array(Type.String()),
    by: userId,
    at: Milliseconds(),
  }),
)

export const messageDeleted = event(
  'message.deleted.v1',
  'A user removed messages from their own history',
  Type.Object({
    conversation: Type.String(),
    messageIds: Type.Array(Type.String(), { description: 'empty: the whole conversation' }),
    userId,
    at: Milliseconds(),
  }),
)

export const presenceChanged = event(
  'presence.changed.v1',
  'The first XMPP resource of a user came online, or the last one went offline',
  Type.Object({ userId, online: Type.Boolean(), at: Milliseconds() }),
)

/** One event for many users, because all users of an XMPP server come back at once after its restart. */
export const presencesChanged = event(
  'presence.changed.v2',
  'The first XMPP resource of some users came online, or the last one went offline',
  Type.Object({
    changes: Type.Array(Type.Object({ userId, online: Type.Boolean(), at: Milliseconds() })),
  }),
)
