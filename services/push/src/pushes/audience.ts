import type { Deps } from '../deps.ts'
import type { MemberCopy, RoomCopy } from '../rooms/rooms-repository.ts'
import { type PushDocument, userOfDevice } from './push-document.ts'

/** Who is concerned by a push, whatever they want or have. */
export interface Audience {
  userIds: readonly number[]
  room?: Pick<RoomCopy, 'jid' | 'name'> & { roomId: string }
  members?: ReadonlyMap<number, MemberCopy>
  /** Of a push that withdraws: on which devices something was shown of which message. */
  shown?: ReadonlyMap<string, readonly string[]>
}

/** Members that are looked at in one round; rooms beyond it come in the next one. */
const mostMembers = 50_000
const roomsAtOnce = 20

/**
 * Finds who is concerned. The audience is `unknown` in a room that is not known (yet), and where it is not known (yet) to whom a
 * message was shown; one for which there is no place in this
 * round has none.
 */
export async function findAudiences(
  { rooms, pushes }: Pick<Deps, 'rooms' | 'pushes'>,
  all: readonly PushDocument[],
): Promise<Map<string, Audience | 'unknown'>> {
  const audiences = new Map<string, Audience | 'unknown'>()
  const inRooms: PushDocument[] = []
  for (const push of all) {
    const { _id, to, named, receivers, roomJid: jid, withdraws } = push
    if (jid === undefined)
      audiences.set(_id, withdraws ? await shownOf(pushes, push, withdraws) : { userIds: to === undefined ? [] : [to] })
    else if (named && receivers) {
      const members = await rooms.findMembers(named.roomId, receivers)
      audiences.set(_id, { userIds: receivers, members, room: { roomId: named.roomId, jid, name: named.room } })
    } else inRooms.push(push)
  }
  const byJid = Map.groupBy(inRooms, ({ roomJid = '' }) => roomJid)
  const known = await rooms.byJids([...byJid.keys()])
  for (const [jid, some] of byJid) if (!known.has(jid)) for (const { _id } of some) audiences.set(_id, 'unknown')
  const found = [...known.values()]
  for (let at = 0, count = 0; at < found.length && count < mostMembers; at += roomsAtOnce) {
    const part = found.slice(at, at + roomsAtOnce)
    const members = await rooms.membersOf(part.map(({ _id }) => _id))
    for (const { _id: roomId, jid, name } of part) {
      const ofRoom = members.get(roomId) ?? []
      count += ofRoom.length
      const byId = new Map(ofRoom.map((member) => [member.userId, member]))
      for (const push of byJid.get(jid) ?? []) {
        const { _id, from, arrivedAt, withdraws } = push
        const isFor = ({ userId, joinedAt = 0 }: MemberCopy) => userId !== from && joinedAt <= arrivedAt
        const concerned = withdraws
          ? await shownOf(pushes, push, withdraws)
          : { userIds: ofRoom.filter(isFor).map(({ userId }) => userId) }
        const place = { members: byId, room: { roomId, jid, name } }
        audiences.set(_id, concerned === 'unknown' ? concerned : { ...concerned, ...place })
      }
    }
  }
  return audiences
}

/** Owners of the devices on which something was shown of messages. While a message is under way that is not known. */
async function shownOf(
  pushes: Deps['pushes'],
  { conversation, from }: PushDocument,
  messageIds: readonly string[],
): Promise<Audience | 'unknown'> {
  const shown = new Map<string, string[]>()
  const messages = await pushes.ofMessages(conversation, messageIds)
  if (messages.some(({ dueAt }) => dueAt)) return 'unknown'
  for (const { _id, sent = [] } of messages)
    for (const device of sent) shown.set(device, [...(shown.get(device) ?? []), _id])
  const userIds = new Set([...shown.keys()].map(userOfDevice))
  userIds.delete(from)
  return { userIds: [...userIds], shown }
}
