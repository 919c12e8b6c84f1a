import type { Test } from 'tap'
import type { PushDevice } from '../../src/providers/provider.ts'
import { demand, startVendorServer, type Vendor, type VendorAnswer, vendorParts } from './vendor.ts'

const [appKey, secret] = ['7d431e42dfa6a6d693ac2d04', 'jpush-secret']

const failed = (status: number, code: number, message = `code ${code}`, headers = {}): VendorAnswer => ({
  status,
  headers,
  body: { error: { code, message } },
})
const statusOf: Record<number, number> = {
  ...{ 1000: 500, 1001: 405, 1004: 401, 1020: 404, 1030: 503, 2002: 429 },
  ...{ 1012: 403, 2003: 403, 2004: 403, 2005: 403, 2006: 403, 2007: 403 },
}

interface Body {
  cid?: string
  platform: string[]
  audience: { registration_id: string[] }
  notification: {
    android?: { title: string; alert: string; extras: Record<string, string>; [name: string]: unknown }
    ios?: { alert: { title: string; body: string }; badge?: number; extras: Record<string, string> }
  }
  options: { time_to_live: number; apns_production?: boolean }
}

const androidNames = new Set(['title', 'alert', 'extras', 'alert_type', 'channel_id', 'category', 'intent', 'priority'])

/** JPush: names it knows, ids, platforms; a `cid` that was sent before gets the same answer and sends nothing. */
export async function startJPush(t: Test, device: PushDevice = 'android'): Promise<Vendor> {
  const parts = vendorParts()
  const sent = new Map<string, string>()
  const url = await startVendorServer(t, parts, {
    isSend: () => true,
    answer(call) {
      demand(call.method === 'POST' && call.path === '/v3/push', 'path', failed(404, 1020))
      const [id, password] = Buffer.from(call.headers.authorization?.replace(/^Basic /, '') ?? '', 'base64')
        .toString()
        .split(':')
      if (id !== appKey || password !== secret) return failed(401, 1004)
      const { cid, platform, audience, notification, options } = call.json() as unknown as Body
      const ids = audience?.registration_id ?? []
      demand(ids.length >= 1 && ids.length <= 1000, 'audience', failed(400, 1003))
      demand(
        platform?.length && platform.every((name) => name === 'android' || name === 'ios'),
        'platform',
        failed(400, 1003),
      )
      const { android, ios } = notification
      for (const name of Object.keys(android ?? {})) demand(androidNames.has(name), name, failed(400, 1009))
      demand(
        Boolean(android) === platform.includes('android') && Boolean(ios) === platform.includes('ios'),
        'parts',
        failed(400, 1003),
      )
      demand(!ios || typeof options.apns_production === 'boolean', 'apns_production', failed(400, 1003))
      demand(options.time_to_live >= 0 && options.time_to_live <= 864_000, 'time_to_live', failed(400, 1003))
      demand(
        !cid || new RegExp(`^${appKey}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).test(cid),
        'cid',
        failed(400, 1003),
      )
      demand(Buffer.byteLength(JSON.stringify(ios ?? '')) <= 2000, 'size', failed(400, 1005))
      demand(Buffer.byteLength(JSON.stringify(android ?? '')) <= 4000, 'size', failed(400, 1005))
      const known = cid && sent.get(cid)
      if (known) return { body: { sendno: '0', msg_id: known } }
      const scripts = ids.map((token) => parts.answers.get(token))
      if (scripts.every((script) => script === '1011')) return failed(400, 1011, 'cannot find user by this audience')
      const whole = scripts.find((script) => script && script !== '1011')
      if (whole === 'invalid') return failed(400, 1003, `registration_id ${ids[0]} is invalid`)
      const limits = { 'x-rate-limit-limit': '600', 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': '1' }
      if (whole) return failed(statusOf[Number(whole)] ?? 400, Number(whole), undefined, whole === '2002' ? limits : {})
      const alert = android ? { title: android.title, body: android.alert } : (ios?.alert ?? { title: '', body: '' })
      const data = (android ?? ios)?.extras ?? {}
      for (const [index, token] of ids.entries())
        if (!scripts[index])
          parts.shown.push({ token, ...alert, badge: ios?.badge, data, more: { platform, options, android, ios } })
      const messageId = String(100 + sent.size)
      if (cid) sent.set(cid, messageId)
      return { body: { sendno: '0', msg_id: messageId } }
    },
  })
  const settings = (key: string) => ({ PUSH_JPUSH_APP_KEY: appKey, PUSH_JPUSH_SECRET: key, PUSH_JPUSH_URL: url })
  return {
    ...parts,
    provider: 'jpush',
    device,
    env: settings(secret),
    wrongEnv: settings('wrong-secret'),
    token: (number) => `1104a89793f${number}`,
    deadCode: '1011',
  }
}
