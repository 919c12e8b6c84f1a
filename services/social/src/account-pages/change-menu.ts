import { randomBytes } from 'node:crypto'
import { ContractError, type Params, type ResultOf } from '@im/contracts'
import type { accountMenus } from '@im/contracts/social'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { fieldsOf } from '../public-accounts/list-menus.ts'
import type { MenuDocument } from '../public-accounts/menus-repository.ts'
import { webAddress } from './web-address.ts'

type ChangeMenu = (typeof accountMenus)['changeMenu']

/** Menus on top, and below each of them. */
const mostMenus = 10

/** Makes or changes a menu of an account, or deletes one with those below it. */
export async function changeMenu(
  deps: Pick<Deps, 'menus' | 'outbox' | 'now'>,
  account: number,
  params: Params<ChangeMenu>,
): Promise<ResultOf<ChangeMenu>> {
  const { menus, outbox } = deps
  if (params.op === 'delete') {
    const { id } = params
    if (id === undefined) throw new ContractError('MissingParam', { detail: 'id' })
    await outbox.commit(async (change) => {
      if (!(await menus.remove(account, BigInt(id), change))) throw new ContractError('MenuNotFound')
    })
    return undefined
  }
  const { name } = params
  if (name === undefined) throw new ContractError('MissingParam', { detail: 'name' })
  const wanted = { ...params, name, url: webAddress(params.url, 'url') }
  const saved = await outbox.commit((change) => saveMenu(deps, account, wanted, change))
  return { ...fieldsOf(saved.menu), menuList: saved.below.map((menu) => ({ ...fieldsOf(menu), menuList: [] })) }
}

async function saveMenu(
  { menus, now }: Pick<Deps, 'menus' | 'now'>,
  account: number,
  { id, parentId, name, url, index, desc, menuId }: Params<ChangeMenu> & { name: string },
  change: Change,
): Promise<{ menu: MenuDocument; below: MenuDocument[] }> {
  const all = await menus.of(account, change)
  const _id = id === undefined ? newMenuId(now()) : BigInt(id)
  if (id !== undefined && !all.some((menu) => menu._id === _id)) throw new ContractError('MenuNotFound')
  const parent = BigInt(parentId)
  const below = all.filter((menu) => menu.parentId === _id)
  if (parent !== 0n) {
    const isOnTop = all.some((menu) => menu._id === parent && menu.parentId === 0n)
    if (!isOnTop || parent === _id) throw new ContractError('MenuNotFound', { detail: 'parentId' })
    if (below.length) throw new ContractError('InvalidParams', { detail: 'parentId: there are menus below this one' })
  }
  if (all.filter((menu) => menu.parentId === parent && menu._id !== _id).length >= mostMenus)
    throw new ContractError('InvalidParams', { detail: `at most ${mostMenus} menus on a level` })
  const menu: MenuDocument = {
    ...{ _id, parentId: parent, userId: account, name, url, index },
    ...(desc === undefined ? {} : { desc }),
    ...(menuId === undefined ? {} : { menuId }),
  }
  menus.put(menu, change)
  return { menu, below }
}

/** Time in ms, then 20 random bits: rises with the time, and is below 2^63. */
const newMenuId = (now: number): bigint => (BigInt(now) << 20n) | BigInt(randomBytes(3).readUIntBE(0, 3) & 0xfffff)
