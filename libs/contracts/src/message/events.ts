import { Type } from 'typebox'
import { event } from '../events.ts'
import { Milliseconds } from '../result-types.ts'

const userId = Type.Integer({ minimum: 1 })

const ArchivedMessage = Type.Object({
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

/** One event a batch: the archive commits messages in batches. A redelivered batch may repeat messages: consumers go by messageId. */
export const messageArchived = event(
  'message.archived.v1',
  'Messages were stored durably',
  Type.Object({ messages: Type.Array(ArchivedMessage) }),
)

/** One event a batch, beside `message.archived`: what is told to a user who is away though the archive does not keep it. */
export const messagesPassed = event(
  'message.passed.v1',
  'Messages were sent that are pushed but not archived: calls, friend events, messages burnt after reading',
  Type.Object({
    messages: Type.Array(
      Type.Object({
        messageId: Type.String(),
        from: userId,
        to: userId,
        contentType: Type.Integer(),
        timeSend: Type.Number({ description: 'seconds' }),
        arrivedAt: Milliseconds(),
        isEncrypt: Type.Boolean(),
        isReadDel: Type.Boolean(),
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
  'A user removed messages for himself',
  Type.Object({
    conversation: Type.String(),
    messageIds: Type.Array(Type.String(), { description: 'empty: the whole conversation' }),
    userId,
    at: Milliseconds(),
  }),
)

export const presenceChanged = event(
  'presence.changed.v1',
  'The first XMPP resource of a user came, or the last one went',
  Type.Object({ userId, online: Type.Boolean(), at: Milliseconds() }),
)

/** One event a batch: after a restart of an XMPP server all its users come back at once. */
export const presencesChanged = event(
  'presence.changed.v2',
  'The first XMPP resource of users came, or the last one went',
  Type.Object({
    changes: Type.Array(Type.Object({ userId, online: Type.Boolean(), at: Milliseconds() })),
  }),
)
