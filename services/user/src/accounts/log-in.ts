import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { askElsewhere, keepElsewhere } from '../elsewhere/known-elsewhere.ts'
import type { KnownElsewhere } from '../users/user-document.ts'
import { checkLoginCode, checkPassword } from './check-credentials.ts'
import { type CompletedLogin, completeLogin } from './complete-login.ts'
import { findLoginUsers } from './find-login-users.ts'
import type { LoginDevice } from './login-device.ts'

export interface LoginRequest {
  name: string
  areaCode: string
  passwordMd5?: string
  /** The code of an SMS login, which needs no password. */
  smsCode?: string
  from: LoginDevice
  signal: AbortSignal
}

/**
 * Logs in by password or SMS code and opens the session of the device class. What other services know of the user is asked beside
 * that, once the password was right: guesses cost them nothing.
 */
export async function logIn(deps: Deps, login: LoginRequest): Promise<CompletedLogin & { elsewhere: KnownElsewhere }> {
  const { user, ...proven } = await checkLogin(deps, login)
  const [completed, told] = await Promise.all([
    completeLogin(deps, user, login.from, { withRefresh: false, ...proven }),
    askElsewhere(deps, user),
  ])
  // After the login, which changes the same document.
  await keepElsewhere(deps, user._id, told)
  return { ...completed, elsewhere: told.known }
}

async function checkLogin(deps: Deps, { name, areaCode, passwordMd5, smsCode, from, signal }: LoginRequest) {
  if (smsCode === undefined && passwordMd5 === undefined)
    throw new ContractError('MissingParam', { detail: 'password' })
  const guess = { candidates: await findLoginUsers(deps, name, areaCode), name, ip: from.ip, signal }
  if (smsCode !== undefined) return await checkLoginCode(deps, { ...guess, code: smsCode })
  return { user: await checkPassword(deps, { ...guess, passwordMd5: passwordMd5 ?? '' }), passwordMd5 }
}
