import { type Params, pageOf, type ResultOf } from '@im/contracts'
import type { accountFans } from '@im/contracts/social'
import { firstUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'

type List = (typeof accountFans)['listAccountFans']

/** Who follows an account, the newest first. */
export async function listAccountFans(
  { relations, names }: Pick<Deps, 'relations' | 'names'>,
  account: number,
  page: Params<List>,
): Promise<ResultOf<List>> {
  const [rows, total] = await Promise.all([
    relations.fansOf(account, page, firstUserId),
    relations.countShownFans(account),
  ])
  const known = await names.of(rows.map(({ userId }) => userId))
  const fans = rows.map(({ userId: fan, createTime: time, status }) => ({
    ...{ userId: account, toUserId: fan, toNickname: known.get(fan)?.nickname ?? '', time, status },
  }))
  return pageOf(fans, total, page.pageIndex, page.pageSize)
}
