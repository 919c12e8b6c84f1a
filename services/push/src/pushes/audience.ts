import type { Deps } from '../deps.ts'
import type { MemberCopy, RoomCopy } from '../rooms/rooms-repository.ts'
import { type PushDocument, shownId, userOfDevice } from './push-document.ts'

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
    const { _id, to, roomJid: jid, withdraws } = push
    if (jid !== undefined) inRooms.push(push)
    else
      audiences.set(_id, withdraws ? await shownOf(pushes, push, withdraws) : { userIds: to === undefined ? [] : [to] })
  }
  const known = await rooms.byJids([...new Set(inRooms.map(({ roomJid = '' }) => roomJid))])
  const toSome = inRooms.flatMap((push) => {
    const { _id, receivers, roomJid: jid = '', named } = push
    const copy = known.get(jid)
    // What is told of a room that may be gone brings its names along.
    const room =
      receivers && named ? { roomId: named.roomId, name: named.room } : copy && { roomId: copy._id, name: copy.name }
    if (!room) audiences.set(_id, 'unknown')
    return receivers && room ? [{ push, receivers, room: { ...room, jid } }] : []
  })
  const members = await rooms.findInRooms(
    toSome.flatMap(({ push: { from }, receivers, room: { roomId } }) =>
      [...receivers, from].map((userId) => ({ roomId, userId })),
    ),
  )
  for (const { push, receivers, room } of toSome) {
    const byId = new Map(members.get(room.roomId)?.map((member) => [member.userId, member]))
    // Who is told of being out is no member any more.
    const userIds = push.named ? receivers : receivers.filter((userId) => isFor(push, byId.get(userId)))
    audiences.set(push._id, { userIds, members: byId, room })
  }
  const byJid = Map.groupBy(
    inRooms.filter(({ receivers }) => !receivers),
    ({ roomJid = '' }) => roomJid,
  )
  const found = [...known.values()].filter(({ jid }) => byJid.has(jid))
  for (let at = 0, count = 0; at < found.length && count < mostMembers; at += roomsAtOnce) {
    const part = found.slice(at, at + roomsAtOnce)
    const members = await rooms.membersOf(part.map(({ _id }) => _id))
    for (const { _id: roomId, jid, name } of part) {
      const ofRoom = members.get(roomId) ?? []
      count += ofRoom.length
      const byId = new Map(ofRoom.map((member) => [member.userId, member]))
      for (const push of byJid.get(jid) ?? []) {
        const { _id, withdraws } = push
        const concerned = withdraws
          ? await shownOf(pushes, push, withdraws)
          : { userIds: ofRoom.filter((member) => isFor(push, member)).map(({ userId }) => userId) }
        const place = { members: byId, room: { roomId, jid, name } }
        audiences.set(_id, concerned === 'unknown' ? concerned : { ...concerned, ...place })
      }
    }
  }
  return audiences
}

/** Whether something said in a room is for a member: not for who said it, nor from before they joined. */
const isFor = ({ from, arrivedAt }: PushDocument, member: MemberCopy | undefined): boolean =>
  member !== undefined && member.userId !== from && (member.joinedAt ?? 0) <= arrivedAt

/**
 * Owners of the devices on which something was shown of messages. While a message is under way that is not known; what waits of one
 * that was recalled is shown to nobody any more.
 */
async function shownOf(
  pushes: Deps['pushes'],
  { conversation, from }: PushDocument,
  messageIds: readonly string[],
): Promise<Audience | 'unknown'> {
  const shown = new Map<string, string[]>()
  const messages = await pushes.ofMessages(conversation, messageIds)
  if (messages.some(({ dueAt, claim }) => dueAt && claim)) return 'unknown'
  for (const message of messages)
    for (const device of message.sent ?? []) {
      const before = shown.get(device) ?? []
      const id = shownId(message)
      if (!before.includes(id)) shown.set(device, [...before, id])
    }
  const userIds = new Set([...shown.keys()].map(userOfDevice))
  userIds.delete(from)
  return { userIds: [...userIds], shown }
}
