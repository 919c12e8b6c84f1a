import { Type } from 'typebox'
import { FlagResult, UnixSeconds } from '../result-types.ts'

/** Entities of spec 02-user.md. `Type.Optional` = absent when unset or when the viewer may not see it. */

/** Smaller ids are system accounts. */
export const firstUserId = 10_000_001
/** The public account that is everybody's first friend. */
export const systemUserId = 10_000
/** Sender of server notices; no user can look it up. */
export const noticeUserId = 10_005

export const Settings = Type.Object({
  allowAtt: FlagResult({ description: 'may be followed' }),
  allowGreet: FlagResult({ description: 'strangers may write' }),
  friendsVerify: FlagResult({ description: '1: requests need consent' }),
  openService: Type.Integer(),
  closeTelephoneFind: FlagResult({ description: '1: not found by telephone' }),
  chatRecordTimeOut: Type.Number({ description: 'days, -1 for ever' }),
  chatSyncTimeLen: Type.Number({ description: 'days, -1 all, -2 none' }),
  groupChatSyncTimeLen: Type.Number({ description: 'days, -1 all, -2 none' }),
  isEncrypt: FlagResult(),
  isVibration: FlagResult(),
  isTyping: FlagResult(),
  isUseGoogleMap: FlagResult(),
  multipleDevices: FlagResult({ description: '0: one device' }),
  isKeepalive: FlagResult(),
  phoneSearch: FlagResult(),
  nameSearch: FlagResult(),
  showLastLoginTime: Type.Integer({ description: '1 all, 2 friends, 3 contacts, -1 nobody' }),
  showTelephone: Type.Integer({ description: '1 all, 2 friends, 3 contacts, -1 nobody' }),
  friendFromList: Type.String({ description: '1 QR, 2 card, 3 group, 4 phone search, 5 nickname search' }),
})

/** The part of another user's settings that anyone may read. */
export const PublicSettings = Type.Pick(Settings, ['allowAtt', 'allowGreet', 'friendsVerify'])

/** The previous login; zeros at the first one. */
export const Login = Type.Object({
  isFirstLogin: FlagResult(),
  loginTime: UnixSeconds(),
  offlineTime: UnixSeconds({ description: 'last time offline' }),
  isupdate: FlagResult({ description: '1: another device than before, the client reloads its lists' }),
  serial: Type.String(),
  model: Type.String(),
  osVersion: Type.String(),
  apiVersion: Type.String(),
  location: Type.String(),
  address: Type.String(),
  latitude: Type.Number(),
  longitude: Type.Number(),
})

export const Position = Type.Object({ lat: Type.Number(), lng: Type.Number() })

export const Company = Type.Object({
  id: Type.Integer({ description: 'running number of the company' }),
  name: Type.String(),
  description: Type.String(),
  createTime: UnixSeconds(),
  areaId: Type.Integer(),
  browseCount: Type.Integer(),
  cityId: Type.Integer(),
  countryId: Type.Integer(),
  fansCount: Type.Integer(),
  industryId: Type.Integer(),
  isAuth: Type.Integer(),
  natureId: Type.Integer(),
  provinceId: Type.Integer(),
  scale: Type.Integer(),
  sponsorMoney: Type.Integer(),
  website: Type.String(),
})

/** Number fields that only the owner may see are 0 for others: numbers are never absent on the wire. */
export const User = Type.Object({
  userId: Type.Integer(),
  account: Type.String(),
  setAccountCount: Type.Integer(),
  nickname: Type.String(),
  telephone: Type.Optional(Type.String({ description: 'area code + number' })),
  phone: Type.Optional(Type.String({ description: 'number alone' })),
  areaCode: Type.Optional(Type.String()),
  userType: Type.Integer({ description: '0 ordinary, 2 public account, 3 robot' }),
  sex: Type.Integer({ description: '0 female, 1 male' }),
  birthday: UnixSeconds(),
  description: Type.String(),
  countryId: Type.Integer(),
  provinceId: Type.Integer(),
  cityId: Type.Integer(),
  areaId: Type.Integer(),
  status: Type.Integer({ description: '1 normal, -1 locked' }),
  level: Type.Integer(),
  vip: Type.Integer(),
  isAuth: Type.Integer({ description: '1: telephone proven by SMS' }),
  createTime: UnixSeconds(),
  attCount: Type.Integer(),
  fansCount: Type.Integer(),
  friendsCount: Type.Integer(),
  attList: Type.Array(Type.Integer()),
  fansList: Type.Array(Type.Integer()),
  friendsList: Type.Array(Type.Integer()),
  company: Type.Optional(Company),
  companyId: Type.Integer(),
  onlinestate: FlagResult(),
  showLastLoginTime: UnixSeconds(),
  loc: Type.Optional(Position),
  msgBackGroundUrl: Type.Optional(Type.String()),
  publicKey: Type.Optional(Type.String()),
  money: Type.Number(),
  moneyTotal: Type.Number(),
  balance: Type.Number(),
  settings: Type.Optional(Settings),
  login: Type.Optional(Login),
  loginLog: Type.Optional(Login),
  payPassword: Type.Integer({ description: '1: a pay password is set' }),
  myInviteCode: Type.Optional(Type.String()),
  role: Type.Array(Type.Integer()),
  multipleDevices: Type.Integer(),
  offlineNoPushMsg: FlagResult(),
  msgNum: Type.Integer(),
  integral: Type.Number(),
  integralTotal: Type.Number(),
  headImg: Type.String(),
  headThumImg: Type.String(),
})

const loginResultFields = {
  access_token: Type.String(),
  expires_in: Type.Integer({ description: 'seconds' }),
  userId: Type.Integer(),
  nickname: Type.String(),
  companyId: Type.Integer(),
  login: Login,
  settings: Settings,
  telephone: Type.String(),
  areaCode: Type.String(),
  account: Type.String(),
  setAccountCount: Type.Integer(),
  sex: Type.Integer(),
  birthday: UnixSeconds(),
  description: Type.String(),
  createTime: UnixSeconds(),
  countryId: Type.Integer(),
  provinceId: Type.Integer(),
  cityId: Type.Integer(),
  areaId: Type.Integer(),
  status: Type.Integer(),
  vip: Type.Integer(),
  level: Type.Integer(),
  attCount: Type.Integer(),
  fansCount: Type.Integer(),
  userType: Type.Integer(),
  multipleDevices: Type.Integer(),
  offlineNoPushMsg: FlagResult(),
  role: Type.Array(Type.Integer()),
  payPassword: Type.Integer(),
  friendCount: Type.Integer(),
  isupdate: FlagResult(),
  myInviteCode: Type.Optional(Type.String()),
}

/** Answer of register and login. No password in it: apps then keep the md5 they sent. */
export const LoginResult = Type.Object(loginResultFields)

/** Answer of login/auto: everything when the token lives, else only the last two fields and userId. */
export const AutoLoginResult = Type.Object({
  ...Type.Partial(LoginResult).properties,
  userId: Type.Integer(),
  tokenExists: FlagResult(),
  serialStatus: Type.Integer({ description: '1 nothing to compare, 2 same device, 3 another device' }),
})
