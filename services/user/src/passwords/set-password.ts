import { passwordChanged, passwordReplaced } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { endAllSessions } from '../sessions/end-all-sessions.ts'
import { forgetSessions } from '../sessions/revoke-sessions.ts'
import type { SmsProof } from '../sms/sms-codes.ts'
import type { UserDocument } from '../users/user-document.ts'

/**
 * Stores a new password and ends all sessions and refresh tokens of the user. Returns false when another change came first. XMPP
 * takes the new password at once; the message service tells the devices and closes their streams. `proof` is used up by it.
 */
export async function setPassword(
  deps: Deps,
  user: UserDocument,
  passwordMd5: string,
  proof?: SmsProof,
): Promise<boolean> {
  const { hasher, logins, outbox, users, now } = deps
  const userId = user._id
  const hash = await hasher.hash(passwordMd5)
  const version = user.password?.version ?? 0
  const ended = await outbox.commit(async (change) => {
    const found = await logins.of(userId, change)
    if (found?.passwordVersion !== version) return undefined
    users.setPassword(userId, version, hash, change)
    change.announce(passwordChanged, String(userId), { userId, at: now() })
    change.announce(passwordReplaced, String(userId), { userId, version: version + 1, at: now() })
    const removed = endAllSessions(deps, userId, found, 'password', change)
    await proof?.use()
    return removed
  })
  if (!ended) return false
  await forgetSessions(deps, userId, ended, 'password')
  return true
}
