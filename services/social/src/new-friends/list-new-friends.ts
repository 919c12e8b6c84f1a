import type { ResultOf } from '@im/contracts'
import type { friends } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import type { Page } from '../relations/relations-repository.ts'

/** What a user and others last told each other, the newest first, with what they are to each other now. */
export async function listNewFriends(
  { newFriends, relations, names }: Pick<Deps, 'newFriends' | 'relations' | 'names'>,
  userId: number,
  page: Page,
): Promise<ResultOf<(typeof friends)['listNewFriends']>> {
  const rows = await newFriends.page(userId, page)
  const peers = rows.map(({ toUserId }) => toUserId)
  const [own, known] = await Promise.all([relations.rowsAbout(userId, peers), names.of(peers)])
  return rows.flatMap(({ _id, createdAt, changedAt, ...row }) => {
    const { nickname = '', gone } = known.get(row.toUserId) ?? {}
    if (gone) return []
    return {
      ...row,
      nickname,
      toNickname: nickname,
      status: own.get(row.toUserId)?.status ?? 0,
      createTime: Math.floor(createdAt / 1000),
      modifyTime: Math.floor(changedAt / 1000),
    }
  })
}
