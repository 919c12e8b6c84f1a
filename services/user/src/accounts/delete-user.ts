import { ContractError } from '@im/contracts'
import { firstUserId, userDeleted } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { endAllSessions } from '../sessions/end-all-sessions.ts'
import { forgetSessions } from '../sessions/revoke-sessions.ts'

/**
 * Deletes an account (spec 10-console.md): its sessions end, its telephone and account name are free again, and its userId is
 * never used again. Everything else that belongs to the user is removed by those who keep it, when they hear user.deleted.
 * Throws UserNotFound, and SystemAccountProtected for accounts of the system and of the console.
 */
export async function deleteUser(deps: Deps, userId: number): Promise<void> {
  const { logins, users, outbox, now } = deps
  const ended = await outbox.commit(async (change) => {
    const user = await users.byId(userId, change)
    if (!user) throw new ContractError('UserNotFound')
    if (userId < firstUserId || user.role.length) throw new ContractError('SystemAccountProtected')
    users.remove(user, change)
    const removed = endAllSessions(deps, userId, await logins.of(userId, change), 'deleted', change)
    change.announce(userDeleted, String(userId), { userId, nickname: user.nickname, at: now() })
    return removed
  })
  await forgetSessions(deps, userId, ended, 'deleted')
}
