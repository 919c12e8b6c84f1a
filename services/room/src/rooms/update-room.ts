import { ContractError } from '@im/contracts'
import { type RoomSwitch, roomChanged, switchFields } from '@im/contracts/room'
import { changeAsMember } from '../changes/change-room.ts'
import type { RoomAct } from '../changes/room-act.ts'
import { personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { isModerator, isOwner, type MemberDocument } from '../documents/member-document.ts'
import { type RoomDocument, untilOf } from '../documents/room-document.ts'
import { publishNotice } from '../notices/publish-notice.ts'
import { mostMembers } from './size-limit.ts'

/** Values that leave a field as it is are absent. */
export interface RoomUpdate {
  fields: Partial<
    Pick<RoomDocument, 'name' | 'desc' | 'subject' | 'category' | 'tags' | 'chatRecordTimeOut' | RoomSwitch>
  >
  /** Seconds; a time that has passed lifts the mute. */
  talkTime?: number | undefined
  maxUserSize?: number | undefined
  /** Text of a new notice. */
  notice?: string | undefined
}

/** Fields that only the owner may change. */
const ownersFields: ReadonlySet<string> = new Set(['maxUserSize', 'allowHostUpdate', 'isAttritionNotice'])

/** Changes a room, for the owner and admins. Fields that have the given value already count as not given. */
export async function updateRoom(deps: Deps, ref: string, callerId: number, update: RoomUpdate): Promise<void> {
  const most = await mostMembers(deps)
  await changeAsMember(deps, ref, callerId, async (act, own) => {
    if (!isModerator(own)) throw new ContractError('PermissionDenied')
    await changeFields(act, own, update, most)
    if (update.notice !== undefined) await publishNotice(deps, act, own, update.notice)
  })
}

async function changeFields(act: RoomAct, own: MemberDocument, update: RoomUpdate, most: number): Promise<void> {
  const { room } = act
  const wanted: Partial<RoomDocument> = { ...update.fields }
  if (update.talkTime !== undefined) wanted.talkTime = untilOf(update.talkTime, act.seconds)
  // A room may be larger than the configuration allows by now: naming its size changes nothing.
  if (update.maxUserSize !== undefined && update.maxUserSize !== room.maxUserSize)
    wanted.maxUserSize = sizeOf(room, update.maxUserSize, most)
  const changed = Object.keys(wanted).filter((name) => !isSame(room, wanted, name as keyof RoomDocument))
  if (!changed.length) return
  if (!isOwner(own) && changed.some((name) => ownersFields.has(name))) throw new ContractError('OwnerOnly')
  await act.update({ set: { ...wanted, modifyTime: act.seconds, modifier: own.userId } })
  act.announce(roomChanged, personOf(own), { changed })
}

const isSame = (room: RoomDocument, wanted: Partial<RoomDocument>, name: keyof RoomDocument) =>
  wanted[name] === undefined || JSON.stringify(wanted[name]) === JSON.stringify(room[name])

const sizeOf = ({ userSize }: RoomDocument, wanted: number, most: number) => Math.max(userSize, Math.min(wanted, most))

/** The given switches; -1 stands for unchanged. */
export function givenSwitches(params: { [K in RoomSwitch]?: number }): { [K in RoomSwitch]?: 0 | 1 } {
  const names = Object.keys(switchFields) as RoomSwitch[]
  return Object.fromEntries(
    names.flatMap((name) => (params[name] === 0 || params[name] === 1 ? [[name, params[name]]] : [])),
  )
}
