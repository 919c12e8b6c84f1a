import { Type } from 'typebox'
import type { EntityOf, Fields } from '../fields.ts'
import { Days, Double, Flag, Int, Int32, List, Name, Prose } from '../param-types.ts'
import { FlagResult } from '../result-types.ts'

const prose = (maxLength: number) => ({ type: Type.String(), param: Prose({ maxLength }), default: '' })
const region = { type: Type.Integer(), param: Int32(), default: 0 }
const degrees = (most: number) => ({
  type: Type.Number(),
  param: Double({ minimum: -most, maximum: most }),
  default: 0,
})
const flag = (value: 0 | 1, description: string) => ({
  type: FlagResult({ description }),
  param: Flag({ description }),
  default: value,
})

/** What a room is called and where it is; its maker gives it. */
export const describingFields = {
  name: { type: Type.String(), param: Name({ maxLength: 64 }), default: '我的群组' },
  desc: prose(1000),
  subject: prose(1000),
  category: { type: Type.Integer({ description: '510 contacts group' }), param: Int32(), default: 0 },
  tags: {
    type: Type.Array(Type.String()),
    param: List({ maxItems: 20, item: Name({ maxLength: 64 }) }),
    default: [] as string[],
  },
} satisfies Fields

export const placeFields = {
  countryId: region,
  provinceId: region,
  cityId: region,
  areaId: region,
  longitude: degrees(180),
  latitude: degrees(90),
} satisfies Fields

/** Switches of a room. Each change of one is told to the members, except the last two. */
export const switchFields = {
  showRead: flag(0, '1: who has read a message is shown'),
  isNeedVerify: flag(0, '1: joining needs the approval of the owner or an admin'),
  isLook: flag(0, '0 public, 1 private: not found by /room/list'),
  showMember: flag(1, '0: members see only the owner, admins and themselves'),
  allowSendCard: flag(1, '1: members may write to each other in private'),
  allowInviteFriend: flag(1, '1: members may invite'),
  allowUploadFile: flag(1, '1: members may share files'),
  allowConference: flag(1, '1: members may start conferences'),
  allowSpeakCourse: flag(1, '1: members may give courses'),
  isAttritionNotice: flag(1, '1: the room is told who left'),
  allowHostUpdate: flag(1, 'stored only'),
} satisfies Fields

export type RoomSwitch = keyof typeof switchFields

/** Everything the maker of a room may give. */
export const roomFields = {
  ...describingFields,
  ...placeFields,
  ...switchFields,
  chatRecordTimeOut: {
    type: Type.Number({ description: 'days that messages live, -1 for ever; applied by the sending app' }),
    param: Days(),
    default: -1,
  },
  maxUserSize: {
    type: Type.Integer(),
    param: Int({ description: 'at most that of the configuration, which is the default' }),
  },
} satisfies Fields

export type RoomFields = EntityOf<typeof roomFields>

/** Roles in a room. The last two are shown to the owner and to themselves only. */
export const memberRoles = { owner: 1, admin: 2, member: 3, invisible: 4, guardian: 5 } as const
export type MemberRole = (typeof memberRoles)[keyof typeof memberRoles]
