import { ContractError } from '@im/contracts'
import { type OpenidProvider, providerTimeoutMs } from './payment-provider.ts'

/** The code is wrong or too old, or was used before. */
const badCodes = new Set([40_029, 40_163])

/** WeChat's OAuth: a login code of the app, which is good once, for the openid of who logged in. */
export function weChatOAuth(settings: { appId: string; appSecret: string; url: string }): OpenidProvider {
  return {
    async openidOf(code) {
      const url = new URL('/sns/oauth2/access_token', settings.url)
      const { appId: appid, appSecret: secret } = settings
      url.search = new URLSearchParams({ appid, secret, code, grant_type: 'authorization_code' }).toString()
      const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(providerTimeoutMs) })
      // The result is in the body, whatever the status and the content type.
      const { openid, errcode, errmsg } = JSON.parse(await answer.text()) as Record<string, unknown>
      if (typeof openid === 'string' && openid) return openid
      if (badCodes.has(Number(errcode))) throw new ContractError('WxCodeInvalid', { detail: String(errmsg) })
      throw new Error(`WeChat answered ${errcode}: ${errmsg}`)
    },
  }
}
