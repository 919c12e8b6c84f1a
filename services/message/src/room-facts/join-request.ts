import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { roomJidOf } from '../read/addresses.ts'
import { asFlag, asText, type Body } from '../read/read-body.ts'
import type { Refusal } from '../stanzas/refusal.ts'

export const joinRequest = 916

const notTrue: Refusal = { condition: 'not-allowed', text: 'this is no request to somebody who decides on it' }
const tryLater: Refusal = { condition: 'resource-constraint', text: 'the room service does not answer' }

/**
 * Why a request to join a room does not go on: it is for its owner or an admin, of somebody who is no member, or of a member
 * who asks for others (`isInvite` 0; spec xmpp.md §6.4).
 */
export async function joinRequestRefusal(
  { roomFacts, log }: Pick<Deps, 'roomFacts' | 'log'>,
  { from, to }: { from: number; to: number },
  { fields }: Body,
): Promise<Refusal | undefined> {
  const { roomJid, isInvite } = requestIn(asText(fields['objectId']))
  const jid = roomJidOf(asText(roomJid))
  if (jid === undefined) return notTrue
  const standingOf = async (user: number) =>
    roomFacts.peek(jid, user, { forRefusal: true }) ?? (await roomFacts.ask(jid, user))
  try {
    const [sender, receiver] = await Promise.all([standingOf(from), standingOf(to)])
    const decides = receiver.member !== undefined && receiver.member.role <= 2
    return decides && asFlag(isInvite) === (sender.member === undefined) ? undefined : notTrue
  } catch (error) {
    if (!(error instanceof ContractError)) throw error
    log.debug({ err: error, jid }, 'a join request was put off: the room service does not answer')
    return tryLater
  }
}

function requestIn(text: string): { roomJid?: unknown; isInvite?: unknown } {
  try {
    const request: unknown = JSON.parse(text)
    return typeof request === 'object' && request !== null ? request : {}
  } catch {
    return {}
  }
}
