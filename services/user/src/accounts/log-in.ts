import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
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

/** Logs in by password or SMS code and opens the session of the device class. */
export async function logIn(deps: Deps, login: LoginRequest): Promise<CompletedLogin> {
  const { name, areaCode, passwordMd5, smsCode, from, signal } = login
  if (smsCode === undefined && passwordMd5 === undefined)
    throw new ContractError('MissingParam', { detail: 'password' })
  const guess = { candidates: await findLoginUsers(deps, name, areaCode), name, ip: from.ip, signal }
  if (smsCode !== undefined) {
    const { user, proof } = await checkLoginCode(deps, { ...guess, code: smsCode })
    return completeLogin(deps, user, from, { withRefresh: false, proof })
  }
  const user = await checkPassword(deps, { ...guess, passwordMd5: passwordMd5 ?? '' })
  return completeLogin(deps, user, from, { withRefresh: false, passwordMd5 })
}
