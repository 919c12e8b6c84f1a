import { type MemberRole, memberRoles } from '@im/contracts/room'
import { isOwner, type MemberDocument } from './member-document.ts'
import type { RoomDocument } from './room-document.ts'

const { owner, admin, member } = memberRoles
const allRoles: readonly MemberRole[] = Object.values(memberRoles)

/** Whom a member sees: everybody in these roles, and themselves. */
export interface View {
  roles: readonly MemberRole[]
  self: number
  /** What members are called is for the owner's eyes. */
  seesRemarks: boolean
}

/**
 * What members see of each other (spec 04-room.md). Hidden roles are seen by the owner alone. Where showMember is 0, ordinary
 * members see only the owner and admins.
 */
export function viewOf(room: Pick<RoomDocument, 'showMember'>, viewer: MemberDocument): View {
  const self = viewer.userId
  if (isOwner(viewer)) return { roles: allRoles, self, seesRemarks: true }
  const seesMembers = room.showMember === 1 || viewer.role === admin
  return { roles: seesMembers ? [owner, admin, member] : [owner, admin], self, seesRemarks: false }
}

export const sees = ({ roles, self }: View, { userId, role }: MemberDocument): boolean =>
  userId === self || roles.includes(role)

/** How many members a room has for a viewer; hidden ones don't count for others. */
export function sizeFor(room: RoomDocument, viewer: MemberDocument | undefined): number {
  if (viewer && isOwner(viewer)) return room.userSize
  const isHidden = viewer !== undefined && viewer.role > member
  return room.userSize - room.hiddenSize + (isHidden ? 1 : 0)
}
