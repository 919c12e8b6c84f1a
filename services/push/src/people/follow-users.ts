import { streams } from '@im/contracts'
import { replayedUsers } from '@im/contracts/user'
import { catchUp } from '@im/service-kit'
import type { Deps } from '../deps.ts'

/** What notifications need of each user. */
export interface Person {
  _id: number
  nickname: string
  /** They want no notifications at all. */
  isMuted: boolean
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
