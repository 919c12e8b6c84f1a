import type { UserCard } from '@im/contracts/user'
import type { Static } from 'typebox'
import type { Deps } from '../deps.ts'
import { toStranger } from '../relations/relations.ts'
import { userCard } from '../users/user-card.ts'

/** Cards as a stranger sees them. Users who are deleted or locked are left out. */
export async function getCards(
  { users, serverConfig, now }: Pick<Deps, 'users' | 'serverConfig' | 'now'>,
  userIds: readonly number[],
): Promise<Static<typeof UserCard>[]> {
  const [known, { downloadAvatarUrl: avatarBase }] = await Promise.all([users.byIds(userIds), serverConfig.get()])
  return userIds.flatMap((userId) => {
    const user = known.get(userId)
    return user?.status === 1 ? [userCard(user, { relation: toStranger, avatarBase, now: now() })] : []
  })
}
