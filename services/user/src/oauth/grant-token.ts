import { OAuthError } from '@im/contracts'
import { checkPassword } from '../accounts/check-credentials.ts'
import { type CompletedLogin, completeLogin } from '../accounts/complete-login.ts'
import { findLoginUsers } from '../accounts/find-login-users.ts'
import type { LoginDevice } from '../accounts/login-device.ts'
import type { Deps } from '../deps.ts'
import { userIdIn } from '../users/find-user.ts'

export interface PasswordGrant {
  /** Telephone, account or userId. */
  username: string
  areaCode: string
  passwordMd5: string
  from: LoginDevice
  signal: AbortSignal
}

/** Grant type password (RFC 6749 §4.3): a login like any other, with a refresh token. */
export async function grantByPassword(deps: Deps, grant: PasswordGrant): Promise<CompletedLogin> {
  const { username: name, areaCode, passwordMd5, from, signal } = grant
  const named = await findLoginUsers(deps, name, areaCode)
  const userId = userIdIn(name)
  const withId = userId === undefined ? undefined : await deps.users.byId(userId)
  const candidates = withId ? [...named, withId] : named
  const checked = await checkPassword(deps, { candidates, name, passwordMd5, ip: from.ip, signal })
  return completeLogin(deps, checked, from, { withRefresh: true, passwordMd5 })
}

export const invalidGrant = (description: string) => new OAuthError(400, 'invalid_grant', description)
