import { generateKeyPairSync } from 'node:crypto'
import { jwtVerify } from 'jose'
import type { Test } from 'tap'
import {
  demand,
  GivenTokens,
  startVendorServer,
  type Vendor,
  type VendorAnswer,
  type VendorCall,
  vendorParts,
} from './vendor.ts'

const [clientId, clientSecret, projectId] = ['100500', 'huawei-secret', '736430079244']
const [keyId, subAccount] = ['key-1', '110011']

const coded = (code: string, msg = code, status = 200): VendorAnswer => ({
  status,
  body: { code, msg, requestId: '1' },
})

interface V2Message {
  token: string[]
  data: string
  android: {
    ttl: string
    category?: string
    collapse_key: number
    notification: {
      title: string
      body: string
      click_action: { type: number }
      badge?: { set_num: number; class: string }
      notify_id: number
    }
  }
}

interface V3Body {
  payload: {
    notification: {
      title: string
      body: string
      category?: string
      clickAction: { actionType: number; data: Record<string, string> }
      badge?: { setNum: number }
      notifyId: number
    }
  }
  pushOptions: { ttl: number; testMessage: boolean }
  target: { token: string[] }
}

/**
 * Huawei Push Kit and its token endpoint, API v1, v2 and v3: paths with client or project, body of each generation, PS256 tokens
 * of v3, classes only with the right to them. Tokens that begin with `next-` are those of HarmonyOS 5.
 */
export async function startHuawei(
  t: Test,
  api: 'v1' | 'v2' | 'v3' | 'v2+v3' = 'v2',
): Promise<Vendor & { mayClassify: { is: boolean } }> {
  const parts = vendorParts()
  const given = new GivenTokens()
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const mayClassify = { is: true }
  const isNext = (token: string) => token.startsWith('next-')

  function grant(call: VendorCall): VendorAnswer {
    const form = call.form()
    demand(form['grant_type'] === 'client_credentials', 'grant_type', { status: 400, body: { error: 1101 } })
    if (form['client_id'] !== clientId || form['client_secret'] !== clientSecret)
      return { status: 400, body: { error: 1101, error_description: 'invalid client' } }
    return { body: { access_token: given.give(), expires_in: 3600, token_type: 'Bearer' } }
  }

  /** What becomes of the tokens: 80000000, 80100000 with those that are refused, or a scripted code. */
  function result(
    tokens: string[],
    show: (token: string) => void,
    refusedText: (refused: Map<string, string>) => string,
  ) {
    const scripts = tokens.map((token) => parts.answers.get(token))
    const whole = scripts.find((script) => script && /^\d+$/.test(script))
    if (whole) return coded(whole, whole, whole === '80300029' ? 503 : 200)
    const refused = new Map(tokens.flatMap((token, index) => (scripts[index] ? [[token, scripts[index]]] : [])))
    for (const token of tokens) if (!refused.has(token)) show(token)
    return refused.size ? coded('80100000', refusedText(refused)) : coded('80000000', 'Success')
  }

  function sendV2(call: VendorCall): VendorAnswer {
    const bearer = call.headers.authorization?.replace(/^Bearer /, '')
    if (!given.has(bearer)) return coded('80200003', 'OAuth token expired', 401)
    const { message } = call.json() as { message: V2Message }
    demand(message?.token && message.android, 'no message', coded('80300010'))
    const { token: tokens, data, android } = message
    const { notification } = android
    demand(tokens.length >= 1 && tokens.length <= 1000, 'tokens', coded('80300010'))
    demand(typeof data === 'string', 'data', coded('80100003'))
    demand(/^\d+s$/.test(android.ttl) && Number.parseInt(android.ttl, 10) <= 1_296_000, 'ttl', coded('80100004'))
    demand([1, 2, 3].includes(notification.click_action?.type), 'click_action', coded('80100003'))
    demand(!android.category || mayClassify.is, 'category', coded('80300011'))
    demand(Buffer.byteLength(JSON.stringify({ ...message, token: undefined })) <= 4096, 'size', coded('80300008'))
    return result(
      tokens,
      (token) => {
        const { title, body, badge } = notification
        const more = { ...android, notifyId: notification.notify_id }
        parts.shown.push({ token, title, body, badge: badge?.set_num, data: JSON.parse(data), more })
      },
      (refused) => JSON.stringify({ success: 1, failure: refused.size, illegal_tokens: [...refused.keys()] }),
    )
  }

  async function sendV3(call: VendorCall): Promise<VendorAnswer> {
    const bearer = call.headers.authorization?.replace(/^Bearer /, '') ?? ''
    const checked = await jwtVerify(bearer, keys.publicKey, {
      algorithms: ['PS256'],
      issuer: subAccount,
      audience: `${url}/oauth2/v3/token`,
    }).catch(() => undefined)
    if (!checked || checked.protectedHeader.kid !== keyId) return coded('80200001', 'no such key', 401)
    const { iat = 0, exp = 0 } = checked.payload
    demand(exp - iat <= 86_400, 'life', coded('80300036'))
    demand(call.headers['push-type'] === '0', 'push-type', coded('80100003'))
    const body = call.json() as unknown as V3Body & { message?: unknown }
    demand(!body.message && body.payload && body.target, 'body of another generation', coded('80100001'))
    const { payload, pushOptions, target } = body
    const { notification } = payload
    demand(typeof pushOptions.ttl === 'number' && pushOptions.testMessage === false, 'pushOptions', coded('80100003'))
    demand([0, 1].includes(notification.clickAction?.actionType), 'clickAction', coded('80100003'))
    demand(Buffer.byteLength(JSON.stringify(payload)) <= 4096, 'size', coded('80300008'))
    for (const token of target.token)
      if (api === 'v2+v3' && !isNext(token) && !parts.answers.has(token))
        parts.answers.set(token, 'tokenPlatformNotSupport')
    return result(
      target.token,
      (token) => {
        const { title, body: text, clickAction, badge, category, notifyId } = notification
        const more = { category, notifyId }
        parts.shown.push({ token, title, body: text, badge: badge?.setNum, data: clickAction.data, more })
      },
      (refused) => {
        const illegalTokens: Record<string, string[]> = {}
        for (const [token, reason] of refused) illegalTokens[reason] = [...(illegalTokens[reason] ?? []), token]
        return JSON.stringify({ success: 1, failure: refused.size, illegalTokens })
      },
    )
  }

  const url = await startVendorServer(t, parts, {
    isSend: (path) => path !== '/oauth2/v3/token',
    async answer(call) {
      demand(call.method === 'POST', 'method', { status: 405 })
      if (call.path === '/oauth2/v3/token') return grant(call)
      demand(call.headers['content-type']?.startsWith('application/json'), 'content type', coded('80100001'))
      if (call.path === `/v3/${projectId}/messages:send`) return await sendV3(call)
      if (call.path === `/v1/${clientId}/messages:send` || call.path === `/v2/${projectId}/messages:send`) {
        const { message } = call.json() as { message?: V2Message }
        for (const token of message?.token ?? []) if (isNext(token)) parts.answers.set(token, 'illegal')
        const answer = sendV2(call)
        for (const token of message?.token ?? []) if (isNext(token)) parts.answers.delete(token)
        return answer
      }
      return { status: 404 }
    },
  })
  const pem = (pair: typeof keys) => String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const old = { PUSH_HUAWEI_CLIENT_ID: clientId, PUSH_HUAWEI_API: api === 'v1' ? 'v1' : 'v2' }
  const next = { PUSH_HUAWEI_KEY_ID: keyId, PUSH_HUAWEI_SUB_ACCOUNT: subAccount }
  const settings = (secret: string, pair: typeof keys): Record<string, string> => ({
    PUSH_HUAWEI_URL: url,
    PUSH_HUAWEI_OAUTH_URL: url,
    PUSH_HUAWEI_PROJECT_ID: projectId,
    PUSH_HUAWEI_CATEGORY: 'IM',
    PUSH_HUAWEI_CALL_CATEGORY: 'VOIP',
    PUSH_HUAWEI_BADGE_CLASS: 'im.example.MainActivity',
    ...(api === 'v3' ? {} : { ...old, PUSH_HUAWEI_CLIENT_SECRET: secret }),
    ...(api.endsWith('v3') ? { ...next, PUSH_HUAWEI_PRIVATE_KEY: pem(pair) } : {}),
  })
  return {
    ...parts,
    provider: 'huawei',
    device: 'android',
    env: settings(clientSecret, keys),
    wrongEnv: settings('wrong-secret', other),
    token: (number) => `huawei-token-${number}`,
    deadCode: api === 'v3' ? 'tokenFormatError' : 'illegal',
    expireAccess: api === 'v3' ? undefined : () => given.expire(),
    mayClassify,
  }
}
