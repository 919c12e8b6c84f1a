import { ContractError, pickFields } from '@im/contracts'
import { roomCreated, roomFields } from '@im/contracts/room'
import { inTurn } from '../changes/change-room.ts'
import { findOwn } from '../changes/find-own.ts'
import { RoomAct } from '../changes/room-act.ts'
import { personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { isOwner, newMember } from '../documents/member-document.ts'
import { newJid } from '../documents/room-document.ts'
import { addMembers } from '../members/admit.ts'
import { settleNewcomers } from '../members/settle-newcomers.ts'
import { type MadeRoom, newRoom } from './add-room.ts'

/** Makes another room with the settings and members of one. Notices, shared files and mutes are not copied. */
export async function copyRoom(deps: Deps, ref: string, callerId: number): Promise<MadeRoom> {
  const { rooms, members } = deps
  const { room: model, own } = await findOwn(deps, ref, callerId)
  if (!isOwner(own)) throw new ContractError('OwnerOnly')
  if (model.s === -1) throw new ContractError('RoomLocked')
  const numbers = await deps.numbers.next()
  const room = {
    ...newRoom(pickFields(roomFields, model), newJid(), callerId, numbers, deps.now()),
    ...{ userSize: 0, hiddenSize: 0, adminSize: 0 },
  }
  const { copies, ...made } = await inTurn(deps, room._id, async (change) => {
    await rooms.add(room, change)
    const act = new RoomAct(room, change, { rooms, at: deps.now() })
    const copies = (await members.all(model._id, change.session)).map(({ userId, nickname, isNamed, role }) => ({
      ...newMember({ room, userId, nickname, role, now: act.at }),
      isNamed,
    }))
    const owner = copies.find(isOwner)
    if (owner?.userId !== callerId) throw new ContractError('OwnerOnly')
    act.announce(roomCreated, personOf(owner), {})
    await addMembers(deps, act, owner, copies)
    return { result: { room: act.room, own: owner, copies }, act }
  })
  await settleNewcomers(deps, copies)
  return made
}
