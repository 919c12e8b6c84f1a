import { createHash, createHmac } from 'node:crypto'
import { askJson, SmsThrottledError } from './ask-json.ts'
import type { CloudSmsSettings, SmsProvider } from './sms-provider.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()

const isSlow = (code: string) => code === 'RequestLimitExceeded' || code.startsWith('LimitExceeded')

/** The Authorization header of a call to an API of Tencent Cloud (TC3-HMAC-SHA256). `timestamp` in seconds. */
export function signTencent(
  call: { host: string; service: string; contentType: string; timestamp: number; body: string },
  key: { id: string; secret: string },
): string {
  const { host, service, contentType, timestamp, body } = call
  const date = new Date(timestamp * 1000).toISOString().slice(0, 10)
  const names = 'content-type;host'
  const canonical = `POST\n/\n\ncontent-type:${contentType}\nhost:${host}\n\n${names}\n${sha256(body)}`
  const scope = `${date}/${service}/tc3_request`
  const signingKey = hmac(hmac(hmac(`TC3${key.secret}`, date), service), 'tc3_request')
  const text = `TC3-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256(canonical)}`
  const signature = hmac(signingKey, text).toString('hex')
  return `TC3-HMAC-SHA256 Credential=${key.id}/${scope}, SignedHeaders=${names}, Signature=${signature}`
}

interface SendStatus {
  Code?: string
  Message?: string
}

/** Tencent Cloud SMS. The template has one variable, the code. */
export function tencentSmsProvider(settings: CloudSmsSettings): SmsProvider {
  const url = new URL(settings.url ?? 'https://sms.tencentcloudapi.com/')
  const contentType = 'application/json; charset=utf-8'
  return {
    async send({ telephone, code, language }) {
      const timestamp = Math.floor(Date.now() / 1000)
      const body = JSON.stringify({
        PhoneNumberSet: [`+${telephone}`],
        SmsSdkAppId: settings.appId,
        SignName: settings.signName,
        TemplateId: settings.templateOf(language),
        TemplateParamSet: [code],
      })
      // The official SDKs sign the host without its port.
      const call = { host: url.hostname, service: 'sms', contentType, timestamp, body }
      const headers = {
        'content-type': contentType,
        'x-tc-action': 'SendSms',
        'x-tc-version': '2021-01-11',
        'x-tc-timestamp': String(timestamp),
        'x-tc-region': settings.region,
        authorization: signTencent(call, settings.key),
      }
      const { Response } = await askJson(url, { method: 'POST', headers, body })
      const { Error: refusal, SendStatusSet: statuses } = (Response ?? {}) as {
        Error?: SendStatus
        SendStatusSet?: SendStatus[]
      }
      const status = refusal ?? statuses?.[0] ?? {}
      if (status.Code === 'Ok') return
      const told = `Tencent answered ${status.Code}: ${status.Message}`
      throw isSlow(status.Code ?? '') ? new SmsThrottledError(told) : new Error(told)
    },
  }
}
