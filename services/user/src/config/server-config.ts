import type { Config } from '@im/contracts/user'
import type { Static } from 'typebox'
import type { UserConfig } from '../config.ts'

/** The whole configuration: what apps read at /config, and what only the servers use. */
export interface ServerConfig extends Omit<Static<typeof Config>, 'xMPPDomain' | 'xMPPHost' | 'xMPPTimeout'> {
  isAuthApi: number
  /** Area code + number of those who become friends of every new user. */
  defaultTelephones: string[]
  recallLimitSeconds: number
  keywords: string[]
  isKeyWord: number
  isMultiLogin: number
  isFriendsVerify: number
  isEncrypt: number
  isVibration: number
  isTyping: number
  isUseGoogleMap: number
}

const withSlash = (url: string) => (url.endsWith('/') ? url : `${url}/`)

const unsetTexts = {
  androidAppUrl: '',
  androidExplain: '',
  androidDisable: '',
  iosAppUrl: '',
  iosExplain: '',
  iosDisable: '',
  pcAppUrl: '',
  pcExplain: '',
  pcDisable: '',
  macAppUrl: '',
  macExplain: '',
  macDisable: '',
  appleId: '',
  freeswitch: '',
  meetingHost: '',
  liveUrl: '',
  jitsiServer: '',
  helpUrl: '',
  shareUrl: '',
  softUrl: '',
  backUrl: '',
  website: '',
  companyName: '',
  copyright: '',
  headBackgroundImg: '',
  privacyPolicyPrefix: '',
}

/** What holds where nothing is stored (spec 01-basic.md): the environment's value, else the default. */
export function unsetConfig(env: UserConfig): ServerConfig {
  return {
    ...unsetTexts,
    id: 10_000,
    XMPPDomain: env.xmppDomain,
    XMPPHost: env.xmppHost,
    XMPPTimeout: 180,
    xmppPingTime: 72,
    apiUrl: withSlash(env.publicApiUrl),
    uploadUrl: withSlash(env.publicUploadUrl),
    downloadUrl: withSlash(env.publicFileUrl),
    downloadAvatarUrl: withSlash(env.publicAvatarUrl),
    androidVersion: 0,
    iosVersion: 0,
    pcVersion: 0,
    macVersion: 0,
    audioLen: '20',
    videoLen: '20',
    displayRedPacket: 0,
    distance: 50,
    fileValidTime: -1,
    chatRecordTimeOut: -1,
    isOpenReceipt: 1,
    isOpenReadReceipt: 1,
    isOpenCluster: 0,
    isOpenAPNSorJPUSH: 0,
    isOpenRoomSearch: 0,
    isOpenOnlineStatus: 1,
    isOpenSMSCode: 0,
    isOpenRegister: 1,
    registerInviteCode: 0,
    regeditPhoneOrName: 0,
    nicknameSearchUser: 2,
    telephoneSearchUser: 1,
    hideSearchByFriends: 1,
    showContactsUser: 1,
    isCommonFindFriends: 0,
    isCommonCreateGroup: 0,
    isOpenPositionService: 0,
    maxUserSize: 1000,
    isAuthApi: 0,
    defaultTelephones: [],
    recallLimitSeconds: 0,
    keywords: [],
    isKeyWord: 0,
    isMultiLogin: 1,
    isFriendsVerify: 0,
    isEncrypt: 0,
    isVibration: 1,
    isTyping: 1,
    isUseGoogleMap: 0,
  }
}
