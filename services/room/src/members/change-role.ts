import { ContractError } from '@im/contracts'
import { type MemberRole, memberChanged, memberRoles } from '@im/contracts/room'
import { changeAsMember } from '../changes/change-room.ts'
import { memberState, personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { isOwner, type MemberDocument, rankOf, sizesOf } from '../documents/member-document.ts'

const mostAdmins = 20

const { admin, member, invisible, guardian } = memberRoles

/** Makes a member an admin, or no longer. */
export const setAdmin = (deps: Deps, ref: string, callerId: number, userId: number, isAdmin: boolean) =>
  changeRole(deps, ref, callerId, userId, ({ role }) => (isAdmin ? admin : role === admin ? member : role))

/** What `type` of /room/setInvisibleGuardian does. */
const hiddenRoles: ReadonlyMap<number, (role: MemberRole) => MemberRole> = new Map<
  number,
  (role: MemberRole) => MemberRole
>([
  [4, () => invisible],
  [-1, (role) => (role === invisible ? member : role)],
  [5, () => guardian],
  [0, (role) => (role === guardian ? member : role)],
])

/** Makes a member invisible or a guardian, or no longer. */
export async function setHiddenRole(deps: Deps, ref: string, callerId: number, userId: number, type: number) {
  const roleAfter = hiddenRoles.get(type)
  if (!roleAfter) throw new ContractError('InvalidParams', { detail: 'type' })
  await changeRole(deps, ref, callerId, userId, ({ role }) => roleAfter(role))
}

async function changeRole(
  deps: Deps,
  ref: string,
  callerId: number,
  userId: number,
  roleAfter: (member: MemberDocument) => MemberRole,
): Promise<void> {
  const { members } = deps
  await changeAsMember(deps, ref, callerId, async (act, own) => {
    if (!isOwner(own)) throw new ContractError('OwnerOnly')
    if (userId === callerId) throw new ContractError('InvalidParams', { detail: 'touserId: the owner' })
    const before = await members.find(act.room._id, userId, act.change)
    if (!before) throw new ContractError('MemberNotFound')
    const role = roleAfter(before)
    if (role === before.role) return
    if (role === admin && act.room.adminSize >= mostAdmins)
      throw new ContractError('InvalidParams', { detail: `touserId: a room has at most ${mostAdmins} admins` })
    const fields = { role, rank: rankOf(role), modifyTime: act.seconds }
    await members.set(before, fields, act.change)
    const { adminSize, hiddenSize } = sizesOf(before.role, role)
    await act.update({ sizes: { adminSize, hiddenSize } })
    const state = memberState({ ...before, ...fields })
    act.announce(memberChanged, personOf(own), { member: state, roleBefore: before.role, changed: ['role'] })
  })
}
