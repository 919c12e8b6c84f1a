import { ContractError, type Handlers } from '@im/contracts'
import { roomNotices } from '@im/contracts/room'
import { bindHandlers } from '@im/service-kit'
import { readAsMember } from '../changes/find-own.ts'
import type { Deps } from '../deps.ts'
import { deleteNotice } from './delete-notice.ts'
import { noticeView } from './notice-view.ts'
import { updateNotice } from './update-notice.ts'

const handlers: Handlers<typeof roomNotices, Deps> = {
  async listNotices(deps, { caller, params }) {
    const found = await readAsMember(deps, params.roomId, caller.userId, (room) => deps.notices.list(room._id))
    return found.map(noticeView)
  },

  async updateNotice(deps, { caller, params: { roomId, noticeId, noticeContent } }) {
    if (!noticeContent) throw new ContractError('InvalidParams', { detail: 'noticeContent: nothing can be seen' })
    return noticeView(await updateNotice(deps, roomId, caller.userId, noticeId, noticeContent))
  },

  async deleteNotice(deps, { caller, params }) {
    await deleteNotice(deps, params.roomId, caller.userId, params.noticeId)
  },
}

export const noticeRoutes = bindHandlers(roomNotices, handlers)
