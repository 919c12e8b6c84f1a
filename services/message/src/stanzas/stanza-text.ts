import type { Refusal } from './refusal.ts'
import { escapeAttribute, escapeText, unescapeText } from './xml-text.ts'

/**
 * Texts of stanzas without their beginning: the XMPP server writes `<message to='full JID' ` before them, for each stream
 * (deploy/xmpp/README.md). They are built anew from what was read: what else a client put into its stanza does not travel.
 */
export type StanzaText = string

export type StanzaName = 'message' | 'presence' | 'iq'

export const bytesOf = (text: StanzaText): number => Buffer.byteLength(text)

const attribute = (name: string, value: string | undefined) =>
  value === undefined ? '' : `${name}='${escapeAttribute(value)}' `

const end = '</message>'

/** A message with a body, byte for byte as it was sent. */
export function messageText(message: {
  from: string
  id: string | undefined
  type: string | undefined
  body: string
  wantsReceipt: boolean
}): StanzaText {
  const attributes = `${attribute('from', message.from)}${attribute('id', message.id)}${attribute('type', message.type)}`
  const request = message.wantsReceipt ? `<request xmlns='urn:xmpp:receipts'/>` : ''
  return `${attributes.trimEnd()}><body>${escapeText(message.body)}</body>${request}${end}`
}

/** The body of a `messageText`. */
export function bodyIn(text: StanzaText): string | undefined {
  const [, body] = /><body>([^<]*)<\/body>/.exec(text) ?? []
  return body === undefined ? undefined : unescapeText(body)
}

/** The same with the time (ms) at which it came, for who gets it later (XEP-0203). */
export const withDelay = (text: StanzaText, stamp: number): StanzaText =>
  `${text.slice(0, -end.length)}<delay xmlns='urn:xmpp:delay' stamp='${new Date(stamp).toISOString()}'/>${end}`

/** The receipt of the server: "stored" (spec xmpp.md §4). `from` is the peer or room. */
export const receiptText = (from: string, id: string): StanzaText =>
  `${attribute('from', from)}type='normal'><received xmlns='urn:xmpp:receipts' id='${escapeAttribute(id)}' status='1'/>${end}`

/** A client's own receipts, on their way to the other side. */
export const receivedText = (from: string, ids: readonly string[]): StanzaText =>
  `${attribute('from', from).trimEnd()}>${ids.map((id) => `<received xmlns='urn:xmpp:receipts' id='${escapeAttribute(id)}'/>`).join('')}${end}`

/** What its sender can do about it (RFC 6120 §8.3.2), where that is not `cancel`. */
const kinds: Partial<Record<Refusal['condition'], string>> = {
  'resource-constraint': 'wait',
  'internal-server-error': 'wait',
  'bad-request': 'modify',
  forbidden: 'auth',
  'registration-required': 'auth',
}

/** The answer to a stanza that is not taken. */
export function errorText(
  from: string,
  id: string | undefined,
  { condition, text }: Refusal,
  name: StanzaName = 'message',
): StanzaText {
  const kind = kinds[condition] ?? 'cancel'
  const stanzas = 'urn:ietf:params:xml:ns:xmpp-stanzas'
  return (
    `${attribute('from', from)}${attribute('id', id)}type='error'><error type='${kind}'><${condition} xmlns='${stanzas}'/>` +
    `<text xmlns='${stanzas}'>${escapeText(text)}</text></error></${name}>`
  )
}

/** What another stream of the sender gets when it asked for carbons (XEP-0280). `to` is whom the message was for. */
export function sentCarbonText(bare: string, to: string, text: StanzaText): StanzaText {
  const message = `<message xmlns='jabber:client' ${attribute('to', to)}${text}`
  return (
    `${attribute('from', bare)}type='chat'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>` +
    `${message}</forwarded></sent>${end}`
  )
}
