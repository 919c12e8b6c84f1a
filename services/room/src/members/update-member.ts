import { ContractError } from '@im/contracts'
import { memberChanged, memberDoNotDisturbChanged, memberRoles } from '@im/contracts/room'
import { changeAsMember } from '../changes/change-room.ts'
import { memberState, personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { isModerator, isOwner, type MemberDocument } from '../documents/member-document.ts'
import { untilOf } from '../documents/room-document.ts'
import { sees, viewOf } from '../documents/visibility.ts'

/** What may be changed about a member; absent fields stay as they are. */
export interface MemberUpdate {
  nickname?: string | undefined
  remarkName?: string | undefined
  /** Muted until then (seconds); 0 or a time that has passed lifts it. */
  talkTime?: number | undefined
  sub?: 0 | 1 | undefined
  offlineNoPushMsg?: 0 | 1 | undefined
  isOpenTopChat?: 0 | 1 | undefined
}

const { owner, admin, member: ordinary, guardian } = memberRoles

/** Changes the caller's own record, or that of another member as far as the caller's role allows it. */
export async function updateMember(
  deps: Deps,
  ref: string,
  callerId: number,
  userId: number,
  wanted: MemberUpdate,
): Promise<void> {
  const { members } = deps
  await changeAsMember(deps, ref, callerId, async (act, own) => {
    const target = userId === callerId ? own : await members.find(act.room._id, userId, act.change)
    if (!target || !(sees(viewOf(act.room, own), target) || mayMute(own, target)))
      throw new ContractError('MemberNotFound')
    demandAllowed(own, target, wanted)
    const fields = changedFields(target, wanted, act.seconds)
    const changed = Object.keys(fields) as (keyof typeof fields)[]
    if (!changed.length) return
    if (changed.includes('nickname')) fields.isNamed = true
    const after = { ...target, ...fields, modifyTime: act.seconds }
    await members.set(target, { ...fields, modifyTime: act.seconds }, act.change)
    // What the owner calls somebody is nobody else's business.
    const told = changed.filter((name) => name !== 'remarkName')
    const details = { member: memberState(after), roleBefore: target.role, changed: told }
    if (told.length) act.announce(memberChanged, personOf(own), details)
    if (changed.includes('offlineNoPushMsg')) {
      const { _id: roomId, jid } = act.room
      const { offlineNoPushMsg } = after
      const fact = { roomId, jid, userId, offlineNoPushMsg, at: act.at }
      act.change.announce(memberDoNotDisturbChanged, roomId, fact)
    }
  })
}

/** What the update changes, as it is stored. */
function changedFields(member: MemberDocument, wanted: MemberUpdate, now: number): Partial<MemberDocument> {
  const { talkTime, isOpenTopChat, ...others } = wanted
  const given: Partial<MemberDocument> = { ...others } as Partial<MemberDocument>
  if (talkTime !== undefined) given.talkTime = untilOf(talkTime, now)
  // Pinning a pinned room leaves it in its place.
  if (isOpenTopChat !== undefined) given.openTopChatTime = isOpenTopChat ? member.openTopChatTime || now : 0
  const isChanged = ([name, value]: [string, unknown]) =>
    value !== undefined && value !== (member[name as keyof MemberDocument] ?? '')
  return Object.fromEntries(Object.entries(given).filter(isChanged))
}

const mayMute = (own: MemberDocument, target: MemberDocument) =>
  isOwner(own) || (own.role === admin && (target.role === ordinary || target.role === guardian))

function demandAllowed(own: MemberDocument, target: MemberDocument, wanted: MemberUpdate): void {
  const isOwn = own.userId === target.userId
  if (wanted.talkTime !== undefined) {
    if (target.role === owner) throw new ContractError('InvalidParams', { detail: 'talkTime: of the owner' })
    if (!mayMute(own, target)) throw new ContractError('PermissionDenied')
  }
  if (isOwn) return
  const settings = [wanted.sub, wanted.offlineNoPushMsg, wanted.isOpenTopChat]
  if (settings.some((setting) => setting !== undefined)) throw new ContractError('PermissionDenied')
  if (wanted.nickname !== undefined && !isModerator(own)) throw new ContractError('PermissionDenied')
  if (wanted.remarkName !== undefined && !isOwner(own)) throw new ContractError('PermissionDenied')
}
