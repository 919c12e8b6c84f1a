import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { checkLoginCode, checkPassword } from './check-credentials.ts'
import { type CompletedLogin, completeLogin } from './complete-login.ts'
import { findLoginUser } from './find-login-user.ts'
import type { LoginDevice } from './login-device.ts'

export interface LoginRequest {
  name: string
  areaCode: string
  passwordMd5?: string
  /** Given for an SMS login, in the place of the password. */
  smsCode?: string
  from: LoginDevice
}

/** Logs in by password or SMS code and opens the session of the device class. */
export async function logIn(deps: Deps, login: LoginRequest): Promise<CompletedLogin> {
  const { name, areaCode, passwordMd5, smsCode, from } = login
  const user = await findLoginUser(deps, name, areaCode)
  if (smsCode !== undefined) {
    const known = await checkLoginCode(deps, { user, name, code: smsCode, ip: from.ip })
    return completeLogin(deps, known, from, { withRefresh: false })
  }
  if (passwordMd5 === undefined) throw new ContractError('MissingParam', { detail: 'password' })
  const known = await checkPassword(deps, { user, name, passwordMd5, ip: from.ip })
  return completeLogin(deps, known, from, { withRefresh: false })
}
