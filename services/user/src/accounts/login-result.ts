import { pickFields } from '@im/contracts'
import { type LoginResult, ownUserFields } from '@im/contracts/user'
import type { Static } from 'typebox'
import { companyNumber, employmentsOf } from '../companies/companies.ts'
import type { Deps } from '../deps.ts'
import { countsOf } from '../relations/relations.ts'
import { accessSeconds } from '../sessions/tokens.ts'
import { telephoneText } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'
import { previousLogin, publicFields } from '../users/user-view.ts'

/** Answer of register, login and login/auto. */
export async function loginResult(
  deps: Pick<Deps, 'social' | 'org' | 'log'>,
  user: UserDocument,
  accessToken: string,
): Promise<Static<typeof LoginResult>> {
  const [{ attCount, fansCount, friendsCount }, employments] = await Promise.all([
    countsOf(deps, user._id),
    employmentsOf(deps, [user._id]),
  ])
  return {
    ...publicFields(user),
    companyId: companyNumber(employments, user._id),
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
