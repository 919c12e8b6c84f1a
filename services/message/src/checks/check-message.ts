import { messageType } from '@im/contracts/message'
import { firstUserId } from '@im/contracts/user'
import { singleConversation } from '../archive/conversations.ts'
import type { Deps } from '../deps.ts'
import { type Refusal, refusalByRelation } from './may-write.ts'

const recall = 202

const gone: Refusal = { condition: 'service-unavailable', text: 'no such user' }
const notOwn: Refusal = { condition: 'not-allowed', text: 'only the own messages can be recalled' }
const serverType: Refusal = { condition: 'not-allowed', text: 'this type is sent by the server only' }

/** Whether the XMPP server may route a message of a single chat (spec xmpp.md §8). */
export async function checkMessage(
  { contacts, messages, relations }: Pick<Deps, 'contacts' | 'messages' | 'relations'>,
  { from, to, type, messageIds = [] }: { from: number; to: number; type: number; messageIds?: readonly string[] },
): Promise<{ allow: 0 | 1; condition?: string; text?: string }> {
  const refusal = await refusalOf()
  return refusal ? { allow: 0, ...refusal } : { allow: 1 }

  async function refusalOf(): Promise<Refusal | undefined> {
    if (from >= firstUserId && messageType(type).by === 'server') return serverType
    if (from === to) return undefined
    const receiver = await contacts.of(to)
    if (!receiver.exists || receiver.status !== 1) return gone
    if (type === recall && (await messages.anyFrom(to, singleConversation(from, to), messageIds))) return notOwn
    return await refusalByRelation({ contacts, relations }, { from, to, type, receiver })
  }
}
