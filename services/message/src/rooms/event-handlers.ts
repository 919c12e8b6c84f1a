import { fileAddressesIn } from '@im/contracts/message'
import {
  memberChanged,
  memberGone,
  membersJoined,
  noticeEdited,
  noticePublished,
  type RoomState,
  roomChanged,
  roomDissolved,
  roomTransferred,
  shareAdded,
  shareDeleted,
  sharesDropped,
  waitingRoomChanged,
} from '@im/contracts/room'
import { type EventHandler, on } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { sendNotices } from '../notices/send-notice.ts'
import {
  ofDissolution,
  ofJoins,
  ofLeaving,
  ofMemberChange,
  ofNotice,
  ofNoticeEdit,
  ofRoomChange,
  ofShareAdded,
  ofShareDeleted,
  ofTransfer,
  ofWaiting,
  type RoomNotice,
} from './room-events.ts'
import { type Cause, causeOf, tellMembers, tellRoom } from './tell-room.ts'

/**
 * What happens in rooms because of what the room service tells: the room events of apps, who is taken out, and the notice to
 * the own devices of whose list of rooms changed. Each handler may run again and tells the same messages then.
 */
export function roomEventHandlers(deps: Deps): EventHandler[] {
  /** Chat copies first, so that somebody who is taken out knows why; then what happens in the room. */
  async function tell(notices: readonly RoomNotice[], cause: Cause, between?: () => Promise<void>) {
    await tellMembers(deps, notices, cause)
    await between?.()
    await tellRoom(
      deps,
      notices.filter(({ inRoom }) => inRoom),
      cause,
    )
  }
  const ownDevices = (userIds: readonly number[], { jid, roomId }: RoomState, id: string) =>
    sendNotices(
      deps,
      id,
      userIds.map((userId) => ({ userId, type: 802, objectId: jid, fileName: roomId, onlyMultipleDevices: true })),
    )

  return [
    on(roomChanged, (payload, { id }) => tell(ofRoomChange(payload), causeOf(payload.room, id, payload.at))),
    on(roomTransferred, async (payload, { id }) => {
      const { room, by, to, at } = payload
      await tell(ofTransfer(payload), causeOf(room, id, at))
      await ownDevices([by.userId, to.userId], room, id)
    }),
    on(roomDissolved, async (payload, { id }) => {
      const { room, memberIds, at } = payload
      await tell(ofDissolution(payload), causeOf(room, id, at), () =>
        deps.roomFanOut.sent({ kind: 'destroy', jid: room.jid }),
      )
      // A long history takes longer than an event may.
      await deps.fileRemovals.addRoom(room.jid)
      await ownDevices(memberIds, room, id)
    }),
    on(membersJoined, async (payload, { id }) => {
      const { room, members, at } = payload
      await tell(ofJoins(payload), causeOf(room, id, at))
      await ownDevices(
        members.map(({ userId }) => userId),
        room,
        id,
      )
    }),
    on(memberGone, async (payload, { id }) => {
      const { room, member, at } = payload
      await tell(ofLeaving(payload), causeOf(room, id, at), () =>
        deps.roomFanOut.sent({ kind: 'remove', jid: room.jid, users: [member.userId] }),
      )
      await ownDevices([member.userId], room, id)
    }),
    on(memberChanged, async (payload, { id }) => {
      const { room, member, at } = payload
      await tell(ofMemberChange(payload), causeOf(room, id, at))
      await ownDevices([member.userId], room, id)
    }),
    on(noticePublished, (payload, { id }) => tell(ofNotice(payload), causeOf(payload.room, id, payload.at))),
    on(noticeEdited, (payload, { id }) => tell(ofNoticeEdit(payload), causeOf(payload.room, id, payload.at))),
    on(shareAdded, (payload, { id }) => tell(ofShareAdded(payload), causeOf(payload.room, id, payload.at))),
    on(shareDeleted, (payload, { id }) => tell(ofShareDeleted(payload), causeOf(payload.room, id, payload.at))),
    on(sharesDropped, ({ files }) =>
      deps.fileRemovals.addFiles(
        files.flatMap(({ url, userId }) => fileAddressesIn(url).map(({ name }) => ({ name, owner: userId }))),
      ),
    ),
    on(waitingRoomChanged, (payload, { id }) =>
      tell(ofWaiting(payload), { id, at: payload.at, jid: payload.jid, roomId: '' }),
    ),
  ]
}
