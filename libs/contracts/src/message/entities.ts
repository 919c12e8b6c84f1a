import { type Static, Type } from 'typebox'
import { FlagResult, Milliseconds } from '../result-types.ts'

const shared = {
  _id: Type.String({ description: '24 hex' }),
  messageId: Type.String(),
  body: Type.String({ description: 'the message JSON exactly as sent' }),
  message: Type.String({ description: 'the stanza as XML' }),
  content: Type.String(),
  context: Type.String({ description: 'same as content' }),
  contentType: Type.Integer({ description: 'type code of the body' }),
  contextType: Type.Integer({ description: 'same as contentType' }),
  sender: Type.Integer(),
  sender_jid: Type.String(),
  timeSend: Type.Number({ description: 'seconds, may have a fraction' }),
  ts: Milliseconds({ description: 'arrival at the server' }),
  deleteTime: Type.Number({ description: 'expiry in seconds, -1 never' }),
  isRead: FlagResult(),
  isEncrypt: FlagResult(),
}

/** A message of a single chat as its owner (`sender`) sees it. */
export const MessageRow = Type.Object({
  ...shared,
  type: Type.Literal(1),
  direction: Type.Integer({ description: '0 sent by the owner, 1 received', minimum: 0, maximum: 1 }),
  receiver: Type.Integer({ description: 'the peer' }),
  receiver_jid: Type.String(),
})
export type MessageRow = Static<typeof MessageRow>

/** A message of a room. */
export const RoomRow = Type.Object({
  ...shared,
  type: Type.Literal(2),
  room_jid_id: Type.String(),
  room_jid: Type.String(),
  nickname: Type.String({ description: 'name of the sender at that time' }),
  event_type: Type.Integer(),
  public_event: Type.Integer(),
})
export type RoomRow = Static<typeof RoomRow>

/** The newest message of a chat, for the list of chats. */
export const LastChat = Type.Object({
  jid: Type.String({ description: 'userId of the peer, or jid of the room' }),
  isRoom: FlagResult(),
  type: Type.Integer({ description: 'type code of the message' }),
  messageId: Type.String(),
  timeSend: Type.Integer({ description: 'seconds' }),
  content: Type.String(),
  isEncrypt: FlagResult(),
  userId: Type.String({ description: 'owner of the row' }),
  from: Type.String(),
  fromUserName: Type.String(),
  to: Type.String(),
  toUserName: Type.String(),
})
export type LastChat = Static<typeof LastChat>
