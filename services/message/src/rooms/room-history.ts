import type { StandingMember } from '@im/contracts/room'
import type { Element } from '@xmpp/component'
import { isVisible, type MessageDocument } from '../archive/message-document.ts'
import { stanzaId } from '../archive/message-row.ts'
import { roomsDomain } from '../config.ts'
import type { StanzaText } from '../deliver/stanza-text.ts'
import type { Deps } from '../deps.ts'
import type { JoinedRoom } from '../search/search-scope.ts'
import { roomAddress, saidBeforeText } from './room-stanzas.ts'

/** How much of what was said a client wants to have again when it joins (XEP-0045 §7.2.14). */
export interface Wish {
  /** Not before this moment (ms). */
  since: number
  messages: number
  characters: number
}

/** No client gets more, whatever it wants (spec xmpp.md §7). */
const mostMessages = 100
/** Rows read on top, for those that the member does not see. */
const spareRows = 20

/** What the presence of a join wishes; what can't be read says nothing. `now` in ms. */
export function readWish(presence: Element, now: number): Wish {
  const history = presence
    .getChildElements()
    .filter(({ name }) => name === 'x')
    .flatMap((x) => x.getChildElements().filter(({ name }) => name === 'history'))[0]
  const { seconds, since, maxstanzas, maxchars } = history?.attrs ?? {}
  const moment = since === undefined ? Number.NaN : Date.parse(since)
  return {
    since: Math.max(now - 1000 * (numberIn(seconds) ?? Number.POSITIVE_INFINITY), Number.isNaN(moment) ? 0 : moment, 0),
    messages: seconds?.trim() === '0' ? 0 : Math.min(numberIn(maxstanzas) ?? mostMessages, mostMessages),
    characters: numberIn(maxchars) ?? Number.POSITIVE_INFINITY,
  }
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : undefined
}

/** When a member joined, in ms. */
export const sinceOf = ({ joinedAt }: Pick<JoinedRoom, 'joinedAt'>) => Math.round(joinedAt * 1000)

/** Whether a member may see what came to a room then: `ts` in ms. Who left and came back sees nothing of the time between. */
export const isSince = (room: Pick<JoinedRoom, 'joinedAt'>, { ts }: Pick<MessageDocument, 'ts'>) => ts >= sinceOf(room)

/** What was said in a room as a member may see it, the oldest first: ids of the stanzas and their texts. */
export async function readHistory(
  { messages, config, now }: Pick<Deps, 'messages' | 'config' | 'now'>,
  jid: string,
  member: StandingMember,
  { since, messages: most, characters }: Wish,
): Promise<{ id: string; text: StanzaText }[]> {
  if (most === 0) return []
  const reader = { user: member.userId, now: now() }
  const from = Math.max(since, member.since)
  const found = await messages.lastOfRoom(jid, from, most + spareRows)
  const said: { id: string; text: StanzaText }[] = []
  let length = 0
  for (const message of found) {
    if (!isVisible(message, reader)) continue
    const { body, ts } = message
    const id = stanzaId(message)
    const text = saidBeforeText(roomAddress(roomsDomain(config), jid, message.from), { id, body, ts })
    length += text.length
    if (length > characters || said.push({ id: id ?? '', text }) === most) break
  }
  return said.reverse()
}
