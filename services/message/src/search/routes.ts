import type { Handlers } from '@im/contracts'
import type { search } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { searchMessages } from './search-messages.ts'

export const searchHandlers: Handlers<typeof search, Deps> = {
  searchMessages: (deps, { caller, params }) => searchMessages(deps, caller.userId, params),
}
