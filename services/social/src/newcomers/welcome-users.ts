import { type Payload, type ReplayedRow, streams } from '@im/contracts'
import { replayedUsers, systemUserId, type userRegistered } from '@im/contracts/user'
import { type Change, type Closable, catchUp } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { befriendWithin } from '../friends/befriend-account.ts'

type Row = ReplayedRow<typeof replayedUsers.pageUsers>

export const projection = { name: 'people', stream: streams.user }

/** Reads all users that there are, once. Those from before this service existed get their first friend, too. */
export function catchUpWithUsers(deps: Deps): Closable {
  const { user, people } = deps
  return catchUp<Row>(deps, {
    projection,
    page: (after) => user.call(replayedUsers.pageUsers, { after, pageSize: 500 }),
    async apply(rows, change) {
      const known = await people.find(
        rows.map(({ userId }) => userId),
        change,
      )
      // Who was deleted after the page was read is not there again.
      const there = rows.filter(({ userId }) => !known.get(userId)?.gone)
      await people.put(
        there.map(({ userId, nickname, userType }) => ({ _id: userId, nickname, userType })),
        change,
      )
      const users = there.map(({ userId }) => userId).filter((userId) => userId > systemUserId)
      await befriendWithin(deps, systemUserId, users, change)
    },
  })
}

type Newcomer = Pick<Payload<typeof userRegistered>, 'userId' | 'nickname' | 'userType' | 'defaultFriends'>

/**
 * A new user is known, and has the friends whom everybody begins with. The user service asks for it before it answers a registration,
 * and an event tells of it as well: whichever comes later, or again, brings back no friend whom they have deleted meanwhile.
 */
export async function welcomeUser(
  deps: Pick<Deps, 'people' | 'relations' | 'labels' | 'now'>,
  { userId, nickname, userType, defaultFriends }: Newcomer,
  change: Change,
): Promise<void> {
  if (!(await deps.people.welcome({ _id: userId, nickname, userType }, change))) return
  await befriendWithin(deps, userId, [...new Set([systemUserId, ...defaultFriends])], change)
}
