import { randomBytes } from 'node:crypto'
import { ContractError, userRegistered } from '@im/contracts'
import { isDuplicateKey } from '@im/service-kit'
import type { ServerConfig } from '../config/server-config.ts'
import type { Deps } from '../deps.ts'
import { openSession } from '../sessions/open-session.ts'
import { copySession } from '../sessions/resolve-session.ts'
import type { CompletedLogin } from './complete-login.ts'
import { type LoginDevice, loginRecord, positionOf } from './login-device.ts'
import { newUser } from './new-user.ts'
import { parseLoginNumber } from './telephones.ts'
import type { UserDocument } from './users-repository.ts'

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
  const { users, serverConfig, hasher, outbox, now } = deps
  const { from } = registration
  const config = await serverConfig.get()
  const { number, isAuth } = await admit(deps, registration, config)
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
    if (isDuplicateKey(error, 'telephoneKey')) throw new ContractError('TelephoneTaken')
    throw error
  }
}

/** All conditions of a registration, in the order a user can do something about them; the code is used up last. */
async function admit(deps: Deps, registration: Registration, config: ServerConfig) {
  const { users, counters, smsCodes, config: settings } = deps
  const { userType, smsCode, inviteCode, from } = registration
  if (config.isOpenRegister === 0) throw new ContractError('RegisterClosed')
  if (![0, 1, 2].includes(userType) || (userType === 2 && !settings.allowPublicRegister))
    throw new ContractError('PermissionDenied', { detail: 'userType' })
  const number = parseLoginNumber(registration.telephone, registration.areaCode, config.regeditPhoneOrName === 1)
  await checkInviteCode(deps, config, inviteCode)
  if (await users.byTelephone(number.telephone)) throw new ContractError('TelephoneTaken')
  if (from.serial) {
    const refused = await counters.take({ key: `register-serial:${from.serial}`, max: 3, seconds: 86_400 })
    if (refused)
      throw new ContractError('RateLimited', { args: [refused.waitSeconds], retryAfter: refused.waitSeconds })
  }
  if (smsCode !== undefined) await smsCodes.redeem(number.telephone, 'register', smsCode)
  else if (settings.registerRequireSms) throw new ContractError('SmsCodeInvalid')
  const isAuth: 0 | 1 = smsCode !== undefined && registration.isSmsRegister ? 1 : 0
  return { number, isAuth }
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
