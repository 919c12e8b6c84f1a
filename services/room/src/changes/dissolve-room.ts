import { ContractError } from '@im/contracts'
import { roomDissolved, sharesDropped } from '@im/contracts/room'
import type { Deps } from '../deps.ts'
import { isOwner, type MemberDocument } from '../documents/member-document.ts'
import { changeAsMember } from './change-room.ts'
import type { RoomAct } from './room-act.ts'
import { personOf } from './room-states.ts'

/** Shared files that one event names. */
const filesAtOnce = 200

/** Ends a room for all its members. Only its owner may. */
export async function dissolveRoom(deps: Deps, ref: string, callerId: number): Promise<void> {
  await changeAsMember(deps, ref, callerId, async (act, own) => {
    if (!isOwner(own)) throw new ContractError('OwnerOnly')
    await dissolve(deps, act, own)
  })
}

export async function dissolve(
  { members, mutes, notices, shares }: Pick<Deps, 'members' | 'mutes' | 'notices' | 'shares'>,
  act: RoomAct,
  by: Pick<MemberDocument, 'userId' | 'nickname'>,
): Promise<void> {
  const { _id: roomId } = act.room
  const { change } = act
  const memberIds = await members.userIds(roomId, change)
  await members.removeAll(roomId, change)
  await mutes.removeAll(roomId, change)
  await notices.removeAll(roomId, change)
  const files = await shares.filesOf(roomId, change)
  await shares.removeAll(roomId, change)
  await act.update({ set: { dissolvedAt: act.seconds, userSize: 0, hiddenSize: 0, adminSize: 0 }, unset: ['notice'] })
  act.announce(roomDissolved, personOf(by), { memberIds })
  for (let at = 0; at < files.length; at += filesAtOnce)
    change.announce(sharesDropped, roomId, { roomId, files: files.slice(at, at + filesAtOnce), at: act.at })
}
