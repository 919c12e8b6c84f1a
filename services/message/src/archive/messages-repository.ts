import { ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db, ObjectId } from 'mongodb'

/**
 * One stored message; the two rows a single chat shows (spec 07-message.md) are views of it.
 * `conversation` is `u:<low>:<high>` or `r:<room jid>`.
 */
export interface MessageDocument {
  _id: ObjectId
  conversation: string
  messageId: string
  from: number
  /** Receiver; single chats only. */
  to?: number
  roomJid?: string
  fromJid: string
  toJid: string
  /** Name of the sender at that time, from the body. */
  nickname?: string
  /** The JSON text, byte for byte as sent. */
  body: string
  /** The stanza as XML, its body element left empty: `stanzaOf` puts the text back. */
  stanza: string
  contentType: number
  /** `body.content` as text, '' when absent. */
  content: string
  /** `body.fileName` of files (type 9). */
  fileName?: string
  /** Order key in seconds (spec xmpp.md §10). */
  timeSend: number
  /** Arrival at the XMPP server in ms. */
  ts: number
  /** Expiry in seconds, -1 never. */
  deleteTime: number
  /** When MongoDB removes the document: after expiry, or a week after everybody lost sight of it. */
  expireAt?: Date
  isEncrypt: boolean
  isRead: boolean
  /** Users who removed it for themselves. A recalled message has all its readers here. */
  deletedFor: number[]
  /**
   * Recalled, or removed by both sides: an emptied stone that keeps a late copy of the message from being stored again.
   * No reader ever sees it.
   */
  gone?: true
  /** Its type is one of those the search looks at, and it is neither encrypted nor burnt after reading. */
  searchable: boolean
  /** Entry of the XMPP server's log that brought it: `<log>:<seq>`. */
  tap: string
}

/** Identity of a message for de-duplication. The sender belongs to it: the peer may not swallow a message by reusing its id. */
export type MessageKey = Pick<MessageDocument, 'conversation' | 'messageId' | 'from'>

export const keyText = (key: MessageKey) => `${key.messageId} ${key.from} ${key.conversation}`

export const singleConversation = (a: number, b: number) => (a < b ? `u:${a}:${b}` : `u:${b}:${a}`)
export const roomConversation = (jid: string) => `r:${jid}`
