import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { smsCodes } from '@im/contracts/user'
import { failure } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { signAliyun } from '../src/sms/aliyun-sms.ts'
import { signTencent } from '../src/sms/tencent-sms.ts'
import { startUser } from './start-user.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()

test('signatures are those that the providers publish', async (t) => {
  const { headers } = signAliyun(
    {
      host: 'ecs.cn-shanghai.aliyuncs.com',
      action: 'RunInstances',
      version: '2014-05-26',
      date: '2023-10-26T10:22:32Z',
      nonce: '3156853299f313e23d1673dc12e1703d',
      query: { RegionId: 'cn-shanghai', ImageId: 'win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd' },
    },
    { id: 'YourAccessKeyId', secret: 'YourAccessKeySecret' },
  )
  t.match(headers['authorization'], /Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0$/)
  const body = '{"Action":"DescribeInstances","Version":"2017-03-12"}'
  const call = { host: 'cvm.tencentcloudapi.com', service: 'cvm', contentType: 'application/json' }
  const signed = signTencent({ ...call, timestamp: 1_640_995_200, body }, { id: 'id', secret: 'test-secret-key' })
  t.match(signed, /Signature=96473b50fe407833672a5d6d067238d88bb44c8abcc39ef83baa3132afbfadd3$/)
})

/** A server that gets whole requests and answers what the story says. */
async function startServer(t: Test, respond: (request: IncomingMessage, body: string) => unknown) {
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const answer = respond(request, body)
    response.setHeader('content-type', 'application/json')
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

const env = (provider: string, url: string) => ({
  SMS_PROVIDER: provider,
  SMS_IMAGE_CODE: 'false',
  SMS_KEY_ID: 'key-id',
  SMS_KEY_SECRET: 'key-secret',
  SMS_SIGN_NAME: '盈创',
  SMS_TEMPLATE: 'T1',
  SMS_TEMPLATE_EN: 'T2',
  SMS_APP_ID: '1400000000',
  SMS_URL: url,
})

/** What becomes of a code for each answer of the provider. */
async function tellsOutcomes(t: Test, url: string, provider: string, script: { answer: unknown }) {
  const { api, nextPhone } = await startUser(t, env(provider, url))
  const send = (params: object = {}) => api.call(smsCodes.sendSms, { telephone: nextPhone(), ...params })
  return async (answer: unknown, outcome?: 'SmsSendFailed' | 'SmsTooFrequent', params = {}) => {
    script.answer = answer
    if (outcome) await t.rejects(send(params), failure(outcome), JSON.stringify(answer))
    else t.strictSame(await send(params), { code: '' })
  }
}

test('Aliyun sends codes', async (t) => {
  const script: { answer: unknown } = { answer: undefined }
  const seen: Record<string, string>[] = []
  const nonces = new Set<string>()
  const url = await startServer(t, ({ method, url = '', headers }, body) => {
    const query = url.slice(url.indexOf('?') + 1)
    const names = /SignedHeaders=([^,]+),/.exec(headers.authorization ?? '')?.[1] ?? ''
    const headerOf = (name: string) => (name === 'host' ? '127.0.0.1' : String(headers[name]))
    const lines = names.split(';').map((name) => `${name}:${headerOf(name)}`)
    const canonical = [method, '/', query, ...lines, '', names, sha256(body)].join('\n')
    const signature = hmac('key-secret', `ACS3-HMAC-SHA256\n${sha256(canonical)}`).toString('hex')
    const signed = `ACS3-HMAC-SHA256 Credential=key-id,SignedHeaders=${names},Signature=${signature}`
    if (headers.authorization !== signed || !names.includes('host;x-acs-action'))
      return { Code: 'SignatureDoesNotMatch' }
    if (nonces.has(headerOf('x-acs-signature-nonce'))) return { Code: 'SignatureNonceUsed' }
    nonces.add(headerOf('x-acs-signature-nonce'))
    if (!(Math.abs(Date.parse(headerOf('x-acs-date')) - Date.now()) < 900_000))
      return { Code: 'InvalidTimeStamp.Expired' }
    const params = Object.fromEntries(new URLSearchParams(query)) as Record<string, string>
    if (headerOf('x-acs-action') !== 'SendSms' || headerOf('x-acs-version') !== '2017-05-25') return { Code: 'Unknown' }
    if (!/^\d{6}$/.test(JSON.parse(params['TemplateParam'] ?? '{}').code)) return { Code: 'isv.TEMPLATE' }
    seen.push(params)
    return script.answer
  })
  const outcome = await tellsOutcomes(t, url, 'aliyun', script)
  await outcome({ Code: 'OK', BizId: '1', RequestId: 'r', Message: 'OK' })
  t.match(seen[0], { SignName: '盈创', TemplateCode: 'T1', PhoneNumbers: /^139/ })
  await outcome({ Code: 'OK' }, undefined, { telephone: '4155550100', areaCode: '1', language: 'en' })
  t.match(seen[1], { TemplateCode: 'T2', PhoneNumbers: '14155550100' })
  await outcome({ Code: 'isv.BUSINESS_LIMIT_CONTROL', Message: '触发分钟级流控' }, 'SmsTooFrequent')
  await outcome({ Code: 'isv.OUT_OF_SERVICE', Message: 'balance' }, 'SmsSendFailed')
  await outcome('<html>busy</html>', 'SmsSendFailed')
})

test('Tencent Cloud sends codes', async (t) => {
  const script: { answer: unknown } = { answer: undefined }
  const seen: Record<string, unknown>[] = []
  const url = await startServer(t, ({ headers }, body) => {
    const refuse = (Code: string) => ({ Response: { Error: { Code, Message: Code } } })
    const timestamp = Number(headers['x-tc-timestamp'])
    if (!(Math.abs(Date.now() / 1000 - timestamp) < 300)) return refuse('AuthFailure.SignatureExpire')
    const date = new Date(timestamp * 1000).toISOString().slice(0, 10)
    const scope = `${date}/sms/tc3_request`
    const head = `content-type:${headers['content-type']}\nhost:127.0.0.1\n`
    const canonical = `POST\n/\n\n${head}\ncontent-type;host\n${sha256(body)}`
    const key = hmac(hmac(hmac('TC3key-secret', date), 'sms'), 'tc3_request')
    const signature = hmac(key, `TC3-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256(canonical)}`).toString('hex')
    const signed = `TC3-HMAC-SHA256 Credential=key-id/${scope}, SignedHeaders=content-type;host, Signature=${signature}`
    if (headers.authorization !== signed) return refuse('AuthFailure.SignatureFailure')
    if (headers['x-tc-action'] !== 'SendSms' || headers['x-tc-version'] !== '2021-01-11') return refuse('InvalidAction')
    const params = JSON.parse(body) as Record<string, unknown>
    if (!(params['PhoneNumberSet'] as string[]).every((number) => /^\+\d{7,}$/.test(number)))
      return refuse('InvalidParameter')
    seen.push(params)
    return script.answer
  })
  const outcome = await tellsOutcomes(t, url, 'tencent', script)
  const sent = (Code: string) => ({ Response: { SendStatusSet: [{ Code, Message: Code, Fee: 1 }], RequestId: 'r' } })
  await outcome(sent('Ok'))
  t.match(seen[0], {
    SmsSdkAppId: '1400000000',
    SignName: '盈创',
    TemplateId: 'T1',
    PhoneNumberSet: [/^\+86139/],
    TemplateParamSet: [/^\d{6}$/],
  })
  await outcome(sent('LimitExceeded.PhoneNumberThirtySecondLimit'), 'SmsTooFrequent')
  await outcome(sent('FailedOperation.InsufficientBalanceInSmsPackage'), 'SmsSendFailed')
  await outcome({ Response: { Error: { Code: 'RequestLimitExceeded', Message: 'slow' } } }, 'SmsTooFrequent')
  await outcome({ Response: { Error: { Code: 'InternalError', Message: 'x' } } }, 'SmsSendFailed')
  await outcome('busy', 'SmsSendFailed')
})
