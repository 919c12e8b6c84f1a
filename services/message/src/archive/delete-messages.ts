import { ContractError, type Params } from '@im/contracts'
import { type archive, messageDeleted, messageRecalled } from '@im/contracts/message'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { refreshChatsShowing } from '../inbox/refresh-chats.ts'
import type { MessageDocument } from './messages-repository.ts'

type DeleteDeps = Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'searchIndex' | 'now' | 'config'>

/**
 * `delete` 1 hides messages for the caller, 2 removes them for everybody. Ids that are not in the archive are passed over
 * (burn-after-reading messages never are). One id that may not be recalled, and nothing is removed.
 */
export async function deleteMessages(
  deps: DeleteDeps,
  userId: number,
  { messageId, type, delete: how }: Params<(typeof archive)['deleteMessages']>,
): Promise<void> {
  if (how !== 1 && how !== 2) throw new ContractError('InvalidParams', { detail: 'delete: 1 or 2' })
  if (type === 2) return
  const found = await deps.messages.findForUser(userId, messageId)
  if (how === 1) await hideMessages(deps, userId, found)
  else await recallMessages(deps, userId, recallable(deps, userId, found))
}

async function hideMessages(deps: DeleteDeps, userId: number, found: readonly MessageDocument[]): Promise<void> {
  if (!found.length) return
  await deps.outbox.commit(async (change) => {
    await deps.messages.hide(found, userId, change.session)
    await deps.searchIndex.backlog.addRemoved(found, change.session)
    await refreshChatsShowing(deps, found, change.session)
    announceByConversation(found, (conversation, messageIds) =>
      change.announce(messageDeleted, conversation, { conversation, messageIds, userId, at: deps.now() }),
    )
  })
}

/** The caller's own messages among those found; the peer may have used the same id for one of his. */
function recallable({ config, now }: DeleteDeps, userId: number, found: readonly MessageDocument[]): MessageDocument[] {
  const own = found.filter(({ from }) => from === userId)
  const ownIds = new Set(own.map(({ messageId }) => messageId))
  if (found.some(({ messageId }) => !ownIds.has(messageId))) throw new ContractError('RecallNotAllowed')
  const limit = config.recallLimitSeconds * 1000
  if (limit > 0 && own.some(({ ts }) => now() - ts > limit)) throw new ContractError('RecallExpired')
  return own
}

async function recallMessages(deps: DeleteDeps, userId: number, own: readonly MessageDocument[]): Promise<void> {
  if (!own.length) return
  await deps.outbox.commit(async (change: Change) => {
    await deps.messages.empty(own, change.session)
    await deps.searchIndex.backlog.addRemoved(own, change.session)
    await refreshChatsShowing(deps, own, change.session)
    announceByConversation(own, (conversation, messageIds) =>
      change.announce(messageRecalled, conversation, { conversation, messageIds, by: userId, at: deps.now() }),
    )
  })
}

function announceByConversation(
  messages: readonly MessageDocument[],
  announce: (conversation: string, messageIds: string[]) => void,
): void {
  for (const [conversation, group] of Map.groupBy(messages, (message) => message.conversation))
    announce(
      conversation,
      group.map(({ messageId }) => messageId),
    )
}
