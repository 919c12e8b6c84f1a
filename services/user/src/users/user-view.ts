import { defaultsOf, pickFields } from '@im/contracts'
import { type Login, ownUserFields, publicUserFields, type User } from '@im/contracts/user'
import type { Static } from 'typebox'
import { telephoneText } from './telephones.ts'
import type { UserDocument } from './user-document.ts'
import { mayShow, type Relation } from './visibility.ts'

/** The login before the latest one. At the first login everything is 0 or empty. */
export function previousLogin(user: UserDocument): Static<typeof Login> {
  const { previousLogin: login, offlineTime } = user
  return {
    isFirstLogin: login ? 0 : 1,
    loginTime: login?.loginTime ?? 0,
    offlineTime,
    isupdate: login?.isupdate ?? 0,
    serial: login?.serial ?? '',
    model: login?.model ?? '',
    osVersion: login?.osVersion ?? '',
    apiVersion: login?.apiVersion ?? '',
    location: login?.location ?? '',
    address: login?.address ?? '',
    latitude: login?.latitude ?? 0,
    longitude: login?.longitude ?? 0,
  }
}

export const isOnline = (user: UserDocument): 0 | 1 => (user.presence.online ? 1 : 0)

/** Address of the avatar below downloadAvatarUrl (spec 12-files.md): `o` original, `t` thumbnail. */
const avatarUrl = (base: string, size: 'o' | 't', userId: number) =>
  `${base}avatar/${size}/${userId % 10_000}/${userId}.jpg`

/** The fields that everybody sees. */
export function publicFields(user: UserDocument) {
  return {
    userId: user._id,
    ...pickFields(publicUserFields, user),
    // Companies belong to the org service, counts of friends to the social service.
    companyId: 0,
    attCount: 0,
    fansCount: 0,
  }
}

/** A user name takes the place of the number and has no area code. */
export function telephoneFields({ telephone, userName }: UserDocument) {
  return {
    telephone: telephoneText({ telephone, userName }),
    phone: telephone?.number ?? userName,
    areaCode: telephone?.areaCode ?? (userName === undefined ? undefined : ''),
  }
}

/** What only the user sees. */
function ownFields(user: UserDocument): Partial<Static<typeof User>> {
  const login = previousLogin(user)
  return {
    ...pickFields(ownUserFields, user),
    settings: user.settings,
    multipleDevices: user.settings.multipleDevices,
    login,
    loginLog: login,
    payPassword: user.payPassword ? 1 : 0,
    myInviteCode: user.inviteCode,
    loc: user.loc && { lat: user.loc.coordinates[1], lng: user.loc.coordinates[0] },
  }
}

/** What others see of those fields: numbers are never absent, so they are 0. */
const hiddenFields = { ...defaultsOf(ownUserFields), multipleDevices: 0, payPassword: 0 }

/** A user as the viewer may see them. */
export function userView(user: UserDocument, relation: Relation, avatarBase: string): Static<typeof User> {
  const { settings } = user
  const seesLogin = mayShow(settings.showLastLoginTime, relation)
  return {
    ...publicFields(user),
    ...(mayShow(settings.showTelephone, relation) ? telephoneFields(user) : {}),
    isAuth: user.isAuth,
    friendsCount: 0,
    attList: [],
    fansList: [],
    friendsList: [],
    onlinestate: isOnline(user),
    showLastLoginTime: seesLogin ? (user.lastLogin?.loginTime ?? 0) : 0,
    msgBackGroundUrl: user.msgBackGroundUrl,
    money: 0,
    moneyTotal: 0,
    balance: 0,
    msgNum: 0,
    integral: 0,
    integralTotal: 0,
    headImg: avatarUrl(avatarBase, 'o', user._id),
    headThumImg: avatarUrl(avatarBase, 't', user._id),
    ...hiddenFields,
    ...(relation === 'self' ? ownFields(user) : {}),
  }
}
