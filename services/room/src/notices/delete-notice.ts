import { ContractError } from '@im/contracts'
import { changeAsMember } from '../changes/change-room.ts'
import type { Deps } from '../deps.ts'
import { isModerator } from '../documents/member-document.ts'

/** Deletes a notice. The newest one that is left becomes the current one. */
export async function deleteNotice(deps: Deps, ref: string, callerId: number, noticeId: string): Promise<void> {
  const { notices } = deps
  await changeAsMember(deps, ref, callerId, async (act, own) => {
    if (!isModerator(own)) throw new ContractError('PermissionDenied')
    const { _id: roomId } = act.room
    if (!(await notices.remove(roomId, noticeId, act.change))) throw new ContractError('NoticeNotFound')
    const [notice] = await notices.list(roomId, 1, act.change)
    await act.update(notice ? { set: { notice } } : { unset: ['notice'] })
  })
}
