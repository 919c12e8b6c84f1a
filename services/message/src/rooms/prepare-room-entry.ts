import { roomsDomain } from '../config.ts'
import { type Answer, type MessageWrite, refusedStep } from '../deliver/message-step.ts'
import { nothing, type Step } from '../deliver/step.ts'
import type { Deps } from '../deps.ts'
import { type Jid, parseJid, roomJidOf } from '../read/addresses.ts'
import { type Entry, readMessage, type Sender } from '../read/read-message.ts'
import type { Refusal } from '../stanzas/refusal.ts'
import { joinStep, leaveStep } from './join-room.ts'
import { roomIqStep } from './room-iq.ts'
import { privateMessageStep, roomMessageStep } from './room-message.ts'
import { joinErrorText, roomAddress } from './room-stanzas.ts'

const noRoom: Refusal = { condition: 'item-not-found', text: 'no such room' }
const groupchatOnly: Refusal = { condition: 'bad-request', text: 'messages to a room are of type groupchat' }
const notToOne: Refusal = { condition: 'bad-request', text: 'groupchat goes to all' }

/** Where a stanza goes when it is for a room or their domain; undefined when it is not. */
export function roomTarget({ stanza }: Entry, domain: string): Jid | undefined {
  const to = parseJid(stanza.attrs['to'] ?? '')
  return to.domain === domain ? to : undefined
}

/** Reads an entry for a room and decides what comes of it (spec xmpp.md §7). */
export function prepareRoomEntry(
  deps: Deps,
  { entry, sender, to }: { entry: Entry; sender: Sender; to: Jid },
  answer: Answer,
): Step<MessageWrite> | Promise<Step<MessageWrite>> {
  switch (entry.stanza.name) {
    case 'message':
      return messageToRoom(deps, entry, sender, answer)
    case 'presence':
      return presenceToRoom(deps, { entry, sender, to }, answer)
    case 'iq':
      return roomIqStep(deps, { entry, sender, to }, answer)
    default:
      return nothing
  }
}

function messageToRoom(
  deps: Deps,
  entry: Entry,
  sender: Sender,
  answer: Answer,
): Step<MessageWrite> | Promise<Step<MessageWrite>> {
  const reading = readMessage(entry, sender, deps.config.xmppDomain)
  if (reading.kind === 'refused')
    return refusedStep(deps, { id: entry.stanza.attrs['id'], to: reading.to }, reading.refusal, answer)
  if (reading.kind !== 'message') return nothing
  const { message } = reading
  const jid = roomJidOf(message.to.local)
  const isForAll = message.type === 'groupchat'
  if (jid === undefined) return refusedStep(deps, message, noRoom, answer)
  if (isForAll && message.to.resource) return refusedStep(deps, message, notToOne, answer)
  if (isForAll) return roomMessageStep(deps, entry, message, jid, answer)
  if (!message.to.resource) return refusedStep(deps, message, groupchatOnly, answer)
  return privateMessageStep(deps, message, jid, answer)
}

function presenceToRoom(
  deps: Deps,
  { entry, sender, to }: { entry: Entry; sender: Sender; to: Jid },
  answer: Answer,
): Step<MessageWrite> | Promise<Step<MessageWrite>> {
  const { type, id } = entry.stanza.attrs
  if (type !== undefined && type !== 'unavailable') return nothing
  const jid = roomJidOf(to.local)
  if (jid === undefined) {
    const rooms = roomsDomain(deps.config)
    return {
      ...nothing,
      run(settled) {
        if (!type) answer(joinErrorText(to.local ? roomAddress(rooms, to.local) : rooms, id, noRoom), 'presence')
        settled()
      },
    }
  }
  const presence = { entry, sender, jid, nick: to.resource }
  return type === 'unavailable' ? leaveStep(deps, presence, answer) : joinStep(deps, presence, answer)
}
