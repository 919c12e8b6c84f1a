import { ContractError, type Payload } from '@im/contracts'
import { userErased } from '@im/contracts/social'
import type { userDeleted } from '@im/contracts/user'
import type { Deps } from '../deps.ts'

/** Rows of one change. */
const rowsAtOnce = 500

export type ErasingDeps = Pick<
  Deps,
  | 'people'
  | 'relations'
  | 'labels'
  | 'newFriends'
  | 'books'
  | 'menus'
  | 'accountChats'
  | 'accountReplies'
  | 'outbox'
  | 'now'
>

/**
 * To be called when rows were made: who was deleted meanwhile may have been removed from everything else before. Their own events
 * and those of others come in any order.
 */
export async function eraseThoseGone(deps: ErasingDeps, userIds: readonly number[]): Promise<void> {
  for (const [userId, { gone }] of await deps.people.find(userIds)) if (gone) await eraseUser(deps, { userId })
}

/**
 * Runs a call that keeps something of its caller. Who is deleted while it is under way may be erased before it is kept: then it is
 * removed again, and TokenInvalid is thrown.
 */
export async function keepOf<T>(deps: ErasingDeps, userId: number, keep: () => Promise<T>): Promise<T> {
  const result = await keep()
  if (!(await deps.people.find([userId])).get(userId)?.gone) return result
  await eraseUser(deps, { userId })
  throw new ContractError('TokenInvalid')
}

/** Removes everything of a deleted user, part by part; doing it again goes on where it was. Friends are told. */
export async function eraseUser(
  deps: ErasingDeps,
  { userId }: Pick<Payload<typeof userDeleted>, 'userId'>,
): Promise<void> {
  const { people, relations, labels, newFriends, books, menus, accountChats, accountReplies, outbox, now } = deps
  await people.markGone(userId)
  const part = () =>
    outbox.commit(async (change) => {
      const own = await relations.someOf(userId, rowsAtOnce, change.session)
      const rows = own.length ? own : await relations.someAbout(userId, rowsAtOnce, change.session)
      relations.removePairs(
        rows.map(({ pair }) => pair),
        change,
      )
      const peers = rows.map((row) => (row.userId === userId ? row.toUserId : row.userId))
      await labels.drop(
        peers.map((owner) => ({ owner, friend: userId })),
        change,
      )
      const friends = rows.flatMap(({ status }, n) => (status === 2 ? [peers[n]!] : []))
      if (friends.length) change.announce(userErased, String(userId), { userId, friends, at: now() })
      return rows.length > 0
    })
  while (await part());
  await labels.removeAllOf(userId)
  await newFriends.removeAllOf(userId)
  await books.removeAllOf(userId)
  await menus.removeAllOf(userId)
  await accountChats.removeAllOf(userId)
  await accountReplies.removeAllOf(userId)
}
