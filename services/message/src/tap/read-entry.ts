import { hash } from 'node:crypto'
import { messageType } from '@im/contracts/message'
import type { Element } from '@xmpp/component'
import { ObjectId } from 'mongodb'
import { roomConversation, singleConversation } from '../archive/conversations.ts'
import { longestName, type MessageDocument } from '../archive/message-document.ts'
import { bareJid, parseJid, userIdOf } from './addresses.ts'
import { orderKey, seconds } from './order-key.ts'
import type { ReceiptRequest } from './receipt.ts'

/** One entry of the XMPP server's message log, as the tap delivers it. */
export interface TapEntry {
  /** Lineage of the log: `seq` counts within it. */
  log: string
  seq: number
  /** Arrival in ms. */
  stamp: number
  /** Full JID. */
  sender: string
  message: Element
}

/** What an entry asks the archive to do. Each part may be missing. */
export interface ReadEntry {
  tap: string
  store?: MessageDocument
  /** Type 26: `reader` has read these messages of `author`. */
  read?: { conversation: string; author: number; messageIds: string[] }
  receipt?: ReceiptRequest
}

/** Why an entry could not be understood; it is counted and passed over. */
export class PoisonEntry extends Error {}

const maxIds = 1000
const maxIdLength = 128
const asText = (value: unknown) => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '')
/** Numbers, true/false, "1" and "true" are all seen on the wire. */
const asFlag = (value: unknown) => value === 1 || value === true || value === '1' || value === 'true'

function typeCode(value: unknown): number {
  const code = typeof value === 'string' ? Number(value) : value
  return typeof code === 'number' && Number.isInteger(code) ? code : 0
}

/** `content` is text; what an app sends as an object or array is kept as its JSON. */
const contentOf = (value: unknown) =>
  typeof value === 'object' && value !== null
    ? JSON.stringify(value)
    : typeof value === 'boolean'
      ? String(value)
      : asText(value)

/** Ids of a comma list, as types 26 and 202 carry them. */
export function idsOf(content: string): string[] {
  const ids = new Set<string>()
  for (const part of content.split(',')) {
    const id = part.trim()
    if (id) ids.add(id)
    if (ids.size >= maxIds) break
  }
  return [...ids]
}

/**
 * Ids are 32 hex digits. A much longer text is known by its hash, so that no app can make index keys and events of any size,
 * and so is one with half a surrogate pair: MongoDB would store different ones as the same.
 */
const boundId = (id: string) =>
  id.length <= maxIdLength && id.isWellFormed() ? id : hash('sha256', JSON.stringify(id), 'hex')

function parseBody(body: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    throw new PoisonEntry('the body is not JSON')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new PoisonEntry('the body is no JSON object')
  return parsed as Record<string, unknown>
}

/** The stanza as XML with its body left empty: the text is stored once, in `body`. */
function stanzaWithoutBody(message: Element, body: Element): string {
  const text = body.children
  body.children = []
  const xml = message.toString()
  body.children = text
  return xml
}

const plainAttributes = new Set(['xmlns', 'from', 'to', 'id', 'type'])

/** A stanza as apps send it: a body and the wish for a receipt, and nothing that is not stored in a field of its own. */
function isPlain({ attrs, children }: Element, messageId: string): boolean {
  const [body, request] = children
  if (children.length !== 2 || typeof body !== 'object' || typeof request !== 'object') return false
  if (attrs['type'] !== 'chat' || attrs['id'] !== messageId || !attrs['from'] || !attrs['to']) return false
  for (const name in attrs) if (!plainAttributes.has(name)) return false
  if (body.name !== 'body' || Object.keys(body.attrs).length) return false
  return (
    request.is('request', 'urn:xmpp:receipts') &&
    request.children.length === 0 &&
    Object.keys(request.attrs).length === 1
  )
}

function receiptOf(message: Element, sender: string, to: string): ReceiptRequest | undefined {
  const { id, type } = message.attrs
  if (!id || (type !== 'chat' && type !== 'groupchat') || !message.getChild('request', 'urn:xmpp:receipts'))
    return undefined
  return { id, from: to, to: sender }
}

/**
 * Decides what becomes of an entry (spec xmpp.md §10): what is stored, which messages it marks as read, whether its sender
 * waits for a receipt. Pure: the same entry always gives the same key. `receipt` is also known when the body is poison.
 */
export function readEntry(entry: TapEntry, domain: string): ReadEntry & { poison?: PoisonEntry } {
  const { message, stamp } = entry
  const tap = `${entry.log}:${entry.seq}`
  const body = message.getChild('body')
  if (!body || message.attrs['type'] === 'error') return { tap }
  const to = parseJid(message.attrs['to'] ?? '')
  const toBare = bareJid(to)
  const result: ReadEntry & { poison?: PoisonEntry } = { tap, receipt: receiptOf(message, entry.sender, toBare) }
  try {
    const target = targetOf(message, entry.sender, to, domain)
    if (!target) return result
    const text = body.text()
    const fields = parseBody(text)
    const type = typeCode(fields['type'])
    if (type === 26 && target.to !== undefined) {
      result.read = {
        conversation: target.conversation,
        author: target.to,
        messageIds: idsOf(contentOf(fields['content'])),
      }
      return result
    }
    const kind = messageType(type)
    const isEncrypt = asFlag(fields['isEncrypt'])
    if (!kind.archived || asFlag(fields['isReadDel'])) return result
    const deleteTime = seconds(fields['deleteTime']) ?? -1
    const expires = deleteTime > 0
    const messageId = boundId(asText(fields['messageId']) || message.attrs['id'] || tap)
    result.store = {
      _id: new ObjectId(),
      conversation: target.conversation,
      messageId,
      from: target.from,
      ...(target.to === undefined ? { roomJid: to.local } : { to: target.to }),
      fromJid: message.attrs['from'] ?? entry.sender,
      toJid: message.attrs['to'] ?? '',
      nickname: asText(fields['fromUserName']).slice(0, longestName),
      toName: asText(fields['toUserName']).slice(0, longestName),
      body: text,
      ...(isPlain(message, messageId) ? {} : { stanza: stanzaWithoutBody(message, body) }),
      contentType: type,
      content: contentOf(fields['content']),
      ...(type === 9 ? { fileName: asText(fields['fileName']) } : {}),
      timeSend: orderKey(fields['timeSend'], stamp),
      ts: stamp,
      deleteTime: expires ? deleteTime : -1,
      ...(expires ? { expireAt: new Date(Math.min(deleteTime * 1000, 8.64e15)) } : {}),
      isEncrypt,
      isRead: false,
      deletedFor: [],
      searchable: kind.searched && !isEncrypt,
      tap,
    }
  } catch (error) {
    if (!(error instanceof PoisonEntry)) throw error
    result.poison = error
  }
  return result
}

interface Target {
  conversation: string
  from: number
  /** Single chats. */
  to?: number
}

/** The conversation a stanza belongs to; undefined for those that have none: to oneself, to a service, beside a room. */
function targetOf(
  message: Element,
  sender: string,
  to: ReturnType<typeof parseJid>,
  domain: string,
): Target | undefined {
  const from = userIdOf(parseJid(sender).local)
  if (from === undefined) throw new PoisonEntry('the sender is no user')
  if (message.attrs['type'] === 'groupchat')
    return to.domain === `muc.${domain}` && to.local ? { conversation: roomConversation(to.local), from } : undefined
  if (to.domain !== domain) return undefined
  const receiver = userIdOf(to.local)
  if (receiver === undefined || receiver === from) return undefined
  return { conversation: singleConversation(from, receiver), from, to: receiver }
}
