import type { ResultOf } from '@im/contracts'
import type { friends } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import type { KnownName } from '../people/people-repository.ts'
import type { Talk } from '../talks/talks.ts'
import type { Relation } from './pair.ts'

export type FriendsView = NonNullable<ResultOf<(typeof friends)['getFriend']>>

/** What is shown of a row. */
export interface ShownRow {
  row: Relation
  /** Undefined while nobody can tell. */
  name: KnownName | undefined
  talk?: Talk | undefined
}

/** A row as it is answered: of its own fields those that the contract names. */
export function viewOf({ row, name, talk }: ShownRow): FriendsView {
  return {
    ...row,
    id: row._id.toHexString(),
    toNickname: name?.nickname ?? '',
    toUserType: name?.userType ?? 0,
    lastTalkTime: talk?.lastTalkTime ?? 0,
    msgNum: talk?.unread ?? 0,
    companyId: 0,
    groupId: 0,
    groupName: '',
    talkTime: 0,
  }
}

/**
 * Rows of one user with the names of the others and what is unread, in the same order. Users who are gone are left out. Whoever
 * shows a long list has asked for all talks beside the rows.
 */
export async function rowsToShow(
  { names, talks }: Pick<Deps, 'names' | 'talks'>,
  userId: number,
  rows: readonly Relation[],
  talked?: ReadonlyMap<number, Talk>,
): Promise<ShownRow[]> {
  const others = rows.map(({ toUserId }) => toUserId)
  const [known, asked] = await Promise.all([names.of(others), talked ?? talks.of(userId, others)])
  return rows.flatMap((row) => {
    const name = known.get(row.toUserId)
    return name?.gone ? [] : [{ row, name, talk: asked.get(row.toUserId) }]
  })
}

export const showRows = async (...rows: Parameters<typeof rowsToShow>): Promise<FriendsView[]> =>
  (await rowsToShow(...rows)).map(viewOf)
