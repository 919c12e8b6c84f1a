import { ContractError } from '@im/contracts'
import { messageType } from '@im/contracts/message'
import type { ArchiveEntry } from '../archive/archive-batch.ts'
import { roomsDomain } from '../config.ts'
import { refusalByBody, type Verdict } from '../decide/decide.ts'
import {
  type Answer,
  copyStep,
  type Declined,
  declinedStep,
  type MessageWrite,
  messageStep,
  mindOf,
  outcomeWrite,
  passedOf,
  refusalEntry,
  refusedStep,
  stoppedStep,
} from '../deliver/message-step.ts'
import { isPlainCopy } from '../deliver/recent-messages.ts'
import type { Step } from '../deliver/step.ts'
import type { Deps } from '../deps.ts'
import { roomConversation } from '../messages/conversations.ts'
import { keyText } from '../messages/message-document.ts'
import { boundIds, messageDocument, messageIdOf } from '../messages/new-document.ts'
import { mentionsIn } from '../pushes/mentions.ts'
import { userIdOf } from '../read/addresses.ts'
import { asText } from '../read/read-body.ts'
import { type Entry, type Message, peerJid } from '../read/read-message.ts'
import { joinRequest } from '../room-facts/join-request.ts'
import type { Refusal } from '../stanzas/refusal.ts'
import { errorText, receiptText } from '../stanzas/stanza-text.ts'
import { maySpeak } from './may-speak.ts'
import type { RoomOrder } from './room-order.ts'
import { roomAddress, saidText } from './room-stanzas.ts'

const [text, recall] = [1, 202]
/** What two people tell each other, or one who decides: apps believe it wherever it comes from. */
const notForRooms = (type: number) => (type >= 500 && type <= 510) || type === joinRequest
const go: Verdict = { goes: true }
const refuse = (condition: Refusal['condition'], text: string): Verdict & { goes: false } => ({
  goes: false,
  refusal: { condition, text },
})
const tryLater = refuse('resource-constraint', 'it cannot be found out now whether you may write')
const notSaidHere = refuse('not-allowed', 'this is not said in rooms')
const notOwn = refuse('not-allowed', 'only owner and admins recall messages of others')

/** A message to a room, from the decision to what its sender is told. */
export function roomMessageStep(
  deps: Deps,
  entry: Entry,
  message: Message,
  jid: string,
  answer: Answer,
): Step<MessageWrite> | Promise<Step<MessageWrite>> {
  const verdict = decideInRoom(deps, message, jid)
  const stopped: RoomVerdict = { goes: false }
  const filter = (settled: RoomVerdict) => (settled.goes && deps.keywordFilter.stops(message.body) ? stopped : settled)
  const decided = (settled: RoomVerdict) => {
    const room = { ...message, toJid: roomAddress(roomsDomain(deps.config), jid) }
    const said = (mayRecallAny: boolean, declined?: Declined) =>
      saidStep(deps, entry, room, { jid, mayRecallAny, declined }, answer)
    if (settled.goes) return said(settled.mayRecallAny === true)
    const { refusal, byFacts } = settled
    if (!refusal) return stoppedStep(message, answer)
    if (!byFacts) return refusedStep(deps, message, refusal, answer)
    return said(false, { refusal, say: (told) => answer(errorText(peerJid(message), message.id, told)) })
  }
  return verdict instanceof Promise ? verdict.then((settled) => decided(filter(settled))) : decided(filter(verdict))
}

type RoomVerdict = Verdict & { mayRecallAny?: boolean }

/** Decides by spec xmpp.md §7 and §8. It never refuses by what may be old. */
function decideInRoom(deps: Deps, message: Message, jid: string): RoomVerdict | Promise<RoomVerdict> {
  const { roomFacts, now, log } = deps
  const { sender, body } = message
  const forbidden = refusalByBody(message)
  if (forbidden) return forbidden
  if (notForRooms(body.type)) return notSaidHere
  const known = roomFacts.peek(jid, sender.user)
  if (known && body.type !== recall && !maySpeak(known, body.type, now())) return go
  return askAndDecide()

  async function askAndDecide(): Promise<RoomVerdict> {
    try {
      const standing = roomFacts.peek(jid, sender.user, { forRefusal: true }) ?? (await roomFacts.ask(jid, sender.user))
      const refusal = maySpeak(standing, body.type, now())
      if (refusal) return { goes: false, refusal, byFacts: true }
      if (body.type !== recall) return go
      const mayRecallAny = (standing.member?.role ?? 3) <= 2
      const isOthers =
        !mayRecallAny &&
        (await deps.messages.ofRoom(roomConversation(jid), boundIds(body.content))).some(
          ({ from }) => from !== sender.user,
        )
      return isOthers ? { ...notOwn, byFacts: true } : { goes: true, mayRecallAny }
    } catch (error) {
      if (!(error instanceof ContractError)) throw error
      log.debug({ err: error, jid }, 'a message was put off: what its sender is in the room cannot be asked')
      return { ...tryLater, byFacts: true }
    }
  }
}

/** It is stored, confirmed, and goes to all who have joined, the sender's own streams among them. */
function saidStep(
  deps: Deps,
  entry: Entry,
  message: Message,
  { jid, mayRecallAny, declined }: { jid: string; mayRecallAny: boolean; declined: Declined | undefined },
  answer: Answer,
): Step<MessageWrite> {
  const { recentMessages, roomFanOut, occupants, streams, config, feedMetrics } = deps
  const { sender, body, tap, id, wantsReceipt, stamp: at } = message
  const room = roomAddress(roomsDomain(config), jid)
  const conversation = roomConversation(jid)
  const key = keyText({ messageId: messageIdOf(message), conversation, from: sender.user })
  const confirm = () => {
    if (id && wantsReceipt) answer(receiptText(room, id))
  }
  const isCopy = () => (recentMessages.get(key) ?? tap) !== tap
  if (isPlainCopy(recentMessages, key, tap)) return copyStep(confirm)
  const asked = declined
    ? declinedWrite(deps, message, { jid, conversation, key, refusal: declined.refusal })
    : writeOf(deps, message, conversation, { jid, key, mayRecallAny })
  const write = message.runBefore ? outcomeWrite(recentMessages, message, key, asked) : asked
  const refuse = declined?.say ?? ((refusal: Refusal) => answer(errorText(room, id, refusal)))
  const text = saidText(`${room}/${sender.user}`, { id, body: body.text, wantsReceipt })
  const isKept = messageType(body.type).waits !== 'never'
  const order: RoomOrder = { kind: 'say', jid, text, at, from: sender.user, ...(isKept && id ? { id } : {}) }
  return {
    ...(write ? { write } : {}),
    size: body.text.length,
    run(settled) {
      const { outcome, refusal } = write ?? {}
      if (outcome === 'refused') {
        feedMetrics.refused.inc({ condition: refusal!.condition })
        refuse(refusal!)
        return settled()
      }
      if (declined && write?.entry.mind) return settled()
      confirm()
      if (isCopy() || outcome === 'resent' || outcome === 'gone') return settled()
      recentMessages.set(key, tap)
      const stream = streams.find(entry.server, entry.stream)
      if (stream) occupants.admit(stream, jid)
      if (message.runBefore && outcome !== 'new') void message.runBefore.then(settled)
      else roomFanOut.send(order, settled)
    },
    fail() {
      answer(errorText(room, id, { condition: 'internal-server-error', text: 'not stored' }))
    },
  }
}

function declinedWrite(
  deps: Deps,
  message: Message,
  { jid, conversation, key, refusal }: { jid: string; conversation: string; key: string; refusal: Refusal },
): MessageWrite {
  const document = messageDocument(message, { conversation, roomJid: jid })
  return { entry: refusalEntry(deps, message, { conversation, document }, refusal), key, outgoing: undefined }
}

/** Undefined when nothing of it is written. */
function writeOf(
  deps: Deps,
  message: Message,
  conversation: string,
  { jid, key, mayRecallAny }: { jid: string; key: string; mayRecallAny: boolean },
): MessageWrite | undefined {
  const { body, sender, tap } = message
  const store = messageDocument(message, { conversation, roomJid: jid })
  const entry: ArchiveEntry = { tap, ...(store ? { store } : mindOf(deps, message, conversation)) }
  if (body.type === recall)
    entry.recall = {
      ...{ conversation, by: sender.user, messageIds: boundIds(body.content) },
      ...(mayRecallAny ? { anybody: true as const } : {}),
    }
  const isPushed = !store && messageType(body.type).push !== '-'
  const mentions = mentionsIn(body.type === text ? asText(body.fields['objectId']) : '', jid)
  const passedInRoom = isPushed ? { ...passedOf(message), roomJid: jid, ...mentions } : undefined
  return store || entry.mind || entry.recall || passedInRoom
    ? { entry, key, outgoing: undefined, passedInRoom }
    : undefined
}

const noOccupant: Refusal = { condition: 'item-not-found', text: 'no such member' }
const notPrivate: Refusal = { condition: 'not-allowed', text: 'the room allows no private messages' }

/**
 * A message to one member, by their nick: a message of the single chat of the two that comes from the room's address of its
 * sender.
 */
export async function privateMessageStep(
  deps: Deps,
  message: Message,
  jid: string,
  answer: Answer,
): Promise<Step<MessageWrite>> {
  const { roomFacts, config, now, log } = deps
  const { sender, to, body } = message
  const receiver = userIdOf(to.resource)
  if (receiver === undefined) return refusedStep(deps, message, noOccupant, answer)
  const from = roomAddress(roomsDomain(config), jid, sender.user)
  const single = { local: String(receiver), domain: config.xmppDomain, resource: '' }
  const asChat: Message = { ...message, sender: { ...sender, jid: from }, to: single, type: 'chat' }
  const refused = (refusal: Refusal) =>
    receiver === sender.user
      ? refusedStep(deps, message, refusal, answer)
      : declinedStep(deps, asChat, refusal, answer, (told) => answer(errorText(peerJid(message), message.id, told)))
  try {
    const standing = roomFacts.peek(jid, sender.user, { forRefusal: true }) ?? (await roomFacts.ask(jid, sender.user))
    const refusal = maySpeak(standing, body.type, now())
    if (refusal) return refused(refusal)
    if (standing.room?.allowSendCard === 0) return refused(notPrivate)
    const other = roomFacts.peek(jid, receiver, { forRefusal: true }) ?? (await roomFacts.ask(jid, receiver))
    // Who is there in a hidden role is known to the owner alone.
    if (!other.member || (other.member.role > 3 && standing.member?.role !== 1)) return refused(noOccupant)
  } catch (error) {
    if (!(error instanceof ContractError)) throw error
    log.debug({ err: error, jid }, 'a message was put off: what its sender is in the room cannot be asked')
    return refused({ condition: 'resource-constraint', text: 'it cannot be found out now whether you may write' })
  }
  return await messageStep(deps, asChat, answer)
}
