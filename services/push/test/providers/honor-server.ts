import type { Test } from 'tap'
import { demand, GivenTokens, startVendorServer, type Vendor, type VendorAnswer, vendorParts } from './vendor.ts'

const [appId, clientId, clientSecret] = ['104000000', 'honor-client', 'honor-secret']

const coded = (code: number, data: object = {}): VendorAnswer => ({ body: { code, message: `code ${code}`, data } })

/** Honor Push and its token endpoint. */
export async function startHonor(t: Test): Promise<Vendor> {
  const parts = vendorParts()
  const given = new GivenTokens()
  const url = await startVendorServer(t, parts, {
    isSend: (path) => path !== '/auth/token',
    answer(call) {
      demand(call.method === 'POST', 'method', { status: 405 })
      if (call.path === '/auth/token') {
        const form = call.form()
        demand(form['grant_type'] === 'client_credentials', 'grant_type', { status: 400, body: { error: 'grant' } })
        if (form['client_id'] !== clientId || form['client_secret'] !== clientSecret)
          return { status: 401, body: { error: 'invalid_client' } }
        return { body: { access_token: given.give(), expires_in: 3600, token_type: 'Bearer' } }
      }
      demand(call.path === `/api/v1/${appId}/sendMessage`, 'path', { status: 404 })
      if (!given.has(call.headers.authorization?.replace(/^Bearer /, '')))
        return { status: 401, body: { code: 80200003 } }
      demand(/^\d{13}$/.test(String(call.headers['timestamp'])), 'timestamp', coded(80100003))
      const {
        token: tokens,
        data,
        android,
      } = call.json() as {
        token: string[]
        data: string
        android: {
          ttl: string
          notification: {
            title: string
            body: string
            importance: string
            clickAction: { type: number }
            badge?: { setNum: number; badgeClass: string }
            notifyId: number
          }
        }
      }
      const { notification } = android
      demand(tokens.length >= 1 && tokens.length <= 1000, 'tokens', coded(80300010))
      demand(typeof data === 'string' && /^\d+s$/.test(android.ttl), 'data, ttl', coded(80100003))
      demand([1, 2, 3].includes(notification.clickAction?.type), 'clickAction', coded(80100003))
      demand(notification.importance === 'NORMAL', 'importance', coded(80100003))
      const of = (name: string) => tokens.filter((token) => parts.answers.get(token) === name)
      const [expireTokens, failTokens] = [of('expired'), of('failed')]
      const whole = tokens.map((token) => parts.answers.get(token)).find((script) => script && /^\d+$/.test(script))
      if (whole) return coded(Number(whole))
      for (const token of tokens) {
        if (expireTokens.includes(token) || failTokens.includes(token)) continue
        const { title, body, badge, ...more } = notification
        parts.shown.push({ token, title, body, badge: badge?.setNum, data: JSON.parse(data), more })
      }
      const isPartial = expireTokens.length + failTokens.length > 0
      return coded(isPartial ? 80100000 : 200, { sendResult: !isPartial, requestId: 'r1', expireTokens, failTokens })
    },
  })
  const settings = (secret: string) => ({
    PUSH_HONOR_APP_ID: appId,
    PUSH_HONOR_CLIENT_ID: clientId,
    PUSH_HONOR_CLIENT_SECRET: secret,
    PUSH_HONOR_BADGE_CLASS: 'im.example.MainActivity',
    PUSH_HONOR_URL: url,
    PUSH_HONOR_OAUTH_URL: url,
  })
  return {
    ...parts,
    provider: 'honor',
    device: 'android',
    env: settings(clientSecret),
    wrongEnv: settings('wrong-secret'),
    token: (number) => `honor-token-${number}`,
    deadCode: 'expired',
    expireAccess: () => given.expire(),
  }
}
