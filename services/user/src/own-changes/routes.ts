import type { Handlers } from '@im/contracts'
import { ownChanges } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'

const handlers: Handlers<typeof ownChanges, Deps> = {
  async listOwnChanges(deps, { caller, params }) {
    const changes = await deps.ownChanges.since(caller.userId, params.offlineTime)
    return changes.map(({ tag, friendId, operationTime, userId }) => ({ tag, friendId, operationTime, userId }))
  },
}

export const ownChangeRoutes = bindHandlers(ownChanges, handlers)
