import { type ReplayedRow, streams } from '@im/contracts'
import { replayedUsers } from '@im/contracts/user'
import { type Change, catchUp } from '@im/service-kit'
import type { Deps } from '../deps.ts'

type UserRow = ReplayedRow<(typeof replayedUsers)['pageUsers']>

/** What rooms keep of a user. */
export interface Person {
  _id: number
  nickname: string
}

export const projection = { name: 'people', stream: streams.user }

/** Reads the users there were before this service followed their events. */
export const followUsers = (deps: Deps) =>
  catchUp(deps, {
    projection,
    page: (after) => deps.user.call(replayedUsers.pageUsers, { after, pageSize: 500 }),
    apply: (rows, change) => takeUsers(deps, rows, change),
  })

/** Takes over what users are called. */
export async function takeUsers(
  { people, members }: Pick<Deps, 'people' | 'members'>,
  rows: readonly UserRow[],
  change: Change,
): Promise<void> {
  const known = await people.find(
    rows.map(({ userId }) => userId),
    change,
  )
  const renamed = rows.filter(({ userId, nickname }) => known.get(userId)?.nickname !== nickname)
  await people.put(
    renamed.map(({ userId, nickname }) => ({ _id: userId, nickname })),
    change,
  )
  // Events that were lost may have told of these.
  for (const { userId, nickname } of renamed) if (known.has(userId)) await members.rename(userId, nickname, change)
}

/** A user is called something else. */
export async function renamePerson(
  { people, members }: Pick<Deps, 'people' | 'members'>,
  { userId, nickname }: { userId: number; nickname: string },
  change: Change,
): Promise<void> {
  await people.put([{ _id: userId, nickname }], change)
  await members.rename(userId, nickname, change)
}
