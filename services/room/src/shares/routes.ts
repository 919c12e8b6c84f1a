import { ContractError, type Handlers } from '@im/contracts'
import { roomShares } from '@im/contracts/room'
import { bindHandlers, skipOf } from '@im/service-kit'
import { readAsMember } from '../changes/find-own.ts'
import type { Deps } from '../deps.ts'
import { addShare } from './add-share.ts'
import { deleteShare } from './delete-share.ts'
import { shareView } from './share-view.ts'

const handlers: Handlers<typeof roomShares, Deps> = {
  addShare: async (deps, { caller, params: { roomId, ...file } }) =>
    shareView(await addShare(deps, roomId, caller.userId, file)),

  async findShares(deps, { caller, params: { roomId, time, userId, pageIndex, pageSize } }) {
    const wanted = { userId, until: time > 0 ? time : undefined }
    const skip = skipOf({ pageIndex, pageSize })
    const found = await readAsMember(deps, roomId, caller.userId, async (room) =>
      skip === undefined ? [] : await deps.shares.list(room._id, wanted, skip, pageSize),
    )
    return found.map(shareView)
  },

  async getShare(deps, { caller, params }) {
    const { roomId, shareId } = params
    const share = await readAsMember(deps, roomId, caller.userId, (room) => deps.shares.find(room._id, shareId))
    if (!share) throw new ContractError('ShareNotFound')
    return shareView(share)
  },

  async deleteShare(deps, { caller, params }) {
    await deleteShare(deps, params.roomId, caller.userId, params.shareId)
  },
}

export const shareRoutes = bindHandlers(roomShares, handlers)
