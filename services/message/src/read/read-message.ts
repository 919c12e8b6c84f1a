import { hash } from 'node:crypto'
import type { Element } from '@xmpp/component'
import { ObjectId } from 'mongodb'
import type { Condition, Refusal } from '../stanzas/refusal.ts'
import { bareJid, type Jid, parseJid, streamKey, userIdOf } from './addresses.ts'
import { type Body, isRefused, readBody } from './read-body.ts'

/** An entry of an XMPP server's log: what a client sent, as it was parsed. */
export interface Entry {
  /** Log of the server; `seq` counts within it. */
  log: string
  seq: number
  /** Arrival in ms; never goes down within a log. */
  stamp: number
  /** The server it came from, and the stream there. */
  server: string
  stream: string
  /** Full JID of its sender. */
  from: string
  stanza: Element
  /**
   * It came before, on an earlier connection: what came of it is on its way, or was settled, and then this resolves. Only its sender may
   * not have been answered.
   */
  runBefore?: Promise<void>
}

/** Who sent an entry, and by which stream answers go back. */
export interface Sender {
  user: number
  jid: string
  resource: string
  /** Names the stream among those of all servers. */
  stream: string
}

/** A message of a client, read once: everything that is decided, stored and sent on comes from here. */
export interface Message {
  /**
   * Its place among messages of the same moment. It is given when the message is read, in the order of the log: a decision may
   * take longer for an earlier message than for a later one.
   */
  archiveId: ObjectId
  /** `<log>:<seq>` of its entry. */
  tap: string
  seq: number
  stamp: number
  sender: Sender
  to: Jid
  /** `to` as it was written. */
  toJid: string
  /** Of the stanza; undefined when it has none. */
  id: string | undefined
  /** `chat`, `groupchat`; undefined for a message without type or of type normal. */
  type: 'chat' | 'groupchat' | undefined
  body: Body
  wantsReceipt: boolean
  /** See `Entry`. */
  runBefore: Promise<void> | undefined
}

export type MessageReading =
  | { kind: 'message'; message: Message }
  /** A client confirms a message of its peer: it goes on to exactly that stream, and nothing is kept. */
  | { kind: 'received'; to: Jid; ids: string[] }
  | { kind: 'refused'; to: Jid; refusal: Refusal }
  | { kind: 'nothing' }

/** Characters of the id of a stanza. XMPP servers take no longer ones: whatever names it would grow by ten times that. */
const longestId = 1023

/** Whether nothing that names the id of a stanza could be sent. */
export const hasLongId = ({ attrs }: Element): boolean => (attrs['id']?.length ?? 0) > longestId

const clientNamespace = 'jabber:client'
const receiptNamespace = 'urn:xmpp:receipts'

/** Reads who sent an entry. Throws on what no XMPP server of ours may send. */
export function readSender({ from, server, stream }: Pick<Entry, 'from' | 'server' | 'stream'>): Sender {
  const { local, resource } = parseJid(from)
  const user = userIdOf(local)
  if (user === undefined) throw new Error(`an entry of ${from}, who is no user`)
  return { user, jid: from, resource, stream: streamKey(server, stream) }
}

/**
 * Reads a `<message>` of a client strictly (spec xmpp.md §2): exactly one body in the stream's namespace with text only.
 * Of its other children only the wish for a receipt and client receipts count.
 */
export function readMessage(entry: Entry, sender: Sender, domain: string): MessageReading {
  const { stanza } = entry
  const toJid = stanza.attrs['to'] ?? `${sender.user}@${domain}`
  const to = parseJid(toJid)
  const bodies = stanza.getChildElements().filter(({ name }) => name === 'body' || name.endsWith(':body'))
  const [body] = bodies
  const { type = 'normal', id } = stanza.attrs
  const refused = (condition: Condition, text: string): MessageReading => ({
    kind: 'refused',
    to,
    refusal: { condition, text },
  })
  if (!body) return type === 'error' ? { kind: 'nothing' } : readReceived(stanza, to)
  if (bodies.length > 1) return refused('bad-request', 'a message has one body')
  if (body.name !== 'body' || body.getNS() !== clientNamespace)
    return refused('bad-request', 'the body is of another namespace')
  if (body.children.some((child) => typeof child !== 'string')) return refused('bad-request', 'a body holds text only')
  if (type !== 'chat' && type !== 'normal' && type !== 'groupchat')
    return refused('bad-request', 'no messages of this type')
  const reading = readBody(body.text())
  if (isRefused(reading)) return refused(reading.condition, reading.text)
  return {
    kind: 'message',
    message: {
      tap: `${entry.log}:${entry.seq}`,
      seq: entry.seq,
      archiveId: archiveIdOf(entry),
      stamp: entry.stamp,
      sender,
      to,
      toJid,
      id: id || undefined,
      type: type === 'normal' ? undefined : type,
      body: reading,
      wantsReceipt: stanza.getChild('request', receiptNamespace) !== undefined,
      runBefore: entry.runBefore,
    },
  }
}

/**
 * Says where a message stands among those of its moment: the second of its arrival, its log and its number there. An entry has
 * the same one whoever reads it, so the order of a log is kept when several replicas have read parts of it.
 */
function archiveIdOf({ log, seq, stamp }: Entry): ObjectId {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt32BE(Math.floor(stamp / 1000))
  hash('sha1', log, 'buffer').copy(bytes, 4, 0, 3)
  bytes.writeUIntBE(seq, 7, 5)
  return new ObjectId(bytes)
}

const mostReceived = 50

function readReceived(stanza: Element, to: Jid): MessageReading {
  const ids = stanza
    .getChildElements()
    .filter((child) => child.is('received', receiptNamespace))
    .map(({ attrs }) => attrs['id'] ?? '')
    .filter((id) => id && id.length <= longestId)
    .slice(0, mostReceived)
  return ids.length ? { kind: 'received', to, ids } : { kind: 'nothing' }
}

/** Room or peer a message is for, as receipts and errors name it: never with a resource of a peer. */
export const peerJid = ({ to }: Pick<Message, 'to'>) => bareJid(to)
