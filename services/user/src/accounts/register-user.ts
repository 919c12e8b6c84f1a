import { ContractError } from '@im/contracts'
import {
  newUserConfigFields,
  type Profile,
  type ServerConfig,
  type SettingValues,
  userRegistered,
} from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { openSession } from '../sessions/open-session.ts'
import { configuredKeys, inviteCodeKey, registeredKey } from '../users/login-names.ts'
import { NameTakenError } from '../users/names-repository.ts'
import { newUser } from '../users/new-user.ts'
import { parseRegistered, type Registered, telephoneText } from '../users/telephones.ts'
import type { CompletedLogin } from './complete-login.ts'
import { type LoginDevice, loginRecord, positionOf } from './login-device.ts'

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

/** Makes an account and logs it in. When two register one number at the same time, one gets TelephoneTaken. */
export async function registerUser(deps: Deps, registration: Registration): Promise<CompletedLogin> {
  const config = await deps.serverConfig.get()
  const registered = await admit(deps, registration, config)
  return withinNumberLimit(deps, registered, async () => {
    const isAuth = await proveNumber(deps, registration, registered)
    const password = { hash: await deps.hasher.hash(registration.passwordMd5, registration.signal), version: 1 }
    return addUser(deps, registration, { config, registered, isAuth, password })
  })
}

interface Admitted {
  config: ServerConfig
  registered: Registered
  isAuth: 0 | 1
  password: { hash: string; version: number }
}

async function addUser(deps: Deps, registration: Registration, admitted: Admitted): Promise<CompletedLogin> {
  const { users, outbox, newInviteCode, now } = deps
  const { config, registered, isAuth, password } = admitted
  const { from } = registration
  const createTime = Math.floor(now() / 1000)
  const position = positionOf(from)
  const userId = await users.nextUserId()
  const defaultFriends = await users.idsByNames(config.defaultTelephones.flatMap(configuredKeys))
  return withFreeNames(registered, () =>
    outbox.commit(async (change) => {
      const user = newUser({
        ...registration.profile,
        ...registered,
        userId,
        createTime,
        settings: settingsOfNewUsers(config),
        userType: registration.userType === 2 ? 2 : 0,
        isAuth,
        password,
        lastLogin: loginRecord(from, undefined, createTime),
        loc: position && { type: 'Point', coordinates: position },
        inviteCode: config.registerInviteCode ? newInviteCode() : undefined,
      })
      await users.add(user, change)
      const { nickname, account, userType } = user
      const telephone = telephoneText(registered) ?? ''
      const fact = { userId, nickname, account, telephone, userType, defaultFriends, registeredAt: createTime }
      change.announce(userRegistered, String(userId), fact)
      const multipleDevices = user.settings.multipleDevices === 1
      const opened = await openSession(deps, { ...from, userId, multipleDevices }, { withRefresh: false }, change)
      return { user, opened }
    }),
  )
}

/** Tries again while somebody has the account name or the invite code that was made up. */
async function withFreeNames<T>(registered: Registered, add: () => Promise<T>, triesLeft = 5): Promise<T> {
  try {
    return await add()
  } catch (error) {
    if (!(error instanceof NameTakenError)) throw error
    if (error.taken === registeredKey(registered)) throw new ContractError('TelephoneTaken')
    if (triesLeft === 0) throw error
    return withFreeNames(registered, add, triesLeft - 1)
  }
}

/** Checks everything but the SMS code. */
async function admit(deps: Deps, registration: Registration, config: ServerConfig): Promise<Registered> {
  const { users, config: settings } = deps
  const { userType, inviteCode } = registration
  if (config.isOpenRegister === 0) throw new ContractError('RegisterClosed')
  if (![0, 1, 2].includes(userType) || (userType === 2 && !settings.allowPublicRegister))
    throw new ContractError('PermissionDenied', { detail: 'userType' })
  const byName = config.regeditPhoneOrName === 1
  const registered = parseRegistered(registration.telephone, registration.areaCode, byName)
  await checkInviteCode(deps, config, inviteCode)
  if ((await users.ownerOf(registeredKey(registered))) !== undefined) throw new ContractError('TelephoneTaken')
  return registered
}

/**
 * Allows three accounts a day per number, so that nobody takes a number under all area codes of the world at once. A registration
 * that fails does not count.
 */
async function withinNumberLimit<T>(
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

/** Uses the code up, if one is given, and returns isAuth. */
async function proveNumber(deps: Deps, registration: Registration, registered: Registered): Promise<0 | 1> {
  const { smsCode, isSmsRegister } = registration
  if (smsCode === undefined) {
    if (deps.config.registerRequireSms) throw new ContractError('SmsCodeInvalid')
    return 0
  }
  if (!(await deps.smsCodes.redeem(registeredKey(registered), 'register', smsCode)))
    throw new ContractError('SmsCodeInvalid')
  return isSmsRegister ? 1 : 0
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

/** Some settings of new users follow the configuration. */
function settingsOfNewUsers(config: ServerConfig): Partial<SettingValues> {
  const fields = Object.entries(newUserConfigFields)
  return Object.fromEntries(
    fields.map(([name, { setting }]) => [setting, config[name as keyof typeof newUserConfigFields]]),
  )
}
