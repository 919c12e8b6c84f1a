import type { ResultOf } from '@im/contracts'
import type { follows } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import type { Page } from '../relations/relations-repository.ts'

/** Those who follow a user, the newest first. */
export async function listFans(
  { relations, names }: Pick<Deps, 'relations' | 'names'>,
  userId: number,
  page: Page,
): Promise<ResultOf<(typeof follows)['listFans']>> {
  const rows = await relations.fansOf(userId, page)
  const fans = rows.map((row) => row.userId)
  const [own, known] = await Promise.all([relations.rowsAbout(userId, fans), names.of(fans)])
  return rows.flatMap(({ userId: fan, createTime }) => {
    const name = known.get(fan)
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
