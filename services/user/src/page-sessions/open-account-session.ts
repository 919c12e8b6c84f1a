import { ContractError, type Params, type ResultOf } from '@im/contracts'
import { type internalPageSessions, pageSessionSeconds } from '@im/contracts/user'
import { checkPassword } from '../accounts/check-credentials.ts'
import { findLoginUsers } from '../accounts/find-login-users.ts'
import type { Deps } from '../deps.ts'
import type { PageSessionDocument } from '../sessions/page-sessions-repository.ts'
import { forgetSessions } from '../sessions/revoke-sessions.ts'
import { newAccessToken, tokenId } from '../sessions/tokens.ts'
import type { UserDocument } from '../users/user-document.ts'

type Open = (typeof internalPageSessions)['openAccountSession']

const publicAccount = 2
const userIdText = /^[1-9]\d{0,9}$/

/**
 * Checks the password of a public account and opens a session of its pages. Limits are those of `/user/login`. Users who are no
 * public accounts are told so only with the right password; unknown names look like wrong passwords.
 */
export async function openAccountSession(
  deps: Deps,
  { username, areaCode, password, ip }: Params<Open>,
  signal: AbortSignal,
): Promise<ResultOf<Open>> {
  const { outbox, users, pageSessions, now } = deps
  const candidates = await candidatesOf(deps, username, areaCode)
  const checked = await checkPassword(deps, { candidates, name: username, passwordMd5: password, ip, signal }).catch(
    (error) => {
      if (error instanceof ContractError && error.errorName === 'AccountNotFound')
        throw new ContractError('WrongPassword')
      throw error
    },
  )
  if (checked.userType !== publicAccount) throw new ContractError('NotPublicAccount')
  const { _id: userId, nickname } = checked
  const accessToken = newAccessToken()
  const ended = await outbox.commit(async (change) => {
    // It writes the account, so a password change or a lock of the same moment ends this session, too.
    if (!(await users.countLogin(checked, change)))
      throw new ContractError((await users.byId(userId))?.status === -1 ? 'AccountLocked' : 'WrongPassword')
    const createdAt = new Date(now())
    const expiresAt = new Date(now() + pageSessionSeconds * 1000)
    const session: PageSessionDocument = { _id: tokenId(accessToken), userId, kind: 'mp', ip, createdAt, expiresAt }
    return await pageSessions.add(session, change)
  })
  await forgetSessions(
    deps,
    userId,
    ended.map(({ _id, kind }) => ({ sessionId: _id, device: kind })),
    'login',
  )
  return { accessToken, userId, nickname }
}

async function candidatesOf(deps: Deps, username: string, areaCode: string): Promise<UserDocument[]> {
  const byName = await findLoginUsers(deps, username, areaCode)
  if (byName.length || !userIdText.test(username)) return byName
  const byId = await deps.users.byId(Number(username))
  return byId ? [byId] : []
}
