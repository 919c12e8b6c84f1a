import { type Static, Type } from 'typebox'
import { FlagResult, Milliseconds, UnixSeconds } from '../result-types.ts'

const userId = Type.Integer({ minimum: 1 })

/** A room as other services know it. Times are in seconds; flags are 0 or 1, as apps know them (spec 04-room.md). */
export const RoomState = Type.Object({
  roomId: Type.String({ description: '24 hex' }),
  jid: Type.String({ description: 'local part of its address, in lower case; no later room ever has it' }),
  name: Type.String(),
  ownerId: userId,
  locked: FlagResult({ description: 'by the console' }),
  talkTime: UnixSeconds({ description: 'all are muted until then; 0 = not' }),
  isAttritionNotice: FlagResult(),
  showRead: FlagResult(),
  isLook: FlagResult(),
  isNeedVerify: FlagResult(),
  showMember: FlagResult(),
  allowSendCard: FlagResult(),
  allowInviteFriend: FlagResult(),
  allowUploadFile: FlagResult(),
  allowConference: FlagResult(),
  allowSpeakCourse: FlagResult(),
  maxUserSize: Type.Integer(),
  chatRecordTimeOut: Type.Number({ description: 'days, -1 for ever' }),
})
export type RoomState = Static<typeof RoomState>

/** A member of a room as other services know them. */
export const MemberState = Type.Object({
  userId,
  name: Type.String({ description: 'as the room shows them' }),
  role: Type.Integer({ description: '1 owner, 2 admin, 3 member, 4 invisible, 5 guardian', minimum: 1, maximum: 5 }),
  talkTime: UnixSeconds({ description: 'muted until then; 0 = not' }),
  joinedAt: Type.Number({
    description: 'seconds, with a fraction: what was said before in the same second is not for them',
  }),
})
export type MemberState = Static<typeof MemberState>

/** A member as the message service has to know them: what came before they joined is not theirs. */
export const StandingMember = Type.Object({
  ...MemberState.properties,
  since: Milliseconds({ description: 'when they joined, in milliseconds' }),
})
export type StandingMember = Static<typeof StandingMember>

/** A user and the name that apps show for them. */
export const Person = Type.Object({ userId, name: Type.String({ description: 'never empty' }) })
export type Person = Static<typeof Person>
