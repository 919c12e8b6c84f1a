import { type Params, Reply, type RequestInfo, type ResultOf } from '@im/contracts'
import type { accountSession } from '@im/contracts/social'
import { internalPageSessions, pageSessionSeconds } from '@im/contracts/user'
import { csrfTokenOf, sessionCookie } from '@im/service-kit'
import type { Deps } from '../deps.ts'

type LogIn = (typeof accountSession)['logIn']

/** Logs an account in to its pages. The user service checks the password and keeps the session. */
export async function logIn(
  { user }: Pick<Deps, 'user'>,
  { username, areaCode, password }: Params<LogIn>,
  request: RequestInfo,
): Promise<Reply<ResultOf<LogIn>>> {
  const opened = await user.call(internalPageSessions.openAccountSession, {
    ...{ username, areaCode, password, ip: request.ip },
  })
  const { accessToken: access_token, userId, nickname } = opened
  const csrfToken = csrfTokenOf(access_token)
  return new Reply(
    { access_token, expires_in: pageSessionSeconds, userId, nickname, csrfToken },
    { headers: { 'set-cookie': sessionCookie('mp', access_token, request), 'cache-control': 'no-store' } },
  )
}

/** Ends the session and takes the cookie away. */
export async function logOut(
  { user }: Pick<Deps, 'user'>,
  sessionId: string,
  request: RequestInfo,
): Promise<Reply<undefined>> {
  await user.call(internalPageSessions.endPageSession, { sessionId })
  return new Reply(undefined, { headers: { 'set-cookie': sessionCookie('mp', undefined, request) } })
}
