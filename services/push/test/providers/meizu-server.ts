import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import { demand, startVendorServer, type Vendor, type VendorAnswer, vendorParts } from './vendor.ts'

const [appId, secret] = ['10000', 'meizu-secret']

const coded = (code: string, value: unknown = {}): VendorAnswer => ({
  body: { code, message: code, value, redirect: '', msgId: 'NS1' },
})

/** Meizu Flyme: a signature over the raw values, at most 100 ids, lengths, hours. */
export async function startMeizu(t: Test): Promise<Vendor> {
  const parts = vendorParts()
  const url = await startVendorServer(t, parts, {
    isSend: () => true,
    answer(call) {
      const path = '/garcia/api/server/push/varnished/pushByPushId'
      demand(call.method === 'POST' && call.path === path, 'path', { status: 404 })
      const { sign, ...form } = call.form()
      const text = Object.keys(form)
        .sort()
        .map((name) => `${name}=${form[name]}`)
        .join('')
      const right = createHash('md5').update(`${text}${secret}`).digest('hex')
      if (form['appId'] !== appId) return coded('110000')
      if (sign !== right) return coded('1006')
      const ids = (form['pushIds'] ?? '').split(',')
      demand(ids.length >= 1 && ids.length <= 100, 'pushIds', coded('110053'))
      const message = JSON.parse(form['messageJson'] ?? '') as {
        noticeBarInfo: { noticeMsgType: number; noticeBarType: number; title: string; content: string }
        clickTypeInfo: { clickType: number; parameters: Record<string, string> }
        pushTimeInfo: { offLine: number; validTime: number }
        advanceInfo: { notificationType: object; notifyKey: string }
      }
      const { noticeBarInfo, clickTypeInfo, pushTimeInfo, advanceInfo } = message
      const { title, content } = noticeBarInfo
      demand(title && title.length <= 32 && content && content.length <= 100, 'lengths', coded('110004'))
      demand(noticeBarInfo.noticeMsgType === 1, 'noticeMsgType', coded('110004'))
      demand([0, 1, 2].includes(clickTypeInfo.clickType), 'clickType', coded('110004'))
      demand(pushTimeInfo.validTime >= 1 && pushTimeInfo.validTime <= 72, 'validTime', coded('110004'))
      demand(/^[\w-]{1,8}$/.test(advanceInfo.notifyKey), 'notifyKey', coded('110004'))
      const whole = ids.map((token) => parts.answers.get(token)).find((script) => script?.startsWith('top '))
      if (whole) return coded(whole.slice(4))
      const value: Record<string, string[]> = {}
      for (const token of ids) {
        const script = parts.answers.get(token)
        if (script) value[script] = [...(value[script] ?? []), token]
        else parts.shown.push({ token, title, body: content, data: clickTypeInfo.parameters, more: { ...message } })
      }
      return coded('200', value)
    },
  })
  const settings = (key: string) => ({ PUSH_MEIZU_APP_ID: appId, PUSH_MEIZU_SECRET: key, PUSH_MEIZU_URL: url })
  return {
    ...parts,
    provider: 'meizu',
    device: 'android',
    env: settings(secret),
    wrongEnv: settings('wrong-secret'),
    token: (number) => `RA50c6348036344485d01776773577c64740465480a6b${number}`,
    deadCode: '110003',
  }
}
