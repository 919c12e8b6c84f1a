import { Type } from 'typebox'
import type { EntityOf, Fields } from '../fields.ts'
import { FlagResult } from '../result-types.ts'
import type { SettingValues } from './setting-fields.ts'

const text = (value: string, description?: string) => ({
  type: Type.String(description ? { description } : {}),
  default: value,
})
const int = (value: number, description?: string) => ({
  type: Type.Integer(description ? { description } : {}),
  default: value,
})
const flag = (value: 0 | 1) => ({ type: FlagResult(), default: value })
const ofEnvironment = { type: Type.String() }

/** What apps read at start (spec 01-basic.md). */
export const appConfigFields = {
  id: int(10_000),
  XMPPDomain: ofEnvironment,
  XMPPHost: ofEnvironment,
  XMPPTimeout: int(180),
  xmppPingTime: int(72),
  apiUrl: ofEnvironment,
  uploadUrl: ofEnvironment,
  downloadUrl: ofEnvironment,
  downloadAvatarUrl: ofEnvironment,
  androidVersion: int(0),
  iosVersion: int(0),
  pcVersion: int(0),
  macVersion: int(0),
  androidAppUrl: text(''),
  androidExplain: text(''),
  androidDisable: text(''),
  iosAppUrl: text(''),
  iosExplain: text(''),
  iosDisable: text(''),
  pcAppUrl: text(''),
  pcExplain: text(''),
  pcDisable: text(''),
  macAppUrl: text(''),
  macExplain: text(''),
  macDisable: text(''),
  appleId: text(''),
  audioLen: text('20', 'seconds, as text'),
  videoLen: text('20', 'seconds, as text'),
  displayRedPacket: flag(0),
  freeswitch: text(''),
  meetingHost: text(''),
  liveUrl: text(''),
  jitsiServer: text(''),
  helpUrl: text(''),
  shareUrl: text(''),
  softUrl: text(''),
  backUrl: text(''),
  website: text(''),
  companyName: text(''),
  copyright: text(''),
  headBackgroundImg: text(''),
  privacyPolicyPrefix: text(''),
  popularAPP: { type: Type.Optional(Type.String({ description: 'JSON' })) },
  distance: int(50, 'km'),
  fileValidTime: int(-1, 'days, -1 for ever'),
  chatRecordTimeOut: { type: Type.Number({ description: 'days, -1 for ever' }), default: -1 },
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
} satisfies Fields

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

/** What only servers read. */
export const serverConfigFields = {
  isAuthApi: flag(0),
  defaultTelephones: {
    type: Type.Array(Type.String(), {
      description: 'area code + number of those who become friends of every new user',
    }),
    default: [],
  },
  recallLimitSeconds: int(0),
  keywords: { type: Type.Array(Type.String()), default: [] },
  isKeyWord: flag(0),
  ...newUserConfigFields,
} satisfies Fields

/** The whole configuration. */
export const configFields: typeof appConfigFields & typeof serverConfigFields = {
  ...appConfigFields,
  ...serverConfigFields,
}

export type ServerConfig = EntityOf<typeof configFields>
