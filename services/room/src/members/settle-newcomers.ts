import type { Deps } from '../deps.ts'
import type { Candidate } from './admit.ts'
import { removeFromRooms } from './remove-from-rooms.ts'

/**
 * To be called when users were made members: of who was renamed or deleted after their name was asked for, the event may have come
 * before the row.
 */
export async function settleNewcomers(deps: Deps, added: readonly Candidate[]): Promise<void> {
  const { names, people, members, outbox, log } = deps
  try {
    const current = await names.of(added.map(({ userId }) => userId))
    for (const { userId } of added) if (!current.has(userId)) await removeFromRooms(deps, userId)
    const renamed = added.filter(({ userId, nickname }) => (current.get(userId) ?? nickname) !== nickname)
    if (!renamed.length) return
    await outbox.commit(async (change) => {
      const ids = renamed.map(({ userId }) => userId)
      // As the change sees them: an event that is handled at this moment conflicts with it.
      for (const [userId, { nickname }] of await people.find(ids, change))
        await members.rename(userId, nickname, change)
    })
  } catch (error) {
    // They are members all the same.
    log.warn({ err: error }, 'whether new members were deleted meanwhile is not known')
  }
}
