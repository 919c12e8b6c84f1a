import { ContractError } from '@im/contracts'
import { describingFields, waitingRoomChanged } from '@im/contracts/room'
import type { Change } from '@im/service-kit'
import { personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { newJid } from '../documents/room-document.ts'
import { metresBetween, type Place } from './distance.ts'
import type { WaitingRoom } from './waiting-rooms-repository.ts'

/** Who typed the same digits meets within so many metres. */
const reach = 100

export interface Waiting extends Place {
  digits: string
  /** Of the room, when it is a new one. */
  name?: string | undefined
  /** The others are not told. */
  isQuiet: boolean
}

/** Puts the caller into the waiting room of the digits at this place, which is made if there is none. */
export async function waitForOthers(deps: Deps, userId: number, waiting: Waiting): Promise<WaitingRoom> {
  const { waitingRooms, outbox, names, turns, now } = deps
  const { digits } = waiting
  const nickname = await names.ofOne(userId)
  if (nickname === undefined) throw new ContractError('TokenInvalid')
  await waitingRooms.open(digits)
  const work = async (change: Change) => {
    const at = now()
    const known = await waitingRooms.of(digits, change)
    const jids = known.map(({ jid }) => jid)
    const made = await deps.rooms.byJids(jids, change.session)
    // A room that was dissolved is not made again.
    const rooms = known.filter(({ jid }) => !made.get(jid)?.dissolvedAt)
    const [nearest] = rooms
      .map((room) => ({ room, metres: metresBetween(room, waiting) }))
      .filter(({ metres }) => metres <= reach)
      .sort((a, b) => a.metres - b.metres)
    const room = nearest?.room ?? newWaitingRoom(waiting, at)
    if (room.members.some((member) => member.userId === userId)) return room
    const others = room.members.map((member) => member.userId)
    const member = { userId, nickname, createTime: Math.floor(at / 1000) }
    const joined = { ...room, members: [...room.members, member], changedAt: at }
    const withoutCaller = rooms
      .filter(({ jid }) => jid !== room.jid)
      .map((other) => ({ ...other, members: other.members.filter((each) => each.userId !== userId) }))
    await waitingRooms.put(digits, [...withoutCaller, joined], change)
    if (others.length && !waiting.isQuiet)
      change.announce(waitingRoomChanged, room.jid, { jid: room.jid, userIds: others, by: personOf(member), at })
    return joined
  }
  return await turns.take(`digits ${digits}`, () => outbox.commit(work))
}

const newWaitingRoom = ({ name, latitude, longitude }: Waiting, at: number): WaitingRoom => ({
  jid: newJid(),
  name: name ?? describingFields.name.default,
  latitude,
  longitude,
  members: [],
  changedAt: at,
})
