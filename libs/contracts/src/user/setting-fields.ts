import { Type } from 'typebox'
import type { EntityOf, Field, Fields } from '../fields.ts'
import { Days, FlagOrUnchanged, Int, Text } from '../param-types.ts'
import { FlagResult } from '../result-types.ts'

/** A private setting of a user. */
export interface SettingField extends Field {
  /** This value as parameter leaves the setting as it is. */
  unchanged?: number
  /** Others may read it, too. */
  isPublic?: true
}

const flag = (value: 0 | 1, description?: string) => ({
  type: FlagResult(description ? { description } : {}),
  param: FlagOrUnchanged(),
  default: value,
  unchanged: -1,
})

const days = (description: string) => ({ type: Type.Number({ description }), param: Days(), default: -1 })

const audience = (value: number) => ({
  type: Type.Integer({ description: '1 all, 2 friends, 3 contacts, -1 nobody' }),
  param: Type.Enum([-1, 1, 2, 3], { wire: 'int', description: '1 all, 2 friends, 3 contacts, -1 nobody' }),
  default: value,
})

/** Private settings with their defaults; the configuration may set others for new users (spec 02-user.md). */
export const settingFields = {
  allowAtt: { ...flag(1, 'may be followed'), isPublic: true },
  allowGreet: { ...flag(1, 'strangers may write'), isPublic: true },
  friendsVerify: { ...flag(0, '1: requests need consent'), isPublic: true },
  openService: {
    type: Type.Integer(),
    param: Int({ minimum: -1, maximum: 2147483647 }),
    default: 0,
    unchanged: -1,
  },
  closeTelephoneFind: flag(0, '1: not found by telephone'),
  chatRecordTimeOut: days('days, -1 for ever'),
  chatSyncTimeLen: days('days, -1 all, -2 none'),
  groupChatSyncTimeLen: days('days, -1 all, -2 none'),
  isEncrypt: flag(0),
  isVibration: flag(1),
  isTyping: flag(1),
  isUseGoogleMap: flag(0),
  multipleDevices: flag(1, '0: one device'),
  isKeepalive: flag(1),
  phoneSearch: flag(1),
  nameSearch: flag(1),
  showLastLoginTime: audience(1),
  showTelephone: audience(2),
  friendFromList: {
    type: Type.String({ description: '1 QR, 2 card, 3 group, 4 phone search, 5 nickname search' }),
    param: Text({ trim: true, description: 'comma list of 1..5; 0 or -1: none' }),
    default: '1,2,3,4,5',
  },
} satisfies Record<string, SettingField> & Fields

export type SettingValues = EntityOf<typeof settingFields>
