import type { ObjectId } from 'mongodb'
import type { Refusal } from '../stanzas/refusal.ts'

/** One stored message; the two rows a single chat shows (spec 07-message.md) are views of it. */
export interface MessageDocument {
  _id: ObjectId
  /** See conversations.ts. */
  conversation: string
  messageId: string
  from: number
  /** Receiver; single chats only. */
  to?: number
  roomJid?: string
  fromJid: string
  toJid: string
  /** Names of the sender and the receiver at that time, from the body; at most `longestName` characters. */
  nickname?: string
  toName?: string
  /** The JSON text, byte for byte as sent. */
  body: string
  /**
   * The stanza as XML, its body element left empty. Absent when it holds nothing but what stands in other fields, as almost
   * every one does. `stanzaOf` gives it whole.
   */
  stanza?: string
  contentType: number
  /** `body.content` as text, '' when absent. */
  content: string
  /** `body.fileName` of files (type 9). */
  fileName?: string
  /** Names of the files of ours that it shows, unless it is encrypted. Absent from stones. */
  file?: string | readonly string[]
  /** Order key in seconds (spec xmpp.md §10), never before the moment one of the two cleared the chat. Absent from stones. */
  timeSend: number
  /** Arrival at the XMPP server in ms. */
  ts: number
  /** It came to a room long after it was sent (`antedatedOfRoom`). */
  late?: true
  /** Expiry in seconds, -1 never. */
  deleteTime: number
  /** When nobody sees it any more; soon after that its text goes. */
  expireAt?: Date
  isEncrypt: boolean
  isRead: boolean
  /**
   * The receiver, as long as it counts as unread for them: they have neither read it nor a later one nor removed it. Single chats
   * only.
   */
  unreadBy?: number
  /** Users who removed it for themselves. */
  deletedFor: number[]
  /**
   * A stone: recalled, expired or removed by both sides. It holds no text, no reader ever sees it, and it keeps a late copy of
   * the message from being stored again.
   */
  gone?: true
  /** Of a stone: its sender was told that it is not taken, and why. Only a copy that comes after `ts`, when that was told last, is another attempt. */
  refused?: Refusal
  /** When MongoDB removes a stone. */
  removeAt?: Date
  /** Its type is one of those the search looks at, and it is neither encrypted nor burnt after reading. */
  searchable: boolean
  /** Entry of the XMPP server's log that brought it: `<log>:<seq>`. */
  tap: string
}

export const longestName = 128

/** Identity of a message for de-duplication. The sender belongs to it: the peer may not swallow a message by reusing its id. */
export type MessageKey = Pick<MessageDocument, 'conversation' | 'messageId' | 'from'>

export const keyText = (key: MessageKey) => `${key.messageId} ${key.from} ${key.conversation}`

/** Where a message stands in its conversation. */
export type Place = Pick<MessageDocument, 'timeSend' | 'ts' | '_id'>

export const newestFirst = { timeSend: -1, ts: -1, _id: -1 } as const

export const isNewer = (a: Place, b: Place): boolean =>
  a.timeSend !== b.timeSend ? a.timeSend > b.timeSend : a.ts !== b.ts ? a.ts > b.ts : hexOf(a) > hexOf(b)

const hexOf = ({ _id }: Place) => _id.toHexString()

/** What decides whether somebody sees a message. */
export type Visibility = Pick<MessageDocument, 'deletedFor' | 'expireAt' | 'gone' | 'timeSend'>

/** Who looks, and when. */
export interface Reader {
  user: number
  /** Messages before this moment (seconds) are cleared for them. */
  clearedBefore?: number | undefined
  /** Milliseconds. */
  now: number
}

/** The one rule of what a side of a conversation sees. */
export const isVisible = (
  { deletedFor, expireAt, gone, timeSend }: Visibility,
  { user, clearedBefore, now }: Reader,
): boolean =>
  !gone &&
  !deletedFor.includes(user) &&
  !(expireAt && expireAt.getTime() <= now) &&
  !(clearedBefore !== undefined && timeSend < clearedBefore)

/** Where a message stands, and among whose. */
export type Tie = Pick<MessageDocument, 'conversation' | 'from' | 'timeSend' | 'ts'>

/** A message that is not taken. */
export type RefusedMessage = Pick<MessageDocument, 'conversation' | 'messageId' | 'from' | 'ts'> & { refusal: Refusal }
