import { Type } from 'typebox'
import { typesOf } from '../fields.ts'
import { FlagResult, UnixSeconds } from '../result-types.ts'
import { Friends } from '../social/entities.ts'
import { settingFields } from './setting-fields.ts'
import { ownUserFields, publicUserFields } from './user-fields.ts'

/** Entities of spec 02-user.md. `Type.Optional` = absent when unset or when the viewer may not see it. */

/** Smaller ids are system accounts. */
export const firstUserId = 10_000_001
/** The public account that is everybody's first friend. */
export const systemUserId = 10_000
/** Sender of server notices; no user can look it up. */
export const noticeUserId = 10_005

export const Settings = Type.Object(typesOf(settingFields))

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
  ...typesOf(publicUserFields),
  ...typesOf(ownUserFields),
  telephone: Type.Optional(Type.String({ description: 'area code + number' })),
  phone: Type.Optional(Type.String({ description: 'number alone' })),
  areaCode: Type.Optional(Type.String()),
  isAuth: Type.Integer({ description: '1: telephone proven by SMS' }),
  attCount: Type.Integer(),
  fansCount: Type.Integer(),
  friendsCount: Type.Integer(),
  attList: Type.Array(Type.Integer()),
  fansList: Type.Array(Type.Integer()),
  friendsList: Type.Array(Type.Integer()),
  company: Type.Optional(Company),
  companyId: Type.Integer(),
  friends: Type.Optional(Friends),
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
  multipleDevices: Type.Integer(),
  msgNum: Type.Integer(),
  integral: Type.Number(),
  integralTotal: Type.Number(),
  headImg: Type.String(),
  headThumImg: Type.String(),
})

/** A user in a list. */
export const UserCard = Type.Object({
  userId: Type.Integer(),
  account: Type.String(),
  username: Type.String({ description: 'the account' }),
  nickname: Type.String(),
  userType: Type.Integer(),
  sex: Type.Integer(),
  age: Type.Integer({ description: 'full years, 0 unknown' }),
  birthday: UnixSeconds(),
  description: Type.String(),
  createTime: UnixSeconds(),
  countryId: Type.Integer(),
  provinceId: Type.Integer(),
  cityId: Type.Integer(),
  areaId: Type.Integer(),
  status: Type.Integer(),
  onlinestate: FlagResult(),
  headImg: Type.String(),
  headThumImg: Type.String(),
  loc: Type.Optional(Position),
  distance: Type.Optional(Type.Number({ description: 'km' })),
  telephone: Type.Optional(Type.String()),
  phone: Type.Optional(Type.String()),
  friends: Type.Optional(Friends),
})

/** Answer of register and login. No password in it: apps then keep the md5 they sent. */
export const LoginResult = Type.Object({
  access_token: Type.String(),
  expires_in: Type.Integer({ description: 'seconds' }),
  userId: Type.Integer(),
  ...typesOf(publicUserFields),
  ...typesOf(ownUserFields),
  companyId: Type.Integer(),
  login: Login,
  settings: Settings,
  telephone: Type.String(),
  areaCode: Type.String(),
  attCount: Type.Integer(),
  fansCount: Type.Integer(),
  multipleDevices: Type.Integer(),
  payPassword: Type.Integer(),
  friendCount: Type.Integer(),
  isupdate: FlagResult(),
  myInviteCode: Type.Optional(Type.String()),
})

/** Answer of login/auto: everything when the token lives, else only the last two fields and userId. */
export const AutoLoginResult = Type.Object({
  ...Type.Partial(LoginResult).properties,
  userId: Type.Integer(),
  tokenExists: FlagResult(),
  serialStatus: Type.Integer({ description: '1 nothing to compare, 2 same device, 3 another device' }),
})
