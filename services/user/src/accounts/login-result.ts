import { pickFields } from '@im/contracts'
import { type LoginResult, ownUserFields } from '@im/contracts/user'
import type { Static } from 'typebox'
import { accessSeconds } from '../sessions/tokens.ts'
import { telephoneText } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'
import { previousLogin, publicFields } from '../users/user-view.ts'

/** Answer of register, login and login/auto. */
export function loginResult(user: UserDocument, accessToken: string): Static<typeof LoginResult> {
  return {
    ...publicFields(user),
    ...pickFields(ownUserFields, user),
    settings: user.settings,
    access_token: accessToken,
    expires_in: accessSeconds,
    telephone: telephoneText(user) ?? '',
    areaCode: user.telephone?.areaCode ?? '',
    login: previousLogin(user),
    multipleDevices: user.settings.multipleDevices,
    payPassword: user.payPassword ? 1 : 0,
    friendCount: 0,
    isupdate: user.lastLogin?.isupdate ?? 1,
    myInviteCode: user.inviteCode,
  }
}
