import { ContractError } from '@im/contracts'
import { firstUserId, userLocked } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { endAllSessions } from '../sessions/end-all-sessions.ts'
import { forgetSessions } from '../sessions/revoke-sessions.ts'

/** Locks an account and ends its sessions at once, or unlocks it. Calling it again changes nothing. */
export async function lockUser(deps: Deps, userId: number, locked: boolean): Promise<void> {
  const { logins, users, outbox, now } = deps
  if (!(await users.byId(userId))) throw new ContractError('UserNotFound')
  if (userId < firstUserId) throw new ContractError('SystemAccountProtected')
  const ended = await outbox.commit(async (change) => {
    if (!(await users.setStatus(userId, locked ? -1 : 1, change))) return []
    change.announce(userLocked, String(userId), { userId, locked, at: now() })
    if (!locked) return []
    return endAllSessions(deps, userId, await logins.of(userId, change), 'locked', change)
  })
  await forgetSessions(deps, userId, ended, 'locked')
}
