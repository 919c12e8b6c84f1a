import type { Test } from 'tap'
import { demand, startVendorServer, type Vendor, type VendorAnswer, vendorParts } from './vendor.ts'

const [secret, packageName] = ['xiaomi-secret', 'im.example.app']

const failed = (code: number, data: object = {}): VendorAnswer => ({
  body: { result: 'error', code, reason: `code ${code}`, description: `code ${code}`, data, trace_id: 't' },
})

/** Xiaomi MiPush: key, form, lengths, numbers, payload encoded twice. Errors come with HTTP 200. */
export async function startXiaomi(t: Test): Promise<Vendor> {
  const parts = vendorParts()
  const url = await startVendorServer(t, parts, {
    isSend: () => true,
    answer(call) {
      demand(call.method === 'POST' && call.path === '/v3/message/regid', 'path', { status: 404 })
      demand(/^application\/x-www-form-urlencoded/.test(call.headers['content-type'] ?? ''), 'type', failed(10016))
      if (call.headers.authorization !== `key=${secret}`) return failed(22000)
      const form = call.form()
      const ids = (form['registration_id'] ?? '').split(',').filter(Boolean)
      const { title = '', description = '', payload = '' } = form
      demand(form['restricted_package_name'] === packageName, 'package', failed(22022))
      demand(ids.length >= 1 && ids.length <= 1000, 'ids', failed(10016))
      demand(title && title.length < 50 && description && description.length < 128, 'lengths', failed(10017))
      for (const name of ['pass_through', 'notify_type', 'time_to_live', 'notify_id'])
        demand(/^-?\d+$/.test(form[name] ?? ''), name, failed(10017))
      demand(Number(form['notify_id']) < 2 ** 31 && Number(form['time_to_live']) <= 864_000_000, 'size', failed(10017))
      demand(['pm-1', 'call-1'].includes(form['extra.channel_id'] ?? ''), 'channel', failed(27001))
      demand(/^[\w%.~!*'()-]*$/.test(payload), 'payload is not encoded', failed(10017))
      const scripts = ids.map((id) => parts.answers.get(id))
      const whole = scripts.find((script) => script && script !== 'bad' && script !== 'unsent')
      if (whole) return failed(Number(whole))
      const bad = ids.filter((_, index) => scripts[index] === 'bad')
      if (scripts.every((script) => script === 'unsent')) return failed(20301)
      if (bad.length === ids.length) return failed(20301, { bad_regids: bad.join(',') })
      for (const token of ids.filter((id) => !bad.includes(id))) {
        const data = JSON.parse(decodeURIComponent(payload)) as Record<string, string>
        parts.shown.push({ token, title, body: description, badge: Number(form['extra.badge']), data, more: form })
      }
      const data = { id: 'sm1', day_quota: '1', day_acked: '0', ...(bad.length ? { bad_regids: bad.join(',') } : {}) }
      return { body: { result: 'ok', code: 0, trace_id: 't', description: '成功', data } }
    },
  })
  const settings = (key: string) => ({
    PUSH_XIAOMI_SECRET: key,
    PUSH_XIAOMI_PACKAGE: packageName,
    PUSH_XIAOMI_CHANNEL: 'pm-1',
    PUSH_XIAOMI_CALL_CHANNEL: 'call-1',
    PUSH_XIAOMI_URL: url,
  })
  return {
    ...parts,
    provider: 'xiaomi',
    device: 'android',
    env: settings(secret),
    wrongEnv: settings('wrong-secret'),
    token: (number) => `mi+regid/${number}==`,
    deadCode: 'bad',
  }
}
