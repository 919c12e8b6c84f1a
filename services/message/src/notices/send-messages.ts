import { messagesPassed, messageType } from '@im/contracts/message'
import type { Change } from '@im/service-kit'
import type { Contact } from '../decide/contacts.ts'
import type { Deps } from '../deps.ts'
import type { MailboxRow } from '../mailbox/mailbox-repository.ts'
import { devicesElsewhere } from '../presence/devices-elsewhere.ts'
import { messageText } from '../stanzas/stanza-text.ts'
import type { Outgoing } from '../streams/delivery.ts'
import { xmlJson } from './xml-json.ts'

export interface Named {
  userId: number
  name: string
}

/** A message that the server sends to all devices of a user (spec xmpp.md §6). */
export interface ServerMessage {
  to: number
  /** Whom the stanza comes from. */
  from: number
  type: number
  /** Makes telling it again harmless, because apps know doubles by the id. */
  messageId: string
  /** As the body says it. */
  sender: Named
  receiver: Named
  content?: string
  objectId?: string | undefined
  fileName?: string | undefined
}

/** A name is never empty in a message. */
export const named = ({ userId, nickname }: Pick<Contact, 'userId' | 'nickname'>): Named => ({
  userId,
  name: nickname || String(userId),
})

export type SendDeps = KeepDeps & Pick<Deps, 'config' | 'now'>
type KeepDeps = Pick<Deps, 'deliverer' | 'mailbox' | 'mailboxLimits' | 'outbox' | 'presences' | 'feeds'>

/**
 * Sends messages that wait for whoever is not there. Resolves when they stand in the mailbox, so that they can't be lost; one
 * goes when the devices that are there have confirmed it. The push service is told of those that are pushed.
 */
export async function sendMessages(deps: SendDeps, messages: readonly ServerMessage[]): Promise<void> {
  if (!messages.length) return
  const { config, now } = deps
  const at = now()
  const outgoing = messages.map((message) => outgoingOf(message, at, config.xmppDomain))
  const passed = messages.filter(({ type }) => messageType(type).push !== '-')
  await keepAndDeliver(deps, outgoing, (change) => {
    if (passed.length) change.announce(messagesPassed, `user:${passed[0]!.to}`, { messages: passed.map(factOf) })
  })

  function factOf({ messageId, from, to, type }: ServerMessage) {
    const time = { timeSend: Math.floor(at / 1000), arrivedAt: at }
    return { messageId, from, to, contentType: type, ...time, isEncrypt: false, isReadDel: false }
  }
}

/**
 * Puts messages into mailboxes, as far as there is room (spec xmpp.md §5), with what `announce` tells, and hands them to the devices
 * that are there.
 */
export async function keepAndDeliver(
  deps: KeepDeps,
  messages: readonly Outgoing[],
  announce: (change: Change) => void = () => {},
): Promise<void> {
  const { deliverer, mailbox, mailboxLimits, outbox } = deps
  // Their servers may be lost from here on.
  for (const message of messages) message.known = deliverer.known(message)
  const [devices] = await Promise.all([
    devicesElsewhere(deps, messages),
    mailboxLimits.prepare(messages.map(({ user }) => user)),
  ])
  for (const message of messages) message.devices = devices.get(message.user) ?? []
  const rows = new Map<Outgoing, MailboxRow>()
  for (const message of messages) {
    const row = deliverer.firstRow(message)
    if (mailboxLimits.take(row.user, row.bytes)) rows.set(message, row)
  }
  const written = [...rows.values()]
  deliverer.rowsBegin(written)
  try {
    await outbox.commit(async (change) => {
      await mailbox.add(written, change)
      announce(change)
    })
    for (const message of messages) deliverer.deliver(message, { hasRow: rows.has(message), settled() {} })
  } catch (error) {
    for (const { user, bytes } of written) mailboxLimits.give(user, bytes)
    throw error
  } finally {
    deliverer.rowsEnd(written)
  }
}

function outgoingOf(message: ServerMessage, at: number, domain: string): Outgoing {
  const { to, from, type, messageId, sender, receiver, content = '', objectId, fileName } = message
  const body = xmlJson({
    type,
    messageId,
    fromUserId: String(sender.userId),
    fromUserName: sender.name,
    toUserId: String(receiver.userId),
    toUserName: receiver.name,
    content,
    timeSend: Math.floor(at / 1000),
    objectId,
    fileName,
  })
  return {
    user: to,
    from,
    messageId,
    at,
    seq: 0,
    text: messageText({ from: `${from}@${domain}`, id: messageId, type: 'chat', body, wantsReceipt: false }),
    id: messageId,
    waits: 'month',
    audience: { kind: 'available' },
  }
}
