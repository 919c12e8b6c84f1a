import { ContractError } from '@im/contracts'
import { userRegistered } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { registeredKey } from '../users/login-names.ts'
import { NameTakenError } from '../users/names-repository.ts'
import { newUser } from '../users/new-user.ts'
import { parseTelephone, parseUserName, type Registered, telephoneText } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'

const superAdmin = 6

/** `telephone` with area code 86, or a user name; `password` as md5. */
export interface ConsoleAdmin {
  telephone: string
  passwordMd5: string
}

/**
 * Makes the console administrator, and returns true when this call made the account. Anybody may have registered the telephone
 * before, so an account that has it is accepted only when it is an administrator already or has this password; otherwise
 * TelephoneTaken is thrown. Calling it again changes nothing.
 */
export async function makeAdmin(deps: Deps, { telephone, passwordMd5 }: ConsoleAdmin): Promise<boolean> {
  const registered: Registered = /^[\d+][\d\s-]*$/.test(telephone)
    ? { telephone: parseTelephone(telephone, '86') }
    : { userName: parseUserName(telephone) }
  const key = registeredKey(registered)
  const existing = await deps.users.byName(key)
  if (existing) {
    await acceptAdmin(deps, existing, passwordMd5)
    return false
  }
  try {
    await addAdmin(deps, registered, passwordMd5)
    return true
  } catch (error) {
    // Another replica, or somebody else, registered the name in the same moment.
    if (error instanceof NameTakenError) return makeAdmin(deps, { telephone, passwordMd5 })
    throw error
  }
}

async function acceptAdmin({ users, hasher }: Deps, user: UserDocument, passwordMd5: string): Promise<void> {
  if (user.role.includes(superAdmin)) return
  if (!user.password || !(await hasher.verify(user.password.hash, passwordMd5)))
    throw new ContractError('TelephoneTaken', { detail: 'an account that is no administrator has this telephone' })
  await users.grantRole(user._id, superAdmin)
}

async function addAdmin(deps: Deps, registered: Registered, passwordMd5: string): Promise<void> {
  const { users, hasher, outbox, now } = deps
  const registeredAt = Math.floor(now() / 1000)
  const user = newUser({
    ...registered,
    userId: await users.nextUserId(),
    createTime: registeredAt,
    nickname: 'admin',
    role: [superAdmin],
    password: { hash: await hasher.hash(passwordMd5), version: 1 },
  })
  const { _id: userId, nickname, account, userType } = user
  const telephone = telephoneText(registered) ?? ''
  await outbox.commit(async (change) => {
    users.add(user, change)
    const fact = { userId, nickname, account, telephone, userType, defaultFriends: [], registeredAt }
    change.announce(userRegistered, String(userId), fact)
  })
}
