import { createHash, createHmac, randomUUID } from 'node:crypto'
import { askJson, SmsThrottledError } from './ask-json.ts'
import type { CloudSmsSettings, SmsProvider } from './sms-provider.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
/** RFC 3986: more is encoded than in a form. */
const encode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)

const slow = new Set(['isv.BUSINESS_LIMIT_CONTROL', 'Throttling.User', 'Throttling'])

/** What is signed of a call to an API of Aliyun that has no body (signature version 3, ACS3-HMAC-SHA256). */
export function signAliyun(
  call: { host: string; action: string; version: string; date: string; nonce: string; query: Record<string, string> },
  key: { id: string; secret: string },
): { query: string; headers: Record<string, string> } {
  const query = Object.entries(call.query)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
  const headers: Record<string, string> = {
    host: call.host,
    'x-acs-action': call.action,
    'x-acs-content-sha256': sha256(''),
    'x-acs-date': call.date,
    'x-acs-signature-nonce': call.nonce,
    'x-acs-version': call.version,
  }
  const names = Object.keys(headers).sort()
  const canonical = [
    ...['POST', '/', query, ...names.map((name) => `${name}:${headers[name]}`), ''],
    ...[names.join(';'), sha256('')],
  ].join('\n')
  const signature = createHmac('sha256', key.secret)
    .update(`ACS3-HMAC-SHA256\n${sha256(canonical)}`)
    .digest('hex')
  const signed = `SignedHeaders=${names.join(';')},Signature=${signature}`
  return { query, headers: { ...headers, authorization: `ACS3-HMAC-SHA256 Credential=${key.id},${signed}` } }
}

/** Aliyun SMS (dysmsapi). The template has one variable, `code`. */
export function aliyunSmsProvider(settings: CloudSmsSettings): SmsProvider {
  const url = new URL(settings.url ?? 'https://dysmsapi.aliyuncs.com/')
  return {
    async send({ areaCode, phone, telephone, code, language }) {
      const { query, headers } = signAliyun(
        {
          host: url.hostname,
          action: 'SendSms',
          version: '2017-05-25',
          date: `${new Date().toISOString().slice(0, 19)}Z`,
          nonce: randomUUID(),
          query: {
            PhoneNumbers: areaCode === '86' ? phone : telephone,
            SignName: settings.signName,
            TemplateCode: settings.templateOf(language),
            TemplateParam: JSON.stringify({ code }),
          },
        },
        settings.key,
      )
      const { host: _host, ...sent } = headers
      const answer = await askJson(new URL(`?${query}`, url), { method: 'POST', headers: sent })
      if (answer['Code'] === 'OK') return
      const told = `Aliyun answered ${answer['Code']}: ${answer['Message']}`
      throw slow.has(String(answer['Code'])) ? new SmsThrottledError(told) : new Error(told)
    },
  }
}
