import { setTimeout as delay } from 'node:timers/promises'
import { ContractError, streams } from '@im/contracts'
import { liveRooms } from '@im/contracts/message'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { MemberDocument } from '../documents/member-document.ts'
import type { RoomDocument } from '../documents/room-document.ts'
import { RoomAct } from './room-act.ts'

type ChangeDeps = Pick<Deps, 'rooms' | 'members' | 'outbox' | 'turns' | 'message' | 'mongoClient' | 'log' | 'now'>

/** The room of an id or a jid. Throws RoomNotFound, for dissolved ones too. */
export async function findRoom({ rooms }: Pick<Deps, 'rooms'>, ref: string): Promise<RoomDocument> {
  const room = await rooms.find(ref)
  if (!room || room.dissolvedAt) throw new ContractError('RoomNotFound')
  return room
}

/**
 * Changes a room, alone: changes of one room are made one after the other. It is in force in the live room when this resolves,
 * so that nothing is said there any more that the change forbids.
 */
export async function changeRoom<T>(deps: ChangeDeps, ref: string, work: (act: RoomAct) => Promise<T>): Promise<T> {
  const { _id: roomId } = await findRoom(deps, ref)
  return await inTurn(deps, roomId, async (change) => {
    const room = await deps.rooms.byId(roomId, change)
    if (!room || room.dissolvedAt) throw new ContractError('RoomNotFound')
    const act = new RoomAct(room, change, { rooms: deps.rooms, at: deps.now() })
    return { result: await work(act), act }
  })
}

/** The same by a member. Throws NotRoomMember, and RoomLocked while the console has locked the room. */
export function changeAsMember<T>(
  deps: ChangeDeps,
  ref: string,
  userId: number,
  work: (act: RoomAct, own: MemberDocument) => Promise<T>,
): Promise<T> {
  return changeRoom(deps, ref, async (act) => {
    const own = await deps.members.find(act.room._id, userId, act.change)
    if (!own) throw new ContractError('NotRoomMember')
    if (act.room.s === -1) throw new ContractError('RoomLocked')
    return await work(act, own)
  })
}

/** Commits a change of a room in the room's turn, and puts it into force. */
export async function inTurn<T>(
  deps: ChangeDeps,
  roomId: string,
  work: (change: Change) => Promise<{ result: T; act: RoomAct }>,
): Promise<T> {
  return await deps.turns.take(roomId, async () => {
    const { result, act } = await deps.outbox.commit(work)
    if (act.isDecisive) await enforce(deps, act.room)
    return result
  })
}

/** How often, and how far apart (ms), a change is told when that fails: a replica that has just died is not the whole service. */
const mostTries = 3
const tellAgainAfter = 150
/** After so long (ms) it is not told again. */
const patience = 1000

/**
 * Lets no message pass any more that the change forbids. While the message service is away it accepts none, and when it is back
 * it asks for what is true, so the change is in force without it, too. Where only the replica that is asked is away, the others hear of
 * it by its event.
 */
async function enforce(deps: ChangeDeps, { _id: roomId, jid }: RoomDocument): Promise<void> {
  const { outbox, mongoClient, message, log } = deps
  const sequences = await mongoClient.withSession((session) =>
    outbox.lastSequences(streams.room.name, [roomId], session),
  )
  const sequence = sequences.get(roomId) ?? 1
  const startedAt = performance.now()
  for (let tries = 1; ; tries++)
    try {
      return void (await message.call(liveRooms.enforceRoom, { jid, roomId, sequence }))
    } catch (error) {
      if (tries < mostTries && performance.now() - startedAt < patience) {
        await delay(tellAgainAfter)
        continue
      }
      log.warn({ err: error, roomId, sequence }, 'the message service was not told of a change of a room')
      return
    }
}
