import type { ResultOf } from '@im/contracts'
import type { follows } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import type { Page } from '../relations/relations-repository.ts'

/** Those who follow a user, the newest first. */
export async function listFans(
  { relations, people }: Pick<Deps, 'relations' | 'people'>,
  userId: number,
  page: Page,
): Promise<ResultOf<(typeof follows)['listFans']>> {
  const rows = await relations.fansOf(userId, page)
  const fans = rows.map((row) => row.userId)
  const [own, names] = await Promise.all([relations.rowsAbout(userId, fans), people.namesOf(fans)])
  return rows.flatMap(({ userId: fan, createTime }) => {
    const name = names.get(fan)
    if (name?.gone) return []
    return {
      userId,
      toUserId: fan,
      toNickname: name?.nickname ?? '',
      toUserType: name?.userType ?? 0,
      time: createTime,
      createTime,
      status: own.get(fan)?.status ?? 0,
    }
  })
}
