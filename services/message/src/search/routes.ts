import type { Handlers } from '@im/contracts'
import { search } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { searchMessages } from './search-messages.ts'

const handlers: Handlers<typeof search, Deps> = {
  searchMessages: (deps, { caller, params }) => searchMessages(deps, caller.userId, params),
}

export const searchRoutes = bindHandlers(search, handlers)
