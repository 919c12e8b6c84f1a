import { noticeUserId, systemUserId, userRegistered } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { newUser } from '../users/new-user.ts'
import { NameTakenError } from '../users/taken-names.ts'
import { parseTelephone, parseUserName } from '../users/telephones.ts'

const superAdmin = 6

/** Makes the system's own accounts where they are missing: 10000, everybody's first friend, and 10005, sender of notices. */
export async function makeSystemUsers({ users, now }: Pick<Deps, 'users' | 'now'>): Promise<void> {
  const createTime = Math.floor(now() / 1000)
  const own = { createTime, userType: 2, settings: { showTelephone: -1, showLastLoginTime: -1 } }
  await users.addMissing(newUser({ ...own, userId: systemUserId, account: String(systemUserId), nickname: '系统消息' }))
  await users.addMissing(newUser({ ...own, userId: noticeUserId, account: String(noticeUserId), nickname: '系统通知' }))
}

/** `telephone` with area code 86, or a user name; `password` as md5. Both from the configuration when they are not given. */
export interface ConsoleAdmin {
  telephone?: string
  passwordMd5?: string
}

/**
 * Makes the system accounts and, when telephone and password are known, a console administrator. An account that has the
 * telephone already becomes administrator and keeps its password. Doing it again changes nothing; true when it was made now.
 */
export async function seed(deps: Deps, admin: ConsoleAdmin): Promise<boolean> {
  const { users, hasher, outbox, now } = deps
  await makeSystemUsers(deps)
  const { telephone, passwordMd5 } = admin
  if (!telephone || !passwordMd5) return false
  const number = /^[\d+][\d\s-]*$/.test(telephone) ? parseTelephone(telephone, '86') : parseUserName(telephone)
  const existing = await users.byTelephone(number.telephone)
  if (existing) {
    if (!existing.role.includes(superAdmin)) await users.grantRole(existing._id, superAdmin)
    return false
  }
  const registeredAt = Math.floor(now() / 1000)
  const user = newUser({
    userId: await users.nextUserId(),
    createTime: registeredAt,
    telephone: number,
    nickname: 'admin',
    role: [superAdmin],
    password: { hash: await hasher.hash(passwordMd5), version: 1 },
  })
  const { _id: userId, nickname, account, userType } = user
  try {
    await outbox.commit(async (change) => {
      await users.add(user, change)
      const fact = { userId, nickname, account, telephone: number.telephone, userType, defaultFriends: [] }
      change.announce(userRegistered, String(userId), { ...fact, registeredAt })
    })
    return true
  } catch (error) {
    // Another replica made him in the same moment.
    if (error instanceof NameTakenError) return false
    throw error
  }
}
