import { ContractError, type Params, type ResultOf } from '@im/contracts'
import { messageType, type serverMessages } from '@im/contracts/message'
import { ObjectId } from 'mongodb'
import { archiveBatch } from '../archive/archive-batch.ts'
import type { Deps } from '../deps.ts'
import type { MailboxRow } from '../mailbox/mailbox-repository.ts'
import { singleConversation } from '../messages/conversations.ts'
import { longestName, type MessageDocument } from '../messages/message-document.ts'
import { xmlJson } from '../notices/xml-json.ts'
import { devicesElsewhere } from '../presence/devices-elsewhere.ts'
import { messageText } from '../stanzas/stanza-text.ts'
import type { Outgoing } from '../streams/delivery.ts'

type Send = (typeof serverMessages)['sendToUsers']
type Receiver = Params<Send>['receivers'][number]

interface Sent {
  document: MessageDocument
  outgoing: Outgoing
}

/** What only the sender's app may say of a message: it would change how long it lives, or whether it can be read. */
const notOurs = new Set(['isEncrypt', 'isReadDel', 'deleteTime', 'signature', 'encryptType'])

/** Receivers of one transaction: chat waits behind it. More of them are half the work for each. */
const receiversAtOnce = { besideChat: 25, alone: 100 }
/** How long (ms) a call gives way to chat at most: somebody waits for its answer. */
const longestWait = 4000

/**
 * Sends one message to many users: archived, and owed to each by a mailbox row of the same transaction, so that nothing is lost
 * when this process dies. The messageId makes sending it again harmless. Resolves when all of it is committed. Chat goes first.
 */
export async function sendToUsers(deps: Deps, params: Params<Send>): Promise<ResultOf<Send>> {
  if (!messageType(params.type).archived) throw new ContractError('InvalidParams', { detail: 'type: is not archived' })
  const receivers = params.receivers.filter(({ userId }) => userId !== params.from)
  await deps.mailboxLimits.prepare(receivers.map(({ userId }) => userId))
  const all = { sent: 0, known: 0 }
  const longestRest = longestWait / Math.ceil(receivers.length / receiversAtOnce.besideChat)
  for (let first = 0; first < receivers.length; ) {
    const count = deps.chatFirst.isChatting ? receiversAtOnce.besideChat : receiversAtOnce.alone
    const some = receivers.slice(first, first + count)
    const store = () => storeAndDeliver(deps, params, some)
    const { sent, known } = await (receivers.length > 1 ? deps.chatFirst.part(store, longestRest) : store())
    all.sent += sent
    all.known += known
    first += count
  }
  return all
}

/** Sends it to some, as of now: what they and the account wrote while it gave way came before it. */
async function storeAndDeliver(
  deps: Deps,
  params: Params<Send>,
  receivers: readonly Receiver[],
): Promise<ResultOf<Send>> {
  const { deliverer, mailbox, mailboxLimits, feedMetrics, config } = deps
  const at = deps.now()
  const messages = receivers.map((receiver) => messageFor(params, receiver, at, config.xmppDomain))
  const all = messages.map(({ outgoing }) => outgoing)
  // Their servers may be lost from here on.
  for (const outgoing of all) outgoing.known = deliverer.known(outgoing)
  const devices = await devicesElsewhere(deps, all)
  for (const outgoing of all) outgoing.devices = devices.get(outgoing.user) ?? []
  // Beyond the limit of a mailbox a message is in the archive alone (spec xmpp.md §5).
  const taken = messages.map(({ outgoing }) => {
    const row = deliverer.firstRow(outgoing)
    return mailboxLimits.take(row.user, row.bytes) ? row : undefined
  })
  const entries = messages.map(({ document }, n) => ({ tap: document.tap, store: document, row: taken[n] }))
  const written = new Set<MailboxRow>()
  deliverer.rowsBegin(all)
  try {
    const outcomes = await archiveBatch(deps, entries, {
      written: (fresh) => {
        for (const { row } of fresh) if (row) written.add(row)
      },
      alongside: async (fresh, change) => {
        await mailbox.add(
          [...fresh].flatMap(({ row }) => row ?? []),
          change,
        )
      },
    })
    messages.forEach(({ outgoing }, n) => {
      if (outcomes[n] !== 'new') return
      feedMetrics.stored.inc()
      deliverer.deliver(outgoing, { hasRow: written.has(taken[n]!), settled() {} })
    })
    const sent = outcomes.filter((outcome) => outcome === 'new').length
    return { sent, known: outcomes.length - sent }
  } catch (error) {
    written.clear()
    throw error
  } finally {
    deliverer.rowsEnd(all)
    for (const row of taken) if (row && !written.has(row)) mailboxLimits.give(row.user, row.bytes)
  }
}

function messageFor(
  { from, fromUserName, type, content, more = {} }: Params<Send>,
  { userId, name = '', messageId }: Receiver,
  at: number,
  domain: string,
): Sent {
  const conversation = singleConversation(from, userId)
  const timeSend = at / 1000
  const sender = fromUserName || String(from)
  const body = xmlJson({
    ...Object.fromEntries(Object.entries(more).filter(([field]) => !notOurs.has(field))),
    ...{ type, messageId, content, timeSend },
    ...{ fromUserId: String(from), fromUserName: sender, toUserId: String(userId), toUserName: name || String(userId) },
  })
  const fromJid = `${from}@${domain}`
  const document: MessageDocument = {
    _id: new ObjectId(),
    conversation,
    to: userId,
    messageId,
    from,
    fromJid,
    toJid: `${userId}@${domain}`,
    nickname: sender.slice(0, longestName),
    toName: name.slice(0, longestName),
    body,
    contentType: type,
    content,
    ...(type === 9 && typeof more['fileName'] === 'string' ? { fileName: more['fileName'] } : {}),
    timeSend,
    ts: at,
    deleteTime: -1,
    isEncrypt: false,
    isRead: false,
    unreadBy: userId,
    deletedFor: [],
    searchable: messageType(type).searched,
    tap: `sent-${from}:${messageId}`,
  }
  const outgoing: Outgoing = {
    ...{ user: userId, from, messageId, conversation, at, seq: 0, id: messageId, waits: 'month' },
    text: messageText({ from: fromJid, id: messageId, type: 'chat', body, wantsReceipt: true }),
    audience: { kind: 'available' },
  }
  return { document, outgoing }
}
