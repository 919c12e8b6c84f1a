import type { StandingMember } from '@im/contracts/room'
import type { Element } from '@xmpp/component'
import type { Deps } from '../deps.ts'
import { isVisible, type MessageDocument } from '../messages/message-document.ts'
import type { StanzaText } from '../stanzas/stanza-text.ts'

/** How much of what was said a client wants to have again when it joins (XEP-0045 §7.2.14). */
export interface Wish {
  /** Not before this moment (ms). */
  since: number
  messages: number
  characters: number
}

/** No client gets more, whatever it wants (spec xmpp.md §7). */
const mostMessages = 100
/** Nor more text: a join is a few bytes, and may be sent again and again. */
const mostCharacters = 2 * 2 ** 20
/** Rows read on top, for those that the member does not see. */
const spareRows = 20
/** Rooms of one question, messages it may find, and how far back (ms) it reads. */
const roomsAtOnce = 100
const rowsAtOnce = 2000
const recentFor = 2 * 86_400_000
/** Rooms that are read apart at the same time. */
const readsAtOnce = 8

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
    characters: Math.min(numberIn(maxchars) ?? mostCharacters, mostCharacters),
  }
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : undefined
}

/** From when on (ms) somebody who joins gets what was said. */
export const wishedSince = (member: StandingMember, { since }: Wish) => Math.max(since, member.since)

/** Of what was said, the oldest first, what a member may see and wishes to have; `now` in ms. */
export function historyFor<S extends Said>(
  said: readonly S[],
  member: StandingMember,
  wish: Wish,
  now: number,
): Set<S> {
  const heard = new Set<S>()
  const reader = { user: member.userId, now }
  const since = wishedSince(member, wish)
  let length = 0
  for (const one of said.toReversed()) {
    if (heard.size === wish.messages) break
    if (one.message.ts < since || !isVisible(one.message, reader)) continue
    length += one.text.length
    if (length > wish.characters) break
    heard.add(one)
  }
  return heard
}

/** What was said in a room, and its stanza. */
interface Said {
  message: MessageDocument
  text: StanzaText
}

/** What of a room is wanted: so many messages, none before a moment (ms). */
interface Wanted {
  jid: string
  since: number
  messages: number
}

/** The newest messages of rooms, the newest first: all that is wanted of each, and maybe more. */
export type RoomHistories = ReadonlyMap<string, readonly MessageDocument[]>

/**
 * Reads what was said in rooms. All rooms of which the last days are wanted cost one question for each hundred of them; a room
 * costs one of its own where more is wanted, or so much was said.
 */
export async function readHistories(
  { messages }: Pick<Deps, 'messages'>,
  wanted: readonly Wanted[],
  now: number,
): Promise<RoomHistories> {
  const rooms = gathered(wanted)
  const found = new Map<string, MessageDocument[]>()
  const apart = rooms.filter(({ since }) => since < now - recentFor)
  const together = rooms.filter(({ since }) => since >= now - recentFor)
  await Promise.all(
    Array.from({ length: Math.ceil(together.length / roomsAtOnce) }, async (_, part) => {
      const some = together.slice(part * roomsAtOnce, (part + 1) * roomsAtOnce)
      const since = Math.min(...some.map((room) => room.since))
      const jids = some.map(({ jid }) => jid)
      const most = Math.min(
        some.reduce((sum, room) => sum + room.messages, 0),
        rowsAtOnce,
      )
      const rows = await messages.lastOfRooms(jids, since, most)
      const ofRooms = Map.groupBy(rows, ({ roomJid }) => roomJid)
      for (const room of some) {
        const own = ofRooms.get(room.jid) ?? []
        if (rows.length < most || own.length >= room.messages) found.set(room.jid, own)
        else apart.push(room)
      }
    }),
  )
  for (let first = 0; first < apart.length; first += readsAtOnce)
    await Promise.all(
      apart.slice(first, first + readsAtOnce).map(async ({ jid, since, messages: most }) => {
        found.set(jid, await messages.lastOfRoom(jid, since, most))
      }),
    )
  return found
}

/** Each room once, with all that is wanted of it. */
function gathered(wanted: readonly Wanted[]): Wanted[] {
  const rooms = new Map<string, Wanted>()
  for (const { jid, since, messages } of wanted) {
    if (!messages) continue
    const room = rooms.get(jid)
    rooms.set(jid, {
      jid,
      since: Math.min(since, room?.since ?? since),
      messages: Math.max(messages + spareRows, room?.messages ?? 0),
    })
  }
  return [...rooms.values()]
}
