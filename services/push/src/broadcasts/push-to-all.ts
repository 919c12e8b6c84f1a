import { ContractError } from '@im/contracts'
import { ordinaryUsers } from '@im/contracts/user'
import { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { contentText, furtherFields, objectIn } from '../notify/message-body.ts'
import { senderName } from './audience.ts'
import type { BroadcastBody } from './broadcasts-repository.ts'

/** Types that the console may send to all (spec 10-console.md). */
const sendable: ReadonlySet<unknown> = new Set([1, 2, 3, 6, 9, 80, 81])

/** Sends a message to all ordinary users in the name of a system or public account. Returns how many there are. */
export async function pushToAll(
  { broadcasts, now }: Pick<Deps, 'broadcasts' | 'now'>,
  from: number,
  text: string,
): Promise<{ id: string; count: number }> {
  const { user } = broadcasts.peers
  const fromUserName = await senderName(user, from)
  if (fromUserName === undefined)
    throw new ContractError('PermissionDenied', { detail: 'fromUserId: no system or public account' })
  const body = bodyOf(text)
  const { total: of } = await user.call(ordinaryUsers.pageOrdinaryUsers, { after: 0, pageSize: 1 })
  const id = new ObjectId().toHexString()
  const made = { from, fromUserName, audience: 'users', until: 0, body, of } as const
  await broadcasts.repository.add(id, made, now())
  return { id, count: of }
}

/** A text, or a message body as JSON. */
function bodyOf(text: string): BroadcastBody {
  const parsed = objectIn(text)
  if (!parsed) return { type: 1, content: text }
  const { type, content: given, ...more } = parsed
  if (!sendable.has(type)) throw new ContractError('InvalidParams', { detail: 'body: type' })
  const isContent = typeof given === 'string' || (typeof given === 'object' && given !== null)
  const content = isContent ? contentText(given) : ''
  if (!content.trim()) throw new ContractError('InvalidParams', { detail: 'body: content' })
  return { type: type as number, content, more: furtherFields(more) }
}
