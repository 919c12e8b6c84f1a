import { ContractError } from '@im/contracts'
import { fileAddressesIn } from '@im/contracts/message'
import { memberRoles, shareAdded } from '@im/contracts/room'
import { changeAsMember } from '../changes/change-room.ts'
import { personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { isModerator } from '../documents/member-document.ts'
import { newId } from '../documents/room-document.ts'
import type { ShareDocument } from './shares-repository.ts'

/** They go with their room in one change, and a member who adds more without end must not keep it from being dissolved. */
const mostOfRoom = 10_000

/** Shares a file that was uploaded before. */
export function addShare(
  deps: Deps,
  ref: string,
  callerId: number,
  file: Pick<ShareDocument, 'name' | 'url' | 'size' | 'type'>,
): Promise<ShareDocument> {
  return changeAsMember(deps, ref, callerId, async (act, own) => {
    // Who is invisible only reads.
    if (own.role === memberRoles.invisible || (!act.room.allowUploadFile && !isModerator(own)))
      throw new ContractError('UploadNotAllowed')
    if ((await deps.shares.count(act.room._id, mostOfRoom, act.change)) >= mostOfRoom)
      throw new ContractError('InvalidParams', { detail: `roomId: a room has at most ${mostOfRoom} files` })
    const { userId, nickname } = own
    const { name, url, size, type } = file
    const [address] = fileAddressesIn(url)
    const about = { _id: newId(), roomId: act.room._id, userId, nickname, time: act.seconds, name, url, size, type }
    const share = { ...about, ...(address ? { file: address.name } : {}) }
    await deps.shares.add(share, act.change)
    act.announce(shareAdded, personOf(own), { shareId: share._id, name })
    return share
  })
}
