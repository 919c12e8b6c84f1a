import { messageType } from '@im/contracts/message'
import type { ArchiveEntry, Outcome } from '../archive/archive-batch.ts'
import { decide, type Verdict } from '../decide/decide.ts'
import type { Deps } from '../deps.ts'
import type { MailboxRow } from '../mailbox/mailbox-repository.ts'
import { singleConversation } from '../messages/conversations.ts'
import { keyText, type MessageDocument } from '../messages/message-document.ts'
import { boundIds, deleteTimeOf, isBurnt, messageDocument, messageIdOf } from '../messages/new-document.ts'
import type { Mentions } from '../pushes/mentions.ts'
import { userIdOf } from '../read/addresses.ts'
import { asFlag } from '../read/read-body.ts'
import { type Message, peerJid } from '../read/read-message.ts'
import type { Refusal } from '../stanzas/refusal.ts'
import { errorText, messageText, receiptText, type StanzaName, sentCarbonText } from '../stanzas/stanza-text.ts'
import type { Outgoing } from '../streams/delivery.ts'
import { isPlainCopy, type RecentMessages } from './recent-messages.ts'
import type { Step } from './step.ts'

const readReceipt = 26
const recall = 202
const isAboutFriends = (type: number) => type >= 500 && type <= 510
/** Characters of such a message that are kept: a list shows them. */
const longestRequest = 500

/** Something push has to know of, though the archive doesn't. */
export interface Passed {
  messageId: string
  from: number
  to: number
  contentType: number
  timeSend: number
  arrivedAt: number
  isEncrypt: boolean
  isReadDel: boolean
}

/** The same of a message to a room. */
export interface PassedInRoom extends Omit<Passed, 'to'>, Mentions {
  roomJid: string
}

/** Something that the list of new friends shows, though the archive keeps no such message. */
export interface FriendTold {
  messageId: string
  from: number
  to: number
  contentType: number
  content: string
  arrivedAt: number
}

/** What of a message has to be written before anybody hears of it. */
export interface MessageWrite {
  entry: ArchiveEntry
  /** Of its message among `recentMessages`. */
  key?: string
  /** To its receiver. */
  outgoing: Outgoing | undefined
  passed?: Passed | undefined
  passedInRoom?: PassedInRoom | undefined
  friendTold?: FriendTold | undefined
  /** Set by the write: what became of it, why it was refused if it was, and the row that was written with it. */
  outcome?: Outcome
  refusal?: Refusal
  row?: MailboxRow
}

/** Answers the sender, by the stream the stanza came by; with a message unless it is named otherwise. */
export type Answer = (text: string, name?: StanzaName) => void

/** A message to a user, from the decision to what its sender is told. */
export function messageStep(
  deps: Deps,
  message: Message,
  answer: Answer,
): Step<MessageWrite> | Promise<Step<MessageWrite>> {
  const verdict = decide(deps, message)
  if (!(verdict instanceof Promise)) return decidedStep(deps, message, verdict, answer)
  const known = knownDevices(deps, message)
  return verdict.then((settled) => {
    const step = decidedStep(deps, message, settled, answer)
    if (step.write?.outgoing) step.write.outgoing.known = [...known, ...(step.write.outgoing.known ?? [])]
    return step
  })
}

/** Who is there when it comes: it may wait for facts and for the database, and a server may be lost meanwhile. */
function knownDevices({ deliverer }: Pick<Deps, 'deliverer'>, { to }: Message): string[] {
  const user = userIdOf(to.local)
  return user === undefined ? [] : deliverer.known({ user, audience: audienceOf(to) })
}

const audienceOf = ({ resource }: Message['to']): Outgoing['audience'] =>
  resource ? { kind: 'resource', resource } : { kind: 'available' }

function decidedStep(deps: Deps, message: Message, verdict: Verdict, answer: Answer): Step<MessageWrite> {
  const receiver = userIdOf(message.to.local)!
  if (!verdict.goes) {
    const { refusal, byFacts } = verdict
    if (!refusal) return stoppedStep(message, answer)
    return byFacts ? declinedStep(deps, message, refusal, answer) : refusedStep(deps, message, refusal, answer)
  }
  return receiver === message.sender.user ? ownStep(deps, message, answer) : peerStep(deps, message, receiver, answer)
}

/**
 * A message to a user that facts forbid. They may change, and the entry may come again: what is kept of it decides then, not the
 * facts. `say` tells the sender, who is told that it is taken when it was taken before.
 */
export function declinedStep(
  deps: Deps,
  message: Message,
  refusal: Refusal,
  answer: Answer,
  say = (told: Refusal) => answer(errorText(peerJid(message), message.id, told)),
): Step<MessageWrite> {
  const receiver = userIdOf(message.to.local)!
  return peerStep(deps, message, receiver, answer, { refusal, say })
}

/** A message that is to be refused, and how its sender is told. */
export interface Declined {
  refusal: Refusal
  say(refusal: Refusal): void
}

/** A message that is not taken, whoever decides on it again: its sender is told, and that is all. */
export function refusedStep(
  { feedMetrics }: Pick<Deps, 'feedMetrics'>,
  { id, ...message }: Pick<Message, 'id' | 'to'>,
  refusal: Refusal,
  answer: Answer,
): Step<MessageWrite> {
  const say = () => answer(errorText(peerJid(message), id, refusal))
  return {
    size: 0,
    run(settled) {
      feedMetrics.refused.inc({ condition: refusal.condition })
      say()
      settled()
    },
    fail() {},
  }
}

/** A message that reaches nobody, though its sender is told as ever. */
export const stoppedStep = (message: Message, answer: Answer): Step<MessageWrite> => ({
  size: 0,
  run(settled) {
    confirm(message, answer)
    settled()
  },
  fail() {},
})

const confirm = ({ id, type, wantsReceipt, ...message }: Message, answer: Answer): void => {
  if (id && type && wantsReceipt) answer(receiptText(peerJid(message), id))
}

const textOf = ({ sender, id, type, body, wantsReceipt }: Message) =>
  messageText({ from: sender.jid, id, type, body: body.text, wantsReceipt })

/** Between devices of one user (spec xmpp.md §5): to all others, or exactly one; nothing is kept. */
function ownStep({ deliverer }: Deps, message: Message, answer: Answer): Step<MessageWrite> {
  const { sender, to, seq, stamp } = message
  return {
    size: 0,
    run(settled) {
      confirm(message, answer)
      if (message.runBefore) return void message.runBefore.then(settled)
      deliverer.deliver(
        {
          user: sender.user,
          from: sender.user,
          messageId: messageIdOf(message),
          at: stamp,
          seq,
          text: textOf(message),
          id: message.id,
          waits: 'never',
          audience: to.resource
            ? { kind: 'exactly', resource: to.resource }
            : { kind: 'others', stream: sender.stream },
        },
        { settled },
      )
    },
    fail() {},
  }
}

function peerStep(
  deps: Deps,
  message: Message,
  receiver: number,
  answer: Answer,
  declined?: Declined,
): Step<MessageWrite> {
  const { deliverer, recentMessages, feedMetrics } = deps
  const { sender, to, body, seq, stamp, tap } = message
  const conversation = singleConversation(sender.user, receiver)
  const messageId = messageIdOf(message)
  const key = keyText({ messageId, conversation, from: sender.user })
  const isCopy = () => (recentMessages.get(key) ?? tap) !== tap
  if (isPlainCopy(recentMessages, key, tap)) return copyStep(() => confirm(message, answer))

  const { waits } = messageType(body.type)
  const deleteTime = deleteTimeOf(message)
  const outgoing: Outgoing = {
    user: receiver,
    from: sender.user,
    messageId,
    conversation,
    at: stamp,
    seq,
    text: textOf(message),
    id: message.id,
    waits,
    ...(deleteTime > 0 ? { expireAt: deleteTime * 1000 } : {}),
    audience: audienceOf(to),
  }
  if (waits !== 'never') outgoing.known = knownDevices(deps, message)
  const asked = declined
    ? declinedWrite(deps, message, outgoing, { conversation, key, refusal: declined.refusal })
    : writeOf(deps, message, outgoing, conversation, key)
  const write = message.runBefore ? outcomeWrite(recentMessages, message, key, asked) : asked
  const refuse = (refusal: Refusal) => {
    feedMetrics.refused.inc({ condition: refusal.condition })
    if (declined) declined.say(refusal)
    else answer(errorText(peerJid(message), message.id, refusal))
  }
  return {
    ...(write ? { write } : {}),
    size: body.text.length,
    run(settled) {
      const { row, outcome, refusal } = write ?? {}
      try {
        if (outcome === 'refused') {
          refuse(refusal!)
          return settled()
        }
        if (declined && write?.entry.mind) return settled()
        confirm(message, answer)
        if (message.runBefore && outcome !== 'new') return void message.runBefore.then(settled)
        if (isCopy() || outcome === 'resent' || outcome === 'gone') return settled()
        recentMessages.set(key, tap)
        deliverer.deliver(outgoing, { hasRow: row !== undefined, settled })
        copyToOwn(deps, message, outgoing.text)
      } finally {
        if (row) deliverer.rowsEnd([row])
      }
    },
    fail() {
      answer(errorText(peerJid(message), message.id, { condition: 'internal-server-error', text: 'not stored' }))
    },
  }
}

/** Of a message that came before: what finds out, for its sender, what became of it; undefined when it is known to be taken. */
export const outcomeWrite = (
  recentMessages: RecentMessages,
  { tap }: Message,
  key: string,
  write: MessageWrite | undefined,
): MessageWrite | undefined =>
  write && recentMessages.get(key) !== tap ? { entry: write.entry, key, outgoing: undefined } : undefined

/** The other streams of the sender that asked for it get a copy of what is sent (XEP-0280). */
function copyToOwn({ deliverer, config }: Deps, { sender, seq, stamp, toJid }: Message, text: string): void {
  deliverer.deliver(
    {
      user: sender.user,
      from: sender.user,
      messageId: '',
      at: stamp,
      seq,
      text: sentCarbonText(`${sender.user}@${config.xmppDomain}`, toJid, text),
      id: undefined,
      waits: 'never',
      audience: { kind: 'carbons', stream: sender.stream },
    },
    { settled() {} },
  )
}

/** It was sent again: its sender is told once more that it is here, and that is all. */
export const copyStep = (confirm: () => void): Step<MessageWrite> => ({
  size: 0,
  run(settled) {
    confirm()
    settled()
  },
  fail() {},
})

/**
 * What is kept of a message that is refused. One that the archive does not keep (`document` is undefined) may have been passed on
 * when it came before: then it is only refused again if it was refused, and otherwise nothing is said of it.
 */
export const refusalEntry = (
  { feeds }: Pick<Deps, 'feeds'>,
  message: Message,
  { conversation, document }: { conversation: string; document: MessageDocument | undefined },
  refusal: Refusal,
): ArchiveEntry => {
  const { tap } = message
  const name = nameOf(message, conversation)
  return document || !feeds.cameBefore(tap) ? { tap, refuse: { ...name, refusal } } : { tap, mind: name }
}

const nameOf = (message: Message, conversation: string) => ({
  conversation,
  messageId: messageIdOf(message),
  from: message.sender.user,
  ts: message.stamp,
})

/** So late (ms) a copy of it may have come before, by another log or to another replica. */
const lateAfter = 1000

/** The name of a message that the archive does not keep, when it, or a copy of it, may have been refused before. */
export const mindOf = ({ feeds, now }: Pick<Deps, 'feeds' | 'now'>, message: Message, conversation: string) =>
  feeds.cameBefore(message.tap) || now() - message.stamp > lateAfter ? { mind: nameOf(message, conversation) } : {}

/** It is delivered when it was taken before. */
function declinedWrite(
  deps: Deps,
  message: Message,
  outgoing: Outgoing,
  { conversation, key, refusal }: { conversation: string; key: string; refusal: Refusal },
): MessageWrite {
  const document = messageDocument(message, { conversation, to: outgoing.user })
  const entry = refusalEntry(deps, message, { conversation, document }, refusal)
  return { entry, key, outgoing: entry.mind ? undefined : outgoing }
}

/** Undefined when nothing of it has to be written, or looked up, before it goes on. */
function writeOf(
  deps: Deps,
  message: Message,
  outgoing: Outgoing,
  conversation: string,
  key: string,
): MessageWrite | undefined {
  const { body, sender, tap } = message
  const { user } = outgoing
  const store = messageDocument(message, { conversation, to: user })
  const entry: ArchiveEntry = { tap, ...(store ? { store } : mindOf(deps, message, conversation)) }
  if (body.type === readReceipt) entry.read = { conversation, author: user, messageIds: boundIds(body.content) }
  if (body.type === recall) entry.recall = { conversation, by: sender.user, messageIds: boundIds(body.content) }
  const isPushed = !store && messageType(body.type).push !== '-'
  const passed: Passed | undefined = isPushed ? { ...passedOf(message), to: user } : undefined
  const friendTold = isAboutFriends(body.type) ? friendToldBy(message, outgoing) : undefined
  const needsWrite =
    store || entry.mind || entry.read || entry.recall || passed || friendTold || outgoing.waits !== 'never'
  return needsWrite ? { entry, key, outgoing, passed, friendTold } : undefined
}

/** What push has to know of a message that is not archived, wherever it goes. */
export const passedOf = (message: Message): Omit<Passed, 'to'> => ({
  messageId: messageIdOf(message),
  from: message.sender.user,
  contentType: message.body.type,
  timeSend: Math.floor(message.stamp / 1000),
  arrivedAt: message.stamp,
  isEncrypt: asFlag(message.body.fields['isEncrypt']),
  isReadDel: isBurnt(message),
})

const friendToldBy = ({ body, sender, stamp }: Message, { user, messageId }: Outgoing): FriendTold => ({
  messageId,
  from: sender.user,
  to: user,
  contentType: body.type,
  content: body.content.slice(0, longestRequest).toWellFormed(),
  arrivedAt: stamp,
})
