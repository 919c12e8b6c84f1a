import { ContractError } from '@im/contracts'
import { sessionOpened } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { type OpenedSession, openSession } from '../sessions/open-session.ts'
import { announceRevocation, forgetSessions } from '../sessions/revoke-sessions.ts'
import type { SmsProof } from '../sms/sms-codes.ts'
import type { UserDocument } from '../users/user-document.ts'
import { keyMacsOf } from './key-macs-of-session.ts'
import { type LoginDevice, loginRecord, positionOf } from './login-device.ts'

export interface CompletedLogin {
  /** The user with this login recorded. */
  user: UserDocument
  opened: OpenedSession
}

/**
 * Records a login whose credentials were checked and opens its session. Throws WrongPassword or AccountLocked when the password
 * was changed or the account locked since the check. `proof` is the SMS code that was checked; the login uses it up. `passwordMd5` is
 * the password that was checked.
 */
export async function completeLogin(
  deps: Deps,
  checked: UserDocument,
  from: LoginDevice,
  login: { withRefresh: boolean; proof?: SmsProof | undefined; passwordMd5?: string | undefined },
): Promise<CompletedLogin> {
  const { outbox, users, now } = deps
  const userId = checked._id
  const done = await outbox.commit(async (change) => {
    const record = loginRecord(from, checked.lastLogin?.serial, Math.floor(now() / 1000))
    const before = await users.recordLogin(checked, { record, position: positionOf(from) }, change)
    if (!before) throw new ContractError((await users.byId(userId))?.status === -1 ? 'AccountLocked' : 'WrongPassword')
    const { device, serial, model, ip } = from
    const multipleDevices = before.settings.multipleDevices === 1
    const keyMacs = login.passwordMd5 === undefined ? undefined : keyMacsOf(deps, before, login.passwordMd5)
    const owner = { userId, device, serial, model, ip, multipleDevices, keyMacs }
    const opened = await openSession(deps, owner, { withRefresh: login.withRefresh }, change)
    announceRevocation(change, userId, opened.ended, 'login', now())
    change.announce(sessionOpened, String(userId), { userId, device, at: now() })
    await login.proof?.use()
    const user: UserDocument = { ...before, lastLogin: record, previousLogin: checked.lastLogin }
    return { user, opened }
  })
  await forgetSessions(deps, userId, done.opened.ended, 'login')
  return done
}
