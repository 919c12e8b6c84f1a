import { defaultsOf, pickFields } from '@im/contracts'
import { type Login, ownUserFields, publicUserFields, type User } from '@im/contracts/user'
import type { Static } from 'typebox'
import type { Counts, Relation } from '../relations/relations.ts'
import { mayShow } from '../relations/visibility.ts'
import { telephoneText } from './telephones.ts'
import type { UserDocument } from './user-document.ts'

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

/** Users whom a user has blocked never see them online. */
export const onlineState = (user: UserDocument, { isBlocked }: Relation): 0 | 1 =>
  user.presence.online && !isBlocked ? 1 : 0

/** Address of the avatar below downloadAvatarUrl (spec 12-files.md): `o` original, `t` thumbnail. */
export const avatarUrl = (base: string, size: 'o' | 't', userId: number) =>
  `${base}avatar/${size}/${userId % 10_000}/${userId}.jpg`

/** The fields that everybody sees. */
export function publicFields(user: UserDocument) {
  return {
    userId: user._id,
    ...pickFields(publicUserFields, user),
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

/** Others see the rounded position. */
export function placeOf({ loc, shownLoc }: UserDocument, isSelf: boolean): { lat: number; lng: number } | undefined {
  const point = isSelf ? loc : shownLoc
  if (!point) return undefined
  const [lng, lat] = point.coordinates
  return { lat, lng }
}

/** Whom a user works for, as far as the viewer sees it. */
export type Work = Pick<Static<typeof User>, 'companyId' | 'company'>

/** What other collections and services know about users themselves. */
export interface OwnMatters {
  counts: Counts
  /** Cents: what they have, and all they ever paid in. */
  money: { balance: number; recharged: number }
  /** The number on the icon of their apps. */
  msgNum: number
}

/** What only the user sees. */
function ownFields(user: UserDocument, { counts, money, msgNum }: OwnMatters): Partial<Static<typeof User>> {
  const login = previousLogin(user)
  const balance = money.balance / 100
  return {
    ...pickFields(ownUserFields, user),
    ...counts,
    msgNum,
    balance,
    money: balance,
    moneyTotal: money.recharged / 100,
    settings: user.settings,
    multipleDevices: user.settings.multipleDevices,
    login,
    loginLog: login,
    payPassword: user.payPassword ? 1 : 0,
    myInviteCode: user.inviteCode,
    loc: placeOf(user, true),
  }
}

/** What others see of those fields: numbers are never absent, so they are 0. */
const hiddenFields = { ...defaultsOf(ownUserFields), multipleDevices: 0, payPassword: 0 }

/** A user as the viewer may see them. `own` is there when the viewer is the user. */
export function userView(
  user: UserDocument,
  shown: { relation: Relation; avatarBase: string; publicKey?: string; work: Work; own?: OwnMatters },
): Static<typeof User> {
  const { relation, avatarBase, publicKey, work, own } = shown
  const { settings } = user
  const seesLogin = mayShow(settings.showLastLoginTime, relation)
  return {
    ...publicFields(user),
    ...(mayShow(settings.showTelephone, relation) ? telephoneFields(user) : {}),
    ...work,
    isAuth: user.isAuth,
    friendsCount: 0,
    attList: [],
    fansList: [],
    friendsList: [],
    friends: relation.friends,
    onlinestate: onlineState(user, relation),
    showLastLoginTime: seesLogin ? (user.lastLogin?.loginTime ?? 0) : 0,
    msgBackGroundUrl: user.msgBackGroundUrl,
    publicKey,
    money: 0,
    moneyTotal: 0,
    balance: 0,
    msgNum: 0,
    integral: 0,
    integralTotal: 0,
    headImg: avatarUrl(avatarBase, 'o', user._id),
    headThumImg: avatarUrl(avatarBase, 't', user._id),
    ...hiddenFields,
    ...(own ? ownFields(user, own) : {}),
  }
}
