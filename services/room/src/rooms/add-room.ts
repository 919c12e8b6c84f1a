import { ContractError } from '@im/contracts'
import { liveRooms } from '@im/contracts/message'
import { memberRoles, membersJoined, type RoomFields, roomCreated } from '@im/contracts/room'
import { isDuplicateKey } from '@im/service-kit'
import { inTurn } from '../changes/change-room.ts'
import { RoomAct } from '../changes/room-act.ts'
import { memberState, personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { type MemberDocument, newMember, sizesOf } from '../documents/member-document.ts'
import { newJid, newRoomId, type RoomDocument } from '../documents/room-document.ts'
import { admit } from '../members/admit.ts'
import { pickInvited } from '../members/pick-invited.ts'
import { settleNewcomers } from '../members/settle-newcomers.ts'
import { mostMembers } from './size-limit.ts'

/** A room and the owner's own record. */
export interface MadeRoom {
  room: RoomDocument
  own: MemberDocument
}

/** What the maker of a room wants. */
export interface WantedRoom extends Omit<RoomFields, 'maxUserSize'> {
  /** Of a live room that they made over XMPP. */
  jid?: string | undefined
  maxUserSize?: number | undefined
  /** First members. */
  invited: readonly number[]
}

/**
 * Makes a room. The same user may ask for the same jid again and gets the room they made. Throws JidTaken, and RoomFull when
 * there are too many first members.
 */
export async function addRoom(
  deps: Deps,
  ownerId: number,
  { jid: given, invited, ...wanted }: WantedRoom,
): Promise<MadeRoom> {
  const { rooms, members, message } = deps
  const jid = given?.toLowerCase()
  if (jid !== undefined) {
    const known = await ownRoom(deps, ownerId, jid)
    if (known) return known
    await message.call(liveRooms.claimRoom, { jid, userId: ownerId })
  }
  const most = await mostMembers(deps)
  const { maxUserSize: size = 0 } = wanted
  const maxUserSize = size > 0 ? Math.min(size, most) : most
  const owner = await deps.names.ofOne(ownerId)
  if (owner === undefined) throw new ContractError('TokenInvalid')
  const people = await pickInvited(deps, { userId: ownerId, role: memberRoles.owner }, invited)
  const room = newRoom({ ...wanted, maxUserSize }, jid ?? newJid(), ownerId, await deps.numbers.next(), deps.now())
  try {
    const made = await inTurn(deps, room._id, async (change) => {
      await rooms.add(room, change)
      const act = new RoomAct(room, change, { rooms, at: deps.now() })
      const own = newMember({ room, userId: ownerId, nickname: owner, role: memberRoles.owner, now: act.at })
      await members.add([own], change)
      act.announce(roomCreated, personOf(own), {})
      act.announce(membersJoined, personOf(own), { members: [memberState(own)] })
      await admit(deps, act, own, people)
      return { result: { room: act.room, own }, act }
    })
    await settleNewcomers(deps, [made.own, ...people])
    return made
  } catch (error) {
    if (!isDuplicateKey(error, 'jid') || jid === undefined) throw error
    // The same app may have asked twice at the same moment.
    const known = await ownRoom(deps, ownerId, jid)
    if (known) return known
    throw new ContractError('JidTaken')
  }
}

/** The room that a user made with a jid before. Throws JidTaken when somebody else did, or when it was dissolved. */
async function ownRoom({ rooms, members }: Deps, userId: number, jid: string): Promise<MadeRoom | undefined> {
  const room = await rooms.byJid(jid)
  if (!room) return undefined
  const own = room.userId === userId && !room.dissolvedAt && (await members.find(room._id, userId))
  if (!own) throw new ContractError('JidTaken')
  return { room, own }
}

export function newRoom(
  fields: RoomFields,
  jid: string,
  userId: number,
  numbers: Pick<RoomDocument, 'call' | 'videoMeetingNo'>,
  now: number,
): RoomDocument {
  const createTime = Math.floor(now / 1000)
  return {
    ...fields,
    _id: newRoomId(),
    jid,
    ...numbers,
    userId,
    ...sizesOf(undefined, memberRoles.owner),
    createTime,
    modifyTime: createTime,
    modifier: userId,
    s: 1,
    talkTime: 0,
  }
}
