import type { Standing } from '../room-facts/room-facts.ts'
import type { Refusal } from '../stanzas/refusal.ts'

const readReceipt = 26
const recall = 202
const invisible = 4

const forbidden = (text: string): Refusal => ({ condition: 'forbidden', text })

/**
 * Why a message of this type may not be said in a room; undefined when it may (spec xmpp.md §7). Who is muted still tells what
 * they have read and takes back what they said. `now` in ms.
 */
export function maySpeak({ room, member }: Standing, type: number, now: number): Refusal | undefined {
  if (!room || !member) return forbidden('only members may write')
  if (room.locked) return forbidden('the room is locked')
  if (member.role === invisible) return forbidden('you may only read')
  if (type === readReceipt || type === recall) return undefined
  if (member.talkTime * 1000 > now) return forbidden('you are muted')
  if (room.talkTime * 1000 > now && member.role > 2) return forbidden('all are muted')
  return undefined
}
