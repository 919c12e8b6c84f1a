import { pickFields } from '@im/contracts'
import { type LoginResult, ownUserFields } from '@im/contracts/user'
import type { Static } from 'typebox'
import { companyNumber, employmentsOf } from '../companies/companies.ts'
import type { Deps } from '../deps.ts'
import { type Counts, countsOf } from '../relations/relations.ts'
import { accessSeconds } from '../sessions/tokens.ts'
import { telephoneText } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'
import { previousLogin, publicFields } from '../users/user-view.ts'

/** What other services know of somebody who logs in. */
export interface KnownElsewhere {
  counts: Counts
  companyId: number
}

/** Never rejects, so that it can run beside the login. */
export async function knownElsewhere(
  deps: Pick<Deps, 'relationCounts' | 'employments' | 'log'>,
  userId: number,
): Promise<KnownElsewhere> {
  const [counts, employments] = await Promise.all([countsOf(deps, userId), employmentsOf(deps, [userId])])
  return { counts, companyId: companyNumber(employments, userId) }
}

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
