import { ContractError } from '@im/contracts'
import type { RoomMember } from '@im/contracts/room'
import type { Static } from 'typebox'
import { readAsMember } from '../changes/find-own.ts'
import type { Deps } from '../deps.ts'
import { sees, viewOf } from '../documents/visibility.ts'
import { memberView } from './member-view.ts'

type View = Static<typeof RoomMember>

/** All members whom the viewer sees, or those with `keyword` in the nickname or remark. */
export async function listMembers(deps: Deps, ref: string, viewerId: number, keyword?: string): Promise<View[]> {
  return await readAsMember(deps, ref, viewerId, async (room, own) => {
    const found = await deps.members.list(room._id, viewOf(room, own), keyword)
    return found.map((member) => memberView(member, room, own))
  })
}

/**
 * A page of members: first the owner and admins, then the others by the time they joined. A page begins with all who
 * joined in the second at which the one before ended, so that nobody is between two pages.
 */
export async function pageMembers(
  deps: Deps,
  ref: string,
  viewerId: number,
  { joinTime, pageSize }: { joinTime: number; pageSize: number },
): Promise<View[]> {
  const { members } = deps
  return await readAsMember(deps, ref, viewerId, async (room, own) => {
    const view = viewOf(room, own)
    const first = joinTime > 0 ? await members.joined(room._id, view, { $gte: joinTime, $lte: joinTime }) : []
    const page =
      joinTime > 0
        ? await members.joined(room._id, view, { $gt: joinTime }, pageSize)
        : await members.page(room._id, view, 0, pageSize)
    return [...first, ...page].map((member) => memberView(member, room, own))
  })
}

/** One member. Those whom the viewer doesn't see are as if they were no members. */
export async function getMember(deps: Deps, ref: string, viewerId: number, userId: number): Promise<View> {
  return await readAsMember(deps, ref, viewerId, async (room, own) => {
    const member = userId === viewerId ? own : await deps.members.find(room._id, userId)
    if (!member || !sees(viewOf(room, own), member)) throw new ContractError('MemberNotFound')
    return memberView(member, room, own)
  })
}
