import { type Handlers, OAuthError, RawAnswer } from '@im/contracts'
import { oauth } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import { loginDevice } from '../accounts/login-device.ts'
import type { Deps } from '../deps.ts'
import type { OpenedSession } from '../sessions/open-session.ts'
import { accessSeconds } from '../sessions/tokens.ts'
import type { UserDocument } from '../users/user-document.ts'
import { oauthDocument } from './answers.ts'
import { grantByPassword } from './grant-token.ts'
import { introspectToken } from './introspect-token.ts'
import { refreshToken } from './refresh-token.ts'
import { revokeToken } from './revoke-token.ts'

const tokenAnswer = ({ user, opened }: { user: UserDocument; opened: OpenedSession }) =>
  oauthDocument({
    access_token: opened.accessToken,
    token_type: 'Bearer',
    expires_in: accessSeconds,
    refresh_token: opened.refreshToken,
    userId: user._id,
    nickname: user.nickname,
  })

function required(value: string | undefined, name: string): string {
  if (value === undefined) throw new OAuthError(400, 'invalid_request', `${name} is missing`)
  return value
}

const handlers: Handlers<typeof oauth, Deps> = {
  async token(deps, { params, request, signal }) {
    const { grant_type: grantType, client_id: clientId, areaCode } = params
    deps.log.debug({ clientId, grantType }, 'a token was asked for')
    switch (required(grantType, 'grant_type')) {
      case 'password': {
        const username = required(params.username, 'username')
        const passwordMd5 = required(params.password, 'password')
        const from = loginDevice(params, request)
        return tokenAnswer(await grantByPassword(deps, { username, areaCode, passwordMd5, from, signal }))
      }
      case 'refresh_token':
        return tokenAnswer(await refreshToken(deps, required(params.refresh_token, 'refresh_token'), request.ip))
      default:
        throw new OAuthError(400, 'unsupported_grant_type', 'grant_type must be password or refresh_token')
    }
  },

  async revoke(deps, { params }) {
    await revokeToken(deps, required(params.token, 'token'))
    return new RawAnswer('', { headers: { 'cache-control': 'no-store' } })
  },

  async introspect(deps, { params }) {
    return oauthDocument(await introspectToken(deps, required(params.token, 'token')))
  },
}

export const oauthRoutes = bindHandlers(oauth, handlers)
