import { ContractError, type Handlers } from '@im/contracts'
import { liveRooms } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'

const handlers: Handlers<typeof liveRooms, Deps> = {
  async claimRoom({ reservedRooms }, { params: { jid, userId } }) {
    if (!(await reservedRooms.claim(jid, userId))) throw new ContractError('JidTaken')
  },
  enforceRoom: ({ roomEnforcer }, { params }) => roomEnforcer.enforce(params),
}

export const liveRoomRoutes = bindHandlers(liveRooms, handlers)
