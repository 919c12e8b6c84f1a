import { hash } from 'node:crypto'
import { fileAddressesIn, messageType } from '@im/contracts/message'
import { orderKey, seconds } from '../read/order-key.ts'
import { asFlag, asText, idsOf } from '../read/read-body.ts'
import type { Message } from '../read/read-message.ts'
import { escapeAttribute } from '../stanzas/xml-text.ts'
import { longestName, type MessageDocument } from './message-document.ts'

const maxIdLength = 128

/** Whether a text comes through a parameter as it is. */
const isParameter = (text: string) =>
  text.isWellFormed() && text.trim() === text && !text.includes('\0') && !/[\ufffe\uffff]/.test(text)

/**
 * Ids are 32 hex digits. A much longer text is known by its hash, so that no app can make index keys and events of any size.
 * So is one that nobody could ask for as it is: MongoDB would store different ones with half a surrogate pair as the same, and
 * who hears of one with a NUL in an event could not go on.
 */
const boundId = (id: string) =>
  id.length <= maxIdLength && isParameter(id) ? id : hash('sha256', JSON.stringify(id), 'hex')

/** What a message is known by together with its sender and conversation. */
export const messageIdOf = ({ body, id, tap }: Pick<Message, 'body' | 'id' | 'tap'>) =>
  boundId(body.messageId || id || tap)

/** Ids that a body of type 26 or 202 names. */
export const boundIds = (content: string) => idsOf(content).map(boundId)

/** When nobody is to see it any more, in seconds; -1 never. */
export function deleteTimeOf({ body }: Pick<Message, 'body'>): number {
  const deleteTime = seconds(body.fields['deleteTime']) ?? -1
  return deleteTime > 0 ? deleteTime : -1
}

const latestDate = 8.64e15

/** Burnt after reading: never kept (spec xmpp.md §10). */
export const isBurnt = ({ body }: Pick<Message, 'body'>) => asFlag(body.fields['isReadDel'])

/** The message as the archive keeps it; undefined when it keeps none of its kind (spec xmpp.md §10). */
export function messageDocument(
  message: Message,
  place: { conversation: string; to: number } | { conversation: string; roomJid: string },
): MessageDocument | undefined {
  const { archiveId, body, sender, stamp, tap, toJid } = message
  const kind = messageType(body.type)
  if (!kind.archived || isBurnt(message)) return undefined
  const isEncrypt = asFlag(body.fields['isEncrypt'])
  const deleteTime = deleteTimeOf(message)
  const messageId = messageIdOf(message)
  return {
    _id: archiveId,
    ...place,
    messageId,
    from: sender.user,
    fromJid: sender.jid,
    toJid,
    nickname: asText(body.fields['fromUserName']).slice(0, longestName),
    toName: asText(body.fields['toUserName']).slice(0, longestName),
    body: body.text,
    ...(isPlain(message, messageId, 'to' in place ? 'chat' : 'groupchat') ? {} : { stanza: emptyStanza(message) }),
    contentType: body.type,
    content: body.content,
    ...shownFiles(body, isEncrypt),
    ...(body.type === 9 ? { fileName: asText(body.fields['fileName']) } : {}),
    timeSend: orderKey(body.fields['timeSend'], stamp),
    ts: stamp,
    deleteTime,
    ...(deleteTime > 0 ? { expireAt: new Date(Math.min(deleteTime * 1000, latestDate)) } : {}),
    isEncrypt,
    isRead: false,
    ...('to' in place ? { unreadBy: place.to } : {}),
    deletedFor: [],
    searchable: kind.searched && !isEncrypt,
    tap,
  }
}

/** Types whose `content` is the address of a file (a location shows its map), or holds some: articles, and histories that were merged. */
const showFiles = new Set([2, 3, 4, 5, 6, 7, 9, 80, 81, 85])
/** Files of one message: apps merge a hundred messages at most. */
const mostShown = 100

/** Names of the files of ours that a message shows. */
export function shownFiles(
  { type, content }: Pick<Message['body'], 'type' | 'content'>,
  isEncrypt: boolean,
): { file?: string[] } {
  if (isEncrypt || !showFiles.has(type)) return {}
  const names = fileAddressesIn(content).map(({ name }) => name)
  return names.length ? { file: names.slice(0, mostShown) } : {}
}

/** What apps send: the archive builds such a stanza from its other fields. */
const isPlain = ({ id, type, wantsReceipt }: Message, messageId: string, usual: Message['type']) =>
  id === messageId && type === usual && wantsReceipt

/** Any other stanza, its body left empty: the text is stored once. */
function emptyStanza({ sender, toJid, id, type, wantsReceipt }: Message): string {
  const attributes = Object.entries({ xmlns: 'jabber:client', from: sender.jid, to: toJid, id, type })
    .map(([name, value]) => (value === undefined ? '' : ` ${name}='${escapeAttribute(value)}'`))
    .join('')
  return `<message${attributes}><body/>${wantsReceipt ? `<request xmlns='urn:xmpp:receipts'/>` : ''}</message>`
}
