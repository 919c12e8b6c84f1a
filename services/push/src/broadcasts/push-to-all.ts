import { ContractError } from '@im/contracts'
import { ordinaryUsers } from '@im/contracts/user'
import { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { senderName } from './audience.ts'
import type { BroadcastBody } from './broadcasts-repository.ts'

/** Types that the console may send to all (spec 10-console.md). */
const sendable: ReadonlySet<unknown> = new Set([1, 2, 3, 6, 9, 80, 81])

/** Bytes of what the message service takes. */
const longestContent = 64 * 1024

/** Fields of a message body hold a text, a number or a boolean. */
const fieldName = /^[A-Za-z][A-Za-z0-9_]{0,63}$/

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
  const parsed = objectOf(text)
  if (!parsed) return { type: 1, content: text }
  const { type, content, ...more } = parsed
  if (!sendable.has(type)) throw new ContractError('InvalidParams', { detail: 'body: type' })
  const shown = typeof content === 'object' && content !== null ? JSON.stringify(content) : content
  // Numbers may become longer than they were given: 1e20 has 21 digits.
  if (typeof shown !== 'string' || !shown.trim() || Buffer.byteLength(shown) > longestContent)
    throw new ContractError('InvalidParams', { detail: 'body: content' })
  for (const [name, value] of Object.entries(more))
    if (!fieldName.test(name) || typeof value === 'object')
      throw new ContractError('InvalidParams', { detail: 'body: a field that no message has' })
  return { type: type as number, content: shown, more }
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed && !Array.isArray(parsed) ? { ...parsed } : undefined
  } catch {
    return undefined
  }
}
