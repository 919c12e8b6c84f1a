import { roomsDomain } from '../config.ts'
import { type Answer, type MessageWrite, messageStep, refusedStep } from '../deliver/message-step.ts'
import { nothing, type Step } from '../deliver/step.ts'
import type { Deps } from '../deps.ts'
import { userIdOf } from '../read/addresses.ts'
import { type Entry, hasLongId, readMessage, type Sender } from '../read/read-message.ts'
import { prepareRoomEntry, roomTarget } from '../rooms/prepare-room-entry.ts'
import { receivedText } from '../stanzas/stanza-text.ts'
import type { Outgoing } from '../streams/delivery.ts'

/** Reads an entry and decides what comes of it. */
export function prepareEntry(
  deps: Deps,
  entry: Entry,
  sender: Sender,
  answer: Answer,
): Step<MessageWrite> | Promise<Step<MessageWrite>> {
  const { xmppDomain } = deps.config
  // No XMPP server of this release hands it on; one of an earlier release may have kept it.
  if (hasLongId(entry.stanza)) return nothing
  const room = roomTarget(entry, roomsDomain(deps.config))
  if (room) return prepareRoomEntry(deps, { entry, sender, to: room }, answer)
  if (entry.stanza.name !== 'message') return nothing
  const reading = readMessage(entry, sender, xmppDomain)
  switch (reading.kind) {
    case 'nothing':
      return nothing
    case 'refused':
      return refusedStep(deps, { id: entry.stanza.attrs['id'], to: reading.to }, reading.refusal, answer)
    case 'received':
      return receivedStep(deps, reading, entry, sender)
    case 'message':
      return messageStep(deps, reading.message, answer)
  }
}

/** A client's own receipts: to exactly the stream they are for, and nowhere else (spec xmpp.md §4). */
function receivedStep(
  { deliverer, config }: Deps,
  { to, ids }: { to: { local: string; domain: string; resource: string }; ids: readonly string[] },
  { seq, stamp, runBefore }: Entry,
  sender: Sender,
): Step<MessageWrite> {
  const user = userIdOf(to.local)
  if (runBefore || user === undefined || to.domain !== config.xmppDomain || !to.resource) return nothing
  const outgoing: Outgoing = {
    user,
    from: sender.user,
    messageId: '',
    at: stamp,
    seq,
    text: receivedText(sender.jid, ids),
    id: undefined,
    waits: 'never',
    audience: { kind: 'exactly', resource: to.resource },
  }
  return { size: 0, run: (settled) => deliverer.deliver(outgoing, { settled }), fail() {} }
}
