import { streams } from '@im/contracts'
import { replayedUsers } from '@im/contracts/user'
import { type Change, catchUp } from '@im/service-kit'
import type { Deps } from '../deps.ts'

/** What notifications need of each user. */
export interface Person {
  _id: number
  nickname: string
  /** They want no notifications at all. */
  isMuted: boolean
  /** Deleted. The id stays, because what other services tell of them may come later. */
  gone?: true
}

/** Those of the users who were deleted. */
export async function goneAmong(
  { people }: Pick<Deps, 'people'>,
  userIds: readonly number[],
  change?: Pick<Change, 'session'>,
): Promise<Set<number>> {
  const known = await people.find([...new Set(userIds)], change)
  return new Set([...known.values()].flatMap(({ _id, gone }) => (gone ? [_id] : [])))
}

export const projection = { name: 'people', stream: streams.user }

/** Reads the users there were before this service followed their events. */
export const followUsers = (deps: Pick<Deps, 'people' | 'user'> & Parameters<typeof catchUp>[0]) =>
  catchUp(deps, {
    projection,
    page: (after) => deps.user.call(replayedUsers.pageUsers, { after, pageSize: 500 }),
    apply: (rows, change) =>
      deps.people.put(
        rows.map(({ userId, nickname, offlineNoPushMsg }) => ({
          ...{ _id: userId, nickname, isMuted: offlineNoPushMsg === 1 },
        })),
        change,
      ),
  })
