import { noticePublished } from '@im/contracts/room'
import type { Deps } from '../deps.ts'
import type { MemberDocument } from '../members/member-document.ts'
import type { RoomAct } from '../rooms/room-act.ts'
import { newId } from '../rooms/room-document.ts'
import { personOf } from '../rooms/room-states.ts'

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
  await act.update({ set: { notice } })
  act.announce(noticePublished, personOf(own), { noticeId: notice._id, text })
}
