import { ContractError } from '@im/contracts'
import { changeRoom } from '../changes/change-room.ts'
import type { Deps } from '../deps.ts'
import { admit } from './admit.ts'
import { settleNewcomers } from './settle-newcomers.ts'

/** Makes the caller a member of a room they know the id of. Who is a member stays one. */
export async function joinRoom(deps: Deps, ref: string, userId: number): Promise<void> {
  const nickname = await deps.names.ofOne(userId)
  if (nickname === undefined) throw new ContractError('TokenInvalid')
  const person = { userId, nickname }
  await changeRoom(deps, ref, async (act) => {
    const { room, change } = act
    if (await deps.members.find(room._id, userId, change)) return
    if (room.s === -1) throw new ContractError('RoomLocked')
    if (room.isNeedVerify) throw new ContractError('JoinNeedsApproval')
    await admit(deps, act, person, [person])
  })
  await settleNewcomers(deps, [person])
}
