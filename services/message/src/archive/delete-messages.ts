import { ContractError, type Params } from '@im/contracts'
import { type archive, messageDeleted, messageRecalled } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { peerOf } from '../inbox/chats-repository.ts'
import { refreshChats } from '../inbox/refresh-chats.ts'
import type { MessageDocument } from '../messages/message-document.ts'
import { roomsOrNone } from '../room-facts/rooms-of.ts'
import { findVisible, findVisibleInRooms, type RoomMessage } from './find-visible.ts'
import { forgetMessages } from './forget-messages.ts'
import { type RecallDeps, recallLimitMs } from './recall-limit.ts'

type DeleteDeps = Pick<
  Deps,
  | 'messages'
  | 'mailbox'
  | 'chats'
  | 'roomChats'
  | 'roomFacts'
  | 'roomsOf'
  | 'outbox'
  | 'searchIndex'
  | 'fileRemovals'
  | 'now'
> &
  RecallDeps

/**
 * `delete` 1 hides messages for the caller, 2 removes them for everybody. Ids that are not in the archive are passed over
 * (burn-after-reading messages never are, and a recall may be quicker than its message: the 202 that follows finds it). One id
 * that may not be recalled, and nothing is removed.
 */
export async function deleteMessages(
  deps: DeleteDeps,
  userId: number,
  { messageId, type, delete: how, roomJid }: Params<(typeof archive)['deleteMessages']>,
): Promise<void> {
  if (how !== 1 && how !== 2) throw new ContractError('InvalidParams', { detail: 'delete: 1 or 2' })
  const singles = type === 2 ? [] : await findVisible(deps, userId, messageId)
  const known = new Set(singles.map((message) => message.messageId))
  // Without a type, rooms are looked into for what no single chat has.
  const others = type === 1 ? [] : messageId.filter((id) => !known.has(id))
  const inRooms = others.length ? await foundInRooms(deps, userId, others, { roomJid, isNeeded: type === 2 }) : []
  const found = [...singles, ...inRooms.map(({ message }) => message)]
  const wanted = how === 1 ? found : recallable(deps, userId, singles, inRooms)
  if (!wanted.length) return
  if (how === 1) await hideMessages(deps, userId, wanted)
  else await recallMessages(deps, userId, wanted)
  // Whoever lists chats looks whether what they show may still be seen: a death in between is mended there.
  await refreshChats(deps, wanted)
}

/** Where rooms are only looked into beside single chats, their messages count as unknown while the room service is away. */
function foundInRooms(
  deps: DeleteDeps,
  userId: number,
  ids: readonly string[],
  { roomJid, isNeeded }: { roomJid: string | undefined; isNeeded: boolean },
): Promise<RoomMessage[]> {
  const found = findVisibleInRooms(deps, userId, ids, roomJid)
  return isNeeded ? found : roomsOrNone(found)
}

/** What one user removes is in order for itself, however many chats it is in: one number of events to take, not one a chat. */
export const deletionsOf = (userId: number) => `user:${userId}`

/** What the peer has lost too, by deleting or clearing, is seen by nobody any more. */
async function hideMessages(deps: DeleteDeps, userId: number, found: readonly MessageDocument[]): Promise<void> {
  const { messages, chats, searchIndex, outbox, now } = deps
  await outbox.commit(async (change) => {
    // Read in the transaction: when both sides delete at the same moment, one of them comes again and finds the other's mark.
    const current = await messages.visibilityOf(
      found.map(({ _id }) => _id),
      change.session,
    )
    const known = await chats.byIds(
      current.map(({ conversation }) => conversation),
      change.session,
    )
    const isLostToPeer = ({ conversation, from, to, deletedFor, timeSend }: (typeof current)[number]) => {
      if (to === undefined) return false
      const chat = known.get(conversation)
      const clearedBefore = chat ? (peerOf(chat, userId).clearedBefore ?? 0) : 0
      return deletedFor.includes(from === userId ? to : from) || timeSend < clearedBefore
    }
    const alive = current.filter(({ gone }) => !gone)
    const lost = alive.filter(isLostToPeer)
    const hidden = alive.filter((message) => !isLostToPeer(message))
    await messages.hide(
      hidden.map(({ _id }) => _id),
      userId,
      change.session,
    )
    // What a member hides stays in the index of the room: searches ask the archive last.
    const ofSingles = hidden.filter(({ to }) => to !== undefined)
    await searchIndex.removals.addForUser(ofSingles, userId, change.session)
    await forgetMessages(deps, lost, change)
    announceByConversation(alive, (conversation, messageIds) =>
      change.announce(messageDeleted, deletionsOf(userId), { conversation, messageIds, userId, at: now() }),
    )
  })
}

/**
 * What the caller may take back: their own messages, in rooms as owner or admin all. The peer may have used the same id for one
 * of theirs.
 */
function recallable(
  deps: DeleteDeps,
  userId: number,
  singles: readonly MessageDocument[],
  inRooms: readonly RoomMessage[],
): MessageDocument[] {
  const isOwn = ({ from }: MessageDocument) => from === userId
  const ofRooms = inRooms.filter(({ message, room }) => isOwn(message) || room.role <= 2).map(({ message }) => message)
  const own = [...singles.filter(isOwn), ...ofRooms]
  const ownIds = new Set(own.map(({ messageId }) => messageId))
  const found = [...singles, ...inRooms.map(({ message }) => message)]
  if (found.some(({ messageId }) => !ownIds.has(messageId))) throw new ContractError('RecallNotAllowed')
  const limit = recallLimitMs(deps)
  if (limit > 0 && own.some(({ ts }) => deps.now() - ts > limit)) throw new ContractError('RecallExpired')
  return own
}

async function recallMessages(deps: DeleteDeps, userId: number, own: readonly MessageDocument[]): Promise<void> {
  await deps.outbox.commit(async (change) => {
    await forgetMessages(deps, own, change)
    announceByConversation(own, (conversation, messageIds) =>
      change.announce(messageRecalled, conversation, { conversation, messageIds, by: userId, at: deps.now() }),
    )
  })
}

export function announceByConversation(
  messages: readonly { conversation: string; messageId: string }[],
  announce: (conversation: string, messageIds: string[]) => void,
): void {
  for (const [conversation, group] of Map.groupBy(messages, (message) => message.conversation))
    announce(
      conversation,
      group.map(({ messageId }) => messageId),
    )
}
