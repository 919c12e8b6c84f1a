import { ContractError } from '@im/contracts'
import { firstUserId, userLocked } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { announceRevocation, forgetSessions } from '../sessions/revoke-sessions.ts'

/** Locks an account and ends its sessions at once, or unlocks it. Calling it again changes nothing. */
export async function lockUser(deps: Deps, userId: number, locked: boolean): Promise<void> {
  const { users, sessions, refreshTokens, outbox, now } = deps
  if (!(await users.byId(userId))) throw new ContractError('UserNotFound')
  if (userId < firstUserId) throw new ContractError('SystemAccountProtected')
  const ended = await outbox.commit(async (change) => {
    if (!(await users.setStatus(userId, locked ? -1 : 1, change))) return []
    change.announce(userLocked, String(userId), { userId, locked, at: now() })
    if (!locked) return []
    const removed = await sessions.removeAll(userId, change)
    await refreshTokens.removeAll(userId, change)
    announceRevocation(change, userId, removed, 'locked', now())
    return removed
  })
  await forgetSessions(deps, userId, ended, 'locked')
}
