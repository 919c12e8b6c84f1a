import type { ResultOf } from '@im/contracts'
import type { friends } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import type { KnownName } from '../people/people-repository.ts'
import type { Talk } from '../talks/talks.ts'
import type { Relation } from './pair.ts'

export type FriendsView = NonNullable<ResultOf<(typeof friends)['getFriend']>>

/** A row as it is answered: of its own fields those that the contract names. */
export function viewOf(row: Relation, name: KnownName | undefined, talk?: Talk): FriendsView {
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
export async function showRows(
  { names, talks }: Pick<Deps, 'names' | 'talks'>,
  userId: number,
  rows: readonly Relation[],
  talked?: ReadonlyMap<number, Talk>,
): Promise<FriendsView[]> {
  const others = rows.map(({ toUserId }) => toUserId)
  const [known, asked] = await Promise.all([names.of(others), talked ?? talks.of(userId, others)])
  return rows.flatMap((row) => {
    const name = known.get(row.toUserId)
    return name?.gone ? [] : [viewOf(row, name, asked.get(row.toUserId))]
  })
}
