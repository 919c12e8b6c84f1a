import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { UserId } from '../param-types.ts'
import { Menu } from './entities.ts'

/** Public accounts as apps see them (spec 08-public-accounts.md). */
export const publicAccounts = contract('social', {
  listMenus: {
    path: '/public/menu/list',
    summary: { zh: '公众号菜单', en: 'Menus of a public account' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Type.Optional(UserId({ description: 'absent or 0: the caller' })) }),
    result: Type.Array(Menu),
  },
})
