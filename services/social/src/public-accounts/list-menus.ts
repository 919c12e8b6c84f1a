import type { ResultOf } from '@im/contracts'
import type { publicAccounts } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import type { MenuDocument } from './menus-repository.ts'

/** The menus of an account, those below another in it. */
export async function listMenus(
  { menus }: Pick<Deps, 'menus'>,
  account: number,
): Promise<ResultOf<(typeof publicAccounts)['listMenus']>> {
  const all = await menus.of(account)
  const below = Map.groupBy(all, ({ parentId }) => parentId)
  return (below.get(0n) ?? []).map((menu) => ({
    ...fieldsOf(menu),
    menuList: (below.get(menu._id) ?? []).map((child) => ({ ...fieldsOf(child), menuList: [] })),
  }))
}

/** A menu without those below it. Addresses hold no blanks. */
export const fieldsOf = ({ _id: id, url, ...menu }: MenuDocument) => ({ ...menu, id, url: url.replace(/\s/g, '') })
