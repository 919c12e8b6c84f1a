import type { ResultOf } from '@im/contracts'
import type { friends } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import type { KnownName } from '../people/people-repository.ts'
import type { Talk } from '../talks/talks.ts'
import type { Relation } from './pair.ts'

export type FriendsView = NonNullable<ResultOf<(typeof friends)['getFriend']>>

/** A row as it is answered. Field by field, as in the repository. */
export function viewOf(row: Relation, name: KnownName | undefined, talk?: Talk): FriendsView {
  return {
    id: row._id.toHexString(),
    userId: row.userId,
    toUserId: row.toUserId,
    status: row.status,
    blacklist: row.blacklist,
    isBeenBlack: row.isBeenBlack,
    remarkName: row.remarkName,
    describe: row.describe,
    createTime: row.createTime,
    modifyTime: row.modifyTime,
    chatRecordTimeOut: row.chatRecordTimeOut,
    offlineNoPushMsg: row.offlineNoPushMsg,
    isOpenSnapchat: row.isOpenSnapchat,
    isOpenTopChat: row.isOpenTopChat,
    openTopChatTime: row.openTopChatTime,
    fromAddType: row.fromAddType,
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
