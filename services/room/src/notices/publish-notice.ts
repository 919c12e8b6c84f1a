import { noticePublished } from '@im/contracts/room'
import type { RoomAct } from '../changes/room-act.ts'
import { personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import type { MemberDocument } from '../documents/member-document.ts'
import { newId } from '../documents/room-document.ts'

/** Adds a notice, which is the current one from now on. */
export async function publishNotice(
  { notices }: Pick<Deps, 'notices'>,
  act: RoomAct,
  own: MemberDocument,
  text: string,
): Promise<void> {
  const { userId, nickname } = own
  const { seconds: time } = act
  const notice = { _id: newId(), roomId: act.room._id, text, userId, nickname, time, modifyTime: time }
  await notices.add(notice, act.change)
  await notices.removeOldest(act.room._id, act.change)
  await act.update({ set: { notice } })
  act.announce(noticePublished, personOf(own), { noticeId: notice._id, text })
}
