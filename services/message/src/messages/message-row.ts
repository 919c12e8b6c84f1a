import type { MessageRow, RoomRow } from '@im/contracts/message'
import { messageText, type StanzaText } from '../stanzas/stanza-text.ts'
import { escapeAttribute, escapeText, unescapeAttribute } from '../stanzas/xml-text.ts'
import type { MessageDocument } from './message-document.ts'

/** The stanza as it went on: its text is put back into the empty body element. */
export const stanzaOf = ({ stanza, ...message }: MessageDocument) =>
  (stanza ?? plainStanza(message)).replace('<body/>', () => `<body>${escapeText(message.body)}</body>`)

/** What apps send: see `isPlain` in deliver/message-document.ts. */
const plainStanza = ({
  fromJid,
  toJid,
  messageId,
  roomJid,
}: Pick<MessageDocument, 'fromJid' | 'toJid' | 'messageId' | 'roomJid'>) =>
  `<message xmlns='jabber:client' from='${escapeAttribute(fromJid)}' to='${escapeAttribute(toJid)}' ` +
  `id='${escapeAttribute(messageId)}' type='${roomJid === undefined ? 'chat' : 'groupchat'}'><body/><request xmlns='urn:xmpp:receipts'/></message>`

/** The id the stanza had; undefined when it had none. */
export function stanzaId({ stanza, messageId }: Pick<MessageDocument, 'stanza' | 'messageId'>): string | undefined {
  if (stanza === undefined) return messageId
  const id = / id='([^']*)'/.exec(stanza)?.[1]
  return id === undefined ? undefined : unescapeAttribute(id)
}

/** The text of the stanza for who gets it later (stanzas/stanza-text.ts). */
export function laterText(message: MessageDocument): StanzaText {
  const { stanza, fromJid: from, body } = message
  const [beginning = ''] = stanza?.split('>', 1) ?? []
  return messageText({
    from,
    id: stanzaId(message),
    type: stanza === undefined ? 'chat' : / type='([^']*)'/.exec(beginning)?.[1],
    body,
    wantsReceipt: stanza === undefined || stanza.includes("<request xmlns='urn:xmpp:receipts'/>"),
  })
}

const shared = (message: MessageDocument) => ({
  _id: message._id.toHexString(),
  messageId: message.messageId,
  body: message.body,
  message: stanzaOf(message),
  content: message.content,
  context: message.content,
  contentType: message.contentType,
  contextType: message.contentType,
  sender_jid: message.fromJid,
  timeSend: message.timeSend,
  ts: message.ts,
  deleteTime: message.deleteTime,
  isEncrypt: message.isEncrypt ? 1 : 0,
})

/** A message of a single chat as one of its two sides sees it. */
export function messageRow(message: MessageDocument, owner: number): MessageRow {
  const sent = message.from === owner
  return {
    ...shared(message),
    type: 1,
    direction: sent ? 0 : 1,
    sender: owner,
    receiver: sent ? (message.to ?? 0) : message.from,
    receiver_jid: message.toJid,
    isRead: message.isRead ? 1 : 0,
  }
}

/** A message of a room. */
export function roomRow(message: MessageDocument): RoomRow {
  return {
    ...shared(message),
    type: 2,
    sender: message.from,
    room_jid_id: message.roomJid ?? '',
    room_jid: message.toJid,
    nickname: message.nickname ?? '',
    event_type: 1,
    public_event: 0,
    isRead: 0,
  }
}
