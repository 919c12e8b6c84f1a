import { ContractError } from '@im/contracts'
import type { Profile, ServerConfig } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import type { SmsProof } from '../sms/sms-codes.ts'
import { inviteCodeKey, registeredKey } from '../users/login-names.ts'
import { parseRegistered, type Registered } from '../users/telephones.ts'
import type { LoginDevice } from './login-device.ts'

export interface Registration {
  telephone: string
  areaCode: string
  passwordMd5: string
  userType: number
  profile: Profile
  smsCode?: string
  isSmsRegister: boolean
  inviteCode?: string
  from: LoginDevice
  /** Aborted when nobody waits for the answer any more. */
  signal: AbortSignal
}

/** Checks everything but the SMS code. */
export async function admitRegistration(
  deps: Deps,
  registration: Registration,
  config: ServerConfig,
): Promise<Registered> {
  const { users, config: settings } = deps
  const { userType, inviteCode } = registration
  if (config.isOpenRegister === 0) throw new ContractError('RegisterClosed')
  if (![0, 1, 2].includes(userType) || (userType === 2 && !settings.allowPublicRegister))
    throw new ContractError('PermissionDenied', { detail: 'userType' })
  const byName = config.regeditPhoneOrName === 1
  const registered = parseRegistered(registration.telephone, registration.areaCode, byName)
  const [owner] = await Promise.all([
    users.ownerOf(registeredKey(registered)),
    checkInviteCode(deps, config, inviteCode),
  ])
  if (owner !== undefined) throw new ContractError('TelephoneTaken')
  return registered
}

/** Checks the code, if one is given. Throws SmsCodeInvalid. */
export async function proveNumber(
  deps: Deps,
  { smsCode }: Registration,
  registered: Registered,
): Promise<SmsProof | undefined> {
  if (smsCode === undefined) {
    if (deps.config.registerRequireSms) throw new ContractError('SmsCodeInvalid')
    return undefined
  }
  const proof = await deps.smsCodes.check(registeredKey(registered), 'register', smsCode)
  if (!proof) throw new ContractError('SmsCodeInvalid')
  return proof
}

/**
 * Allows three accounts a day per number, so that nobody takes a number under all area codes of the world at once. A registration
 * that fails does not count.
 */
export async function withinNumberLimit<T>(
  { rateCounters }: Deps,
  { telephone }: Registered,
  register: () => Promise<T>,
): Promise<T> {
  if (!telephone) return register()
  const limit = { key: `register-number:${telephone.number}`, max: 3, seconds: 86_400 }
  await rateCounters.demand('RateLimited', limit)
  try {
    return await register()
  } catch (error) {
    await rateCounters.giveBack(limit)
    throw error
  }
}

/** registerInviteCode 1: a code is required; 2: it is checked when given; 0: it is ignored. The code of any user is good. */
async function checkInviteCode({ users }: Deps, config: ServerConfig, inviteCode: string | undefined) {
  if (!config.registerInviteCode) return
  if (inviteCode === undefined) {
    if (config.registerInviteCode === 1) throw new ContractError('InviteCodeRequired')
    return
  }
  if ((await users.ownerOf(inviteCodeKey(inviteCode))) === undefined) throw new ContractError('InviteCodeInvalid')
}
