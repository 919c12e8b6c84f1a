import {
  memberChanged,
  memberLeft,
  membersJoined,
  noticePublished,
  type Person,
  type RoomState,
  roomDissolved,
  roomTransferred,
} from '@im/contracts/room'
import { type Change, causedId, type EventHandler, exactlyOnce } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { expiryOf, newPush } from './push-document.ts'

/** What happened in a room, as members are told of it (spec xmpp.md §6.4). */
interface RoomDeed {
  contentType: number
  /** As in the message that apps get: both have one id. */
  key?: string
  text: string
  /** Absent: all members. Who acted is never told. */
  receivers?: readonly number[]
}

interface Acted {
  room: RoomState
  by: Person
  at: number
}

const admin = 2

/** Tells members who are not there what happened to them in rooms, and of notices. */
export function roomDeedHandlers(deps: Pick<Deps, 'config' | 'pushes' | 'pushWorker' | 'now'>): EventHandler[] {
  async function tell({ room, by, at }: Acted, eventId: string, deeds: readonly RoomDeed[], change: Change) {
    const { roomId, jid } = room
    const dueAt = at + deps.config.pushDelay * 1000
    const pushes = deeds.flatMap(({ contentType, key = '', text, receivers }) => {
      const others = receivers?.filter((userId) => userId !== by.userId)
      if (others && !others.length) return []
      const named = { roomId, room: room.name, from: by.name }
      const facts = { contentType, timeSend: Math.floor(at / 1000), arrivedAt: at, isEncrypt: false }
      const messageId = causedId(eventId, contentType, key)
      const place = { messageId, conversation: `r:${jid}`, roomJid: jid, from: by.userId }
      return [newPush({ ...place, ...facts, text, named, ...(others ? { receivers: others } : {}) }, dueAt)]
    })
    await deps.pushes.addWithin(
      pushes.filter((push) => expiryOf(push) > deps.now()),
      change.session,
    )
    if (pushes.length) deps.pushWorker.wake(dueAt)
  }

  return [
    exactlyOnce(roomDissolved, (event, change, { id }) =>
      tell(event, id, [{ contentType: 903, text: '群组已被解散', receivers: event.memberIds }], change),
    ),
    exactlyOnce(memberLeft, (event, change, { id }) =>
      tell(event, id, [{ contentType: 904, text: '把你移出了群组', receivers: [event.member.userId] }], change),
    ),
    exactlyOnce(noticePublished, (event, change, { id }) =>
      tell(event, id, [{ contentType: 905, text: '发布了群公告' }], change),
    ),
    exactlyOnce(membersJoined, (event, change, { id }) =>
      tell(
        event,
        id,
        event.members.map(({ userId }) => ({
          ...{ contentType: 907, key: String(userId), text: '邀请你加入了群组', receivers: [userId] },
        })),
        change,
      ),
    ),
    exactlyOnce(memberChanged, (event, change, { id }) => {
      const { member, roleBefore, changed } = event
      const receivers = [member.userId]
      const deeds: RoomDeed[] = []
      if (changed.includes('talkTime'))
        deeds.push({ contentType: 906, key: '906', text: member.talkTime ? '你被禁言了' : '取消了禁言', receivers })
      if (changed.includes('role') && (member.role === admin || roleBefore === admin)) {
        const text = member.role === admin ? '把你设为管理员' : '取消了你的管理员'
        deeds.push({ contentType: 913, key: '913', text, receivers })
      }
      return tell(event, id, deeds, change)
    }),
    exactlyOnce(roomTransferred, (event, change, { id }) =>
      tell(event, id, [{ contentType: 925, text: '把群主转让给了你', receivers: [event.to.userId] }], change),
    ),
  ]
}
