import { ContractError } from '@im/contracts'
import { newUserConfigFields, type ServerConfig, type SettingValues, userRegistered } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import type { Counts } from '../relations/relations.ts'
import { openSession } from '../sessions/open-session.ts'
import type { SmsProof } from '../sms/sms-codes.ts'
import { configuredKeys, registeredKey } from '../users/login-names.ts'
import { NameTakenError } from '../users/names-repository.ts'
import { newUser } from '../users/new-user.ts'
import { positionFields } from '../users/positions.ts'
import { type Registered, telephoneText } from '../users/telephones.ts'
import { admitRegistration, proveNumber, type Registration, withinNumberLimit } from './admit-registration.ts'
import type { CompletedLogin } from './complete-login.ts'
import { keyMacsOf } from './key-macs-of-session.ts'
import { loginRecord, positionOf } from './login-device.ts'
import { welcomeUser } from './welcome-user.ts'

export interface CompletedRegistration extends CompletedLogin {
  /** Of the friends whom everybody begins with. */
  counts: Counts
}

/** Makes an account and logs it in. When two register one number at the same time, one gets TelephoneTaken. */
export async function registerUser(deps: Deps, registration: Registration): Promise<CompletedRegistration> {
  const config = await deps.serverConfig.get()
  const registered = await admitRegistration(deps, registration, config)
  return withinNumberLimit(deps, registered, async () => {
    const proof = await proveNumber(deps, registration, registered)
    const password = { hash: await deps.hasher.hash(registration.passwordMd5, registration.signal), version: 1 }
    return addUser(deps, registration, { config, registered, proof, password })
  })
}

interface Admitted {
  config: ServerConfig
  registered: Registered
  /** The right code that was sent to the number. */
  proof: SmsProof | undefined
  password: { hash: string; version: number }
}

async function addUser(deps: Deps, registration: Registration, admitted: Admitted): Promise<CompletedRegistration> {
  const { users, outbox, newInviteCode, now } = deps
  const { config, registered, proof, password } = admitted
  const { from } = registration
  const createTime = Math.floor(now() / 1000)
  const position = positionOf(from)
  const [userId, defaultFriends] = await Promise.all([
    users.nextUserId(),
    users.idsByNames(config.defaultTelephones.flatMap(configuredKeys)),
  ])
  const done = await withFreeNames(registered, () =>
    outbox.commit(async (change) => {
      const user = newUser({
        ...registration.profile,
        ...registered,
        userId,
        createTime,
        settings: settingsOfNewUsers(config),
        userType: registration.userType === 2 ? 2 : 0,
        isAuth: proof && registration.isSmsRegister ? 1 : 0,
        password,
        lastLogin: loginRecord(from, undefined, createTime),
        ...(position ? positionFields(position, createTime) : {}),
        inviteCode: config.registerInviteCode ? newInviteCode() : undefined,
      })
      users.add(user, change)
      const { nickname, account, userType } = user
      const telephone = telephoneText(registered) ?? ''
      const fact = { userId, nickname, account, telephone, userType, defaultFriends, registeredAt: createTime }
      change.announce(userRegistered, String(userId), fact)
      const multipleDevices = user.settings.multipleDevices === 1
      const keyMacs = keyMacsOf(deps, user, registration.passwordMd5)
      const owner = { ...from, userId, multipleDevices, keyMacs }
      const opened = await openSession(deps, owner, { withRefresh: false, isFirst: true }, change)
      await proof?.use()
      return { user, opened }
    }),
  )
  const { nickname, userType } = done.user
  return { ...done, counts: await welcomeUser(deps, { userId, nickname, userType, defaultFriends }) }
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

/** Some settings of new users follow the configuration. */
function settingsOfNewUsers(config: ServerConfig): Partial<SettingValues> {
  const fields = Object.entries(newUserConfigFields)
  return Object.fromEntries(
    fields.map(([name, { setting }]) => [setting, config[name as keyof typeof newUserConfigFields]]),
  )
}
