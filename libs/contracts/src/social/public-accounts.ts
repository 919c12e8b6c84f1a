import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { PageIndex, PageSize, Text, UserId } from '../param-types.ts'
import { UserCard } from '../user/entities.ts'
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
  searchAccounts: {
    path: '/public/search/list',
    summary: { zh: '搜索公众号', en: 'Search public accounts' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      keyWorld: Text({ default: '', trim: true, maxLength: 64, aliases: ['keyword'], description: 'part of the name' }),
      page: PageIndex({ aliases: ['pageIndex'] }),
      limit: PageSize(10, 100, { aliases: ['pageSize'] }),
    }),
    result: Type.Array(UserCard),
  },
})
