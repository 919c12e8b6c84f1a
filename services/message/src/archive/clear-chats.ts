import { ContractError, type Params } from '@im/contracts'
import { type archive, messageDeleted } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { type Chat, type ChatSide, sideNames, withShown } from '../inbox/chats-repository.ts'
import { singleConversation } from '../messages/conversations.ts'
import { deletionsOf } from './delete-messages.ts'

type ClearDeps = Pick<Deps, 'chats' | 'outbox' | 'now'>

/** Chats of one transaction. */
const atOnce = 500
/** Seconds added to the order key of the last message, so that it lies before the bound. */
const justAfter = 0.001
/** Longer than any transaction (ms): what was deleted or archived meanwhile is committed by then. */
const sweepAfter = 120_000

/**
 * Clears the caller's single chats, with one peer (type 0) or all (type 1); the others' copies stay. A clear is a bound in time
 * that whoever reads the chat compares with, so a chat of a million messages is cleared as quickly as one of ten.
 */
export async function clearChats(
  deps: ClearDeps,
  userId: number,
  { type, toUserId }: Params<(typeof archive)['clearChats']>,
): Promise<void> {
  if (type !== 0 && type !== 1) throw new ContractError('InvalidParams', { detail: 'type: 0 or 1' })
  if (type === 0 && toUserId === undefined) throw new ContractError('MissingParam', { detail: 'toUserId' })
  const chats = type === 0 ? [singleConversation(userId, toUserId!)] : await deps.chats.conversationsOf(userId)
  for (let at = 0; at < chats.length; at += atOnce) await clearSome(deps, userId, chats.slice(at, at + atOnce))
}

async function clearSome({ chats, outbox, now }: ClearDeps, userId: number, conversations: string[]): Promise<void> {
  await outbox.commit(async (change) => {
    const found = await chats.byIds(conversations, change.session)
    const cleared = [...found.values()].flatMap((chat) => clearedFor(userId, chat, now()) ?? [])
    chats.write(cleared, change)
    for (const { _id: conversation } of cleared)
      change.announce(messageDeleted, deletionsOf(userId), { conversation, messageIds: [], userId, at: now() })
  })
}

/** The chat as it is when this user has cleared it; undefined when nothing has come since they did. */
export function clearedFor(userId: number, chat: Chat, now: number): Chat | undefined {
  const side = sideNames.find((name) => chat[name].user === userId)
  if (!side || chat.latest < (chat[side].clearedBefore ?? 0)) return undefined
  const clearedBefore = chat.latest + justAfter
  const cleared: ChatSide = { ...withShown(chat[side], undefined), clearedBefore }
  return {
    ...chat,
    [side]: cleared,
    clearedBefore: Math.max(clearedBefore, chat.clearedBefore ?? 0),
    sweepAt: new Date(now + sweepAfter),
  }
}
