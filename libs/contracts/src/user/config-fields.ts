import { Type } from 'typebox'
import type { EntityOf, Field, Fields } from '../fields.ts'
import { Double, Flag, Int32, List, Text } from '../param-types.ts'
import { FlagResult } from '../result-types.ts'
import type { SettingValues } from './setting-fields.ts'

/** A value of the configuration, which the console may change. */
export interface ConfigField extends Field {
  /** An address with its scheme. `base`: others are built by adding to it, so it ends with `/` and is never empty. */
  url?: 'any' | 'base'
}

const text = (value: string, description?: string) => ({
  type: Type.String(description ? { description } : {}),
  param: Text({ empty: 'kept', trim: true, maxLength: 4096 }),
  default: value,
})
const url = (description?: string) => ({ ...text('', description), url: 'any' as const })
const int = (value: number, description?: string) => ({
  type: Type.Integer(description ? { description } : {}),
  param: Int32(),
  default: value,
})
const flag = (value: 0 | 1) => ({ type: FlagResult(), param: Flag(), default: value })
/** The environment gives the value until the console sets one. */
const ofEnvironment = { type: Type.String(), param: Text({ trim: true, maxLength: 255 }) }
const baseUrl = { ...ofEnvironment, param: Text({ trim: true, maxLength: 2048 }), url: 'base' as const }

/** What apps read at start (spec 01-basic.md). */
export const appConfigFields = {
  id: { type: Type.Integer(), default: 10_000 },
  XMPPDomain: ofEnvironment,
  XMPPHost: ofEnvironment,
  XMPPTimeout: int(180),
  xmppPingTime: int(72),
  apiUrl: baseUrl,
  uploadUrl: baseUrl,
  downloadUrl: baseUrl,
  downloadAvatarUrl: baseUrl,
  androidVersion: int(0),
  iosVersion: int(0),
  pcVersion: int(0),
  macVersion: int(0),
  androidAppUrl: url(),
  androidExplain: text(''),
  androidDisable: text(''),
  iosAppUrl: url(),
  iosExplain: text(''),
  iosDisable: text(''),
  pcAppUrl: url(),
  pcExplain: text(''),
  pcDisable: text(''),
  macAppUrl: url(),
  macExplain: text(''),
  macDisable: text(''),
  appleId: text(''),
  audioLen: text('20', 'seconds, as text'),
  videoLen: text('20', 'seconds, as text'),
  displayRedPacket: flag(0),
  freeswitch: text(''),
  meetingHost: text(''),
  liveUrl: url(),
  jitsiServer: url('where meetings are held; ends with /'),
  helpUrl: url(),
  shareUrl: url(),
  softUrl: url(),
  backUrl: url(),
  website: url(),
  companyName: text(''),
  copyright: text(''),
  headBackgroundImg: url(),
  privacyPolicyPrefix: url(),
  popularAPP: { type: Type.Optional(Type.String({ description: 'JSON' })), param: text('').param },
  distance: int(50, 'km'),
  fileValidTime: int(-1, 'days, -1 for ever'),
  chatRecordTimeOut: {
    type: Type.Number({ description: 'days, -1 for ever' }),
    param: Double({ minimum: -2, maximum: 1_000_000 }),
    default: -1,
  },
  isOpenReceipt: flag(1),
  isOpenReadReceipt: flag(1),
  isOpenCluster: flag(0),
  isOpenAPNSorJPUSH: flag(0),
  isOpenRoomSearch: flag(0),
  isOpenOnlineStatus: flag(1),
  isOpenSMSCode: int(0),
  isOpenRegister: int(1),
  registerInviteCode: int(0, '0 none, 1 required, 2 optional'),
  regeditPhoneOrName: int(0, '0 telephone, 1 user name'),
  nicknameSearchUser: int(2, '0 off, 1 exact, 2 contains'),
  telephoneSearchUser: int(1, '0 off, 1 exact'),
  hideSearchByFriends: int(1),
  showContactsUser: int(1),
  isCommonFindFriends: int(0),
  isCommonCreateGroup: int(0),
  isOpenPositionService: int(0),
  maxUserSize: int(1000),
} satisfies Record<string, ConfigField> & Fields

const start = (setting: keyof SettingValues, value: 0 | 1) => ({ ...flag(value), setting })

/** What new users start with, in the setting of another name. */
export const newUserConfigFields = {
  isMultiLogin: start('multipleDevices', 1),
  isFriendsVerify: start('friendsVerify', 0),
  isEncrypt: start('isEncrypt', 0),
  isVibration: start('isVibration', 1),
  isTyping: start('isTyping', 1),
  isUseGoogleMap: start('isUseGoogleMap', 0),
} satisfies Fields

const texts = (description?: string) => ({
  type: Type.Array(Type.String(), description ? { description } : {}),
  param: List({ item: Text({ maxLength: 200 }) }),
  default: [],
})

/** What only servers read. */
export const serverConfigFields = {
  isAuthApi: flag(0),
  defaultTelephones: texts('area code + number of those who become friends of every new user'),
  recallLimitSeconds: int(0),
  keywords: texts(),
  isKeyWord: flag(0),
  ...newUserConfigFields,
} satisfies Fields

/** The whole configuration. */
export const configFields: typeof appConfigFields & typeof serverConfigFields = {
  ...appConfigFields,
  ...serverConfigFields,
}

const { id: _constant, ...changeable } = configFields

/** What the console may change. */
export const changeableConfigFields: Readonly<Omit<typeof configFields, 'id'>> = changeable

export type ServerConfig = EntityOf<typeof configFields>
