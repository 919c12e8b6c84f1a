import type { Element } from '@xmpp/component'
import { roomsDomain } from '../config.ts'
import type { Answer, MessageWrite } from '../deliver/message-step.ts'
import { nothing, type Step } from '../deliver/step.ts'
import type { Deps } from '../deps.ts'
import { type Jid, roomJidOf } from '../read/addresses.ts'
import type { Entry, Sender } from '../read/read-message.ts'
import type { Refusal } from '../stanzas/refusal.ts'
import { iqErrorText, ownerForm, resultText, roomInfo } from './room-stanzas.ts'

const info = 'http://jabber.org/protocol/disco#info'
const items = 'http://jabber.org/protocol/disco#items'
const owner = 'http://jabber.org/protocol/muc#owner'
const admin = 'http://jabber.org/protocol/muc#admin'
const longestName = 64

const notServed: Refusal = { condition: 'service-unavailable', text: 'not served' }
const noRoom: Refusal = { condition: 'item-not-found', text: 'no such room' }
const notOwner: Refusal = { condition: 'forbidden', text: 'only the owner may do this' }
const notHere: Refusal = { condition: 'not-allowed', text: 'rooms are dissolved over HTTP' }
const notJoined: Refusal = { condition: 'not-acceptable', text: 'this stream has not joined the room' }
const tryLater: Refusal = { condition: 'resource-constraint', text: 'the room service does not answer' }

/** A question to a room or to their domain: what it is, a ping, the form of its owner; nothing else. */
export async function roomIqStep(
  deps: Deps,
  { entry, sender, to }: { entry: Entry; sender: Sender; to: Jid },
  answer: Answer,
): Promise<Step<MessageWrite>> {
  const { id = '', type } = entry.stanza.attrs
  if (type !== 'get' && type !== 'set') return nothing
  const query = entry.stanza.getChildElements()[0]
  const hasJoined = (jid: string) => {
    const stream = deps.streams.find(entry.server, entry.stream)
    return stream !== undefined && deps.occupants.has(stream, jid)
  }
  const outcome = await answerTo(deps, { query, type, sender, to, hasJoined })
  const from = entry.stanza.attrs['to'] ?? roomsDomain(deps.config)
  return {
    ...nothing,
    run(settled) {
      answer(typeof outcome === 'string' ? resultText(from, id, outcome) : iqErrorText(from, id, outcome), 'iq')
      settled()
    },
  }
}

/** The content of the result, or why there is none. */
async function answerTo(
  deps: Deps,
  {
    query,
    type,
    sender,
    to,
    hasJoined,
  }: {
    query: Element | undefined
    type: 'get' | 'set'
    sender: Sender
    to: Jid
    hasJoined: (jid: string) => boolean
  },
): Promise<string | Refusal> {
  if (!query) return { condition: 'bad-request', text: 'nothing was asked' }
  if (query.is('ping', 'urn:xmpp:ping') && type === 'get') return isPong({ to, hasJoined }) ? '' : notJoined
  const isDisco = type === 'get' && (query.is('query', info) || query.is('query', items))
  if (!to.local) return isDisco ? aboutRooms(query) : notServed
  const jid = roomJidOf(to.local)
  if (jid === undefined) return noRoom
  if (query.is('query', admin)) return type === 'get' ? `<query xmlns='${admin}'/>` : ''
  if (!isDisco && !query.is('query', owner)) return notServed
  const found = await findRoom(deps, jid, sender.user)
  if ('condition' in found) return found
  if (query.is('query', items)) return `<query xmlns='${items}'/>`
  if (query.is('query', info)) return roomInfo(found.name)
  if (!found.isOwner) return notOwner
  if (type === 'get') return ownerForm(found.name)
  if (query.getChild('destroy')) return notHere
  const name = nameIn(query)
  if (name && found.isReserved) await deps.reservedRooms.setName(jid, sender.user, name)
  return ''
}

/** By a ping to their own nick clients find out whether they are still in a room (XEP-0410). */
function isPong({ to, hasJoined }: { to: Jid; hasJoined: (jid: string) => boolean }): boolean {
  if (!to.local || !to.resource) return true
  const jid = roomJidOf(to.local)
  return jid !== undefined && hasJoined(jid)
}

const aboutRooms = (query: Element) =>
  query.is('query', items)
    ? `<query xmlns='${items}'/>`
    : `<query xmlns='${info}'><identity category='conference' type='text' name='rooms'/><feature var='http://jabber.org/protocol/muc'/></query>`

/** The room as far as the one who asks may know of it. */
async function findRoom(
  { roomFacts, reservedRooms }: Deps,
  jid: string,
  user: number,
): Promise<{ name: string; isOwner: boolean; isReserved: boolean } | Refusal> {
  try {
    const { state, room, member } = await roomFacts.of(jid, user)
    if (state === 'live') return { name: room?.name ?? '', isOwner: member?.role === 1, isReserved: false }
    const reserved = state === 'unknown' ? await reservedRooms.get(jid) : undefined
    return reserved?.user === user ? { name: reserved.name, isOwner: true, isReserved: true } : noRoom
  } catch {
    return tryLater
  }
}

/** The name in a form that was filled in; all else in it is set over HTTP. */
function nameIn(query: Element): string | undefined {
  const fields = query.getChild('x', 'jabber:x:data')?.getChildElements() ?? []
  const field = fields.find(({ attrs }) => attrs['var'] === 'muc#roomconfig_roomname')
  return field?.getChildText('value')?.slice(0, longestName) || undefined
}
