import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import type { PushDevice } from '../../src/providers/provider.ts'
import { demand, startVendorServer, type Vendor, type VendorAnswer, vendorParts } from './vendor.ts'

const keys = { android: ['baidu-android', 'android-secret'], ios: ['baidu-ios', 'ios-secret'] } as const

const failed = (status: number, error_code: number): VendorAnswer => ({
  status,
  body: { request_id: 1, error_code, error_msg: `error ${error_code}` },
})

/** PHP's urlencode, character by character: not the way our code does it. */
const phpUrlencode = (text: string) =>
  [...Buffer.from(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      if (/[A-Za-z0-9_.-]/.test(character)) return character
      return character === ' ' ? '+' : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')

/** Baidu Cloud Push: a signature over method, whole address and all parameters; an application for each platform. */
export async function startBaidu(t: Test, device: PushDevice = 'android'): Promise<Vendor> {
  const parts = vendorParts()
  const url = await startVendorServer(t, parts, {
    isSend: () => true,
    answer(call) {
      const path = '/rest/3.0/push/single_device'
      demand(call.method === 'POST' && call.path === path, 'path', failed(404, 30601))
      const type = call.headers['content-type'] ?? ''
      demand(/^application\/x-www-form-urlencoded; ?charset=utf-8$/i.test(type), 'content type', failed(400, 30602))
      demand(/^BCCS_SDK\/3\.0 \(.+\)/.test(call.headers['user-agent'] ?? ''), 'user agent', failed(400, 30602))
      const { sign, ...form } = call.form()
      const platform = form['device_type'] === '3' ? 'android' : 'ios'
      const [apiKey, secret] = keys[platform]
      const text = Object.keys(form)
        .sort()
        .map((name) => `${name}=${form[name]}`)
        .join('')
      const right = createHash('md5')
        .update(phpUrlencode(`POST${url}${path}${text}${secret}`))
        .digest('hex')
      if (form['apikey'] !== apiKey || sign !== right) return failed(403, 30603)
      if (Math.abs(Date.now() / 1000 - Number(form['timestamp'])) > 600) return failed(403, 30606)
      const expires = Number(form['msg_expires'])
      demand(form['msg_type'] === '1' && expires >= 0 && expires <= 604_800, 'msg_type', failed(400, 30602))
      demand(Buffer.byteLength(form['msg'] ?? '') <= 4096, 'size', failed(400, 30602))
      const message = JSON.parse(form['msg'] ?? '') as Record<string, unknown>
      const token = form['channel_id'] ?? ''
      const script = parts.answers.get(token)
      if (script) return failed(script === '30600' ? 500 : 400, Number(script))
      if (platform === 'ios') {
        const { aps, ...data } = message as { aps: { alert: { title: string; body: string }; badge?: number } }
        demand(aps && ['1', '2'].includes(form['deploy_status'] ?? ''), 'aps', failed(400, 30602))
        const more = { form, aps }
        parts.shown.push({ token, ...aps.alert, badge: aps.badge, data: data as Record<string, string>, more })
      } else {
        const { title, description, custom_content } = message as {
          title: string
          description: string
          custom_content: Record<string, string>
        }
        demand(title && description, 'title', failed(400, 30602))
        parts.shown.push({ token, title, body: description, data: custom_content, more: { form } })
      }
      return { body: { request_id: 1, response_params: { msg_id: '9', send_time: 1 } } }
    },
  })
  const settings = (wrong: string) => ({
    PUSH_BAIDU_ANDROID_KEY: keys.android[0],
    PUSH_BAIDU_ANDROID_SECRET: `${keys.android[1]}${wrong}`,
    PUSH_BAIDU_IOS_KEY: keys.ios[0],
    PUSH_BAIDU_IOS_SECRET: `${keys.ios[1]}${wrong}`,
    PUSH_BAIDU_URL: url,
  })
  return {
    ...parts,
    provider: 'baidu',
    device,
    env: settings(''),
    wrongEnv: settings('-wrong'),
    token: (number) => `372${number}`,
    deadCode: '30608',
  }
}
