import { randomBytes } from 'node:crypto'
import { ContractError } from '@im/contracts'
import { userRegistered } from '@im/contracts/user'
import type { ServerConfig } from '../config/server-config.ts'
import type { Deps } from '../deps.ts'
import { openSession } from '../sessions/open-session.ts'
import { copySession } from '../sessions/resolve-session.ts'
import { loginNameCandidates } from '../users/login-names.ts'
import { newUser } from '../users/new-user.ts'
import { NameTakenError } from '../users/taken-names.ts'
import { parseLoginNumber, type Telephone } from '../users/telephones.ts'
import type { UserDocument } from '../users/users-repository.ts'
import type { CompletedLogin } from './complete-login.ts'
import { type LoginDevice, loginRecord, positionOf } from './login-device.ts'

export interface Registration {
  telephone: string
  areaCode: string
  passwordMd5: string
  userType: number
  profile: Pick<
    UserDocument,
    'nickname' | 'sex' | 'birthday' | 'description' | 'countryId' | 'provinceId' | 'cityId' | 'areaId'
  >
  smsCode?: string
  isSmsRegister: boolean
  inviteCode?: string
  from: LoginDevice
}

/** Makes an account and logs it in. Of two registrations of one number at the same time one gets TelephoneTaken. */
export async function registerUser(deps: Deps, registration: Registration): Promise<CompletedLogin> {
  const config = await deps.serverConfig.get()
  const number = await admit(deps, registration, config)
  return withinDeviceLimit(deps, registration.from.serial, async () => {
    const isAuth = await proveNumber(deps, registration, number)
    return addUser(deps, registration, { config, number, isAuth })
  })
}

async function addUser(
  deps: Deps,
  registration: Registration,
  admitted: { config: ServerConfig; number: Telephone; isAuth: 0 | 1 },
): Promise<CompletedLogin> {
  const { users, hasher, outbox, now } = deps
  const { config, number, isAuth } = admitted
  const { from } = registration
  const createTime = Math.floor(now() / 1000)
  const record = loginRecord(from, undefined, createTime)
  const position = positionOf(from)
  const user = newUser({
    userId: await users.nextUserId(),
    createTime,
    telephone: number,
    settings: settingsOfNewUsers(config),
    ...registration.profile,
    userType: registration.userType === 2 ? 2 : 0,
    isAuth,
    password: { hash: await hasher.hash(registration.passwordMd5), version: 1 },
    lastLogin: record,
    ...(position ? { loc: { type: 'Point', coordinates: position } } : {}),
    ...(config.registerInviteCode ? { inviteCode: randomBytes(4).toString('hex') } : {}),
  })
  const defaultFriends = await users.idsByTelephones(config.defaultTelephones)
  const { _id: userId, nickname, account, userType } = user
  try {
    const opened = await outbox.commit(async (change) => {
      await users.add(user, change)
      const fact = { userId, nickname, account, telephone: number.telephone, userType, defaultFriends }
      change.announce(userRegistered, String(userId), { ...fact, registeredAt: createTime })
      const multipleDevices = user.settings.multipleDevices === 1
      return openSession(deps, { ...from, userId, multipleDevices }, { withRefresh: false }, change)
    })
    await copySession(deps, opened.session)
    return { user, opened }
  } catch (error) {
    if (error instanceof NameTakenError && error.kind === 'telephone') throw new ContractError('TelephoneTaken')
    throw error
  }
}

/** All conditions of a registration but the code, in the order a user can do something about them. */
async function admit(deps: Deps, registration: Registration, config: ServerConfig): Promise<Telephone> {
  const { users, config: settings } = deps
  const { userType, inviteCode } = registration
  if (config.isOpenRegister === 0) throw new ContractError('RegisterClosed')
  if (![0, 1, 2].includes(userType) || (userType === 2 && !settings.allowPublicRegister))
    throw new ContractError('PermissionDenied', { detail: 'userType' })
  const byName = config.regeditPhoneOrName === 1
  const number = parseLoginNumber(registration.telephone, registration.areaCode, byName)
  await checkInviteCode(deps, config, inviteCode)
  if (await users.byTelephone(number.telephone)) throw new ContractError('TelephoneTaken')
  // A number may exist under several area codes; a name means one user only, also where it is another's account.
  if (byName && (await users.byLoginNames(loginNameCandidates(number.telephone))).length)
    throw new ContractError('TelephoneTaken')
  return number
}

/** A device registers three accounts a day; one that did not come about is not counted. */
async function withinDeviceLimit<T>({ counters }: Deps, serial: string, register: () => Promise<T>): Promise<T> {
  if (!serial) return register()
  const limit = { key: `register-serial:${serial}`, max: 3, seconds: 86_400 }
  await counters.demand('RateLimited', limit)
  try {
    return await register()
  } catch (error) {
    await counters.giveBack(limit)
    throw error
  }
}

/** Uses the code up where one is given; gives isAuth. */
async function proveNumber(deps: Deps, registration: Registration, { telephone }: Telephone): Promise<0 | 1> {
  const { smsCode, isSmsRegister } = registration
  if (smsCode !== undefined) await deps.smsCodes.redeem(telephone, 'register', smsCode)
  else if (deps.config.registerRequireSms) throw new ContractError('SmsCodeInvalid')
  return smsCode !== undefined && isSmsRegister ? 1 : 0
}

/** registerInviteCode 1: required, 2: checked when given, 0: ignored. A good code is the one of any user. */
async function checkInviteCode({ users }: Deps, config: ServerConfig, inviteCode: string | undefined) {
  if (!config.registerInviteCode) return
  if (inviteCode === undefined) {
    if (config.registerInviteCode === 1) throw new ContractError('InviteCodeRequired')
    return
  }
  if (!(await users.byInviteCode(inviteCode.toLowerCase()))) throw new ContractError('InviteCodeInvalid')
}

function settingsOfNewUsers(config: ServerConfig) {
  const { isMultiLogin, isFriendsVerify, isEncrypt, isVibration, isTyping, isUseGoogleMap } = config
  return {
    multipleDevices: isMultiLogin,
    friendsVerify: isFriendsVerify,
    isEncrypt,
    isVibration,
    isTyping,
    isUseGoogleMap,
  }
}
