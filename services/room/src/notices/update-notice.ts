import { ContractError } from '@im/contracts'
import { noticeEdited } from '@im/contracts/room'
import { changeAsMember } from '../changes/change-room.ts'
import { personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { isModerator } from '../documents/member-document.ts'
import type { NoticeDocument } from '../documents/room-document.ts'

/** Gives a notice another text. */
export function updateNotice(
  deps: Deps,
  ref: string,
  callerId: number,
  noticeId: string,
  text: string,
): Promise<NoticeDocument> {
  return changeAsMember(deps, ref, callerId, async (act, own) => {
    if (!isModerator(own)) throw new ContractError('PermissionDenied')
    const fields = { text, modifyTime: act.seconds }
    const notice = await deps.notices.edit(act.room._id, noticeId, fields, act.change)
    if (!notice) throw new ContractError('NoticeNotFound')
    if (act.room.notice?._id === noticeId) await act.update({ set: { notice } })
    act.announce(noticeEdited, personOf(own), { noticeId, text })
    return notice
  })
}
