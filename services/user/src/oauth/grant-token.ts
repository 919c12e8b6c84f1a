import { OAuthError } from '@im/contracts'
import { checkPassword } from '../accounts/check-credentials.ts'
import { type CompletedLogin, completeLogin } from '../accounts/complete-login.ts'
import { findLoginUser } from '../accounts/find-login-user.ts'
import type { LoginDevice } from '../accounts/login-device.ts'
import type { Deps } from '../deps.ts'
import { userIdIn } from '../users/find-user.ts'
import type { UserDocument } from '../users/users-repository.ts'

export interface PasswordGrant {
  /** Telephone, account or userId. */
  username: string
  areaCode: string
  passwordMd5: string
  from: LoginDevice
}

/** Grant type password (RFC 6749 §4.3): a login like any other, with a refresh token. */
export async function grantByPassword(deps: Deps, grant: PasswordGrant): Promise<CompletedLogin> {
  const { username: name, areaCode, passwordMd5, from } = grant
  const user = (await findLoginUser(deps, name, areaCode)) ?? (await userWithId(deps, name))
  const checked = await checkPassword(deps, { user, name, passwordMd5, ip: from.ip })
  return completeLogin(deps, checked, from, { withRefresh: true })
}

async function userWithId({ users }: Deps, name: string): Promise<UserDocument | undefined> {
  const userId = userIdIn(name)
  return userId === undefined ? undefined : users.byId(userId)
}

export const invalidGrant = (description: string) => new OAuthError(400, 'invalid_grant', description)
