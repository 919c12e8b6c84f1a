import type { Handlers } from '@im/contracts'
import { publicAccounts } from '@im/contracts/social'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { listMenus } from './list-menus.ts'
import { searchAccounts } from './search-accounts.ts'

const handlers: Handlers<typeof publicAccounts, Deps> = {
  listMenus: (deps, { caller, params }) => listMenus(deps, params.userId ?? caller.userId),
  searchAccounts: (deps, { caller, params }) => searchAccounts(deps, caller.userId, params),
}

export const publicAccountRoutes = bindHandlers(publicAccounts, handlers)
