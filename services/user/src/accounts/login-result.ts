import { pickFields } from '@im/contracts'
import { type LoginResult, ownUserFields } from '@im/contracts/user'
import type { Static } from 'typebox'
import { accessSeconds } from '../sessions/tokens.ts'
import { telephoneText } from '../users/telephones.ts'
import type { KnownElsewhere, UserDocument } from '../users/user-document.ts'
import { previousLogin, publicFields } from '../users/user-view.ts'

/** Answer of register, login and login/auto. */
export function loginResult(
  user: UserDocument,
  accessToken: string,
  { counts, companyId }: KnownElsewhere,
): Static<typeof LoginResult> {
  const { attCount, fansCount, friendsCount } = counts
  return {
    ...publicFields(user),
    companyId,
    attCount,
    fansCount,
    ...pickFields(ownUserFields, user),
    settings: user.settings,
    access_token: accessToken,
    expires_in: accessSeconds,
    telephone: telephoneText(user) ?? '',
    areaCode: user.telephone?.areaCode ?? '',
    login: previousLogin(user),
    multipleDevices: user.settings.multipleDevices,
    payPassword: user.payPassword ? 1 : 0,
    friendCount: friendsCount,
    isupdate: user.lastLogin?.isupdate ?? 1,
    myInviteCode: user.inviteCode,
  }
}
