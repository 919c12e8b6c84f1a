import { createCipheriv, createSign, createVerify, generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { pem } from './alipay-server.ts'

export interface Bill {
  out_bill_no: string
  transfer_amount: number
  openid: string
  state: string
}

/**
 * WeChat Pay (API v3) and the WeChat login as their documents describe them: signatures of requests are verified over the raw
 * body, with nonce and time; answers and notifications are signed; a bill number is good for one bill; a login code for one use.
 */
export async function startWeChat(t: Test) {
  const merchant = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const platform = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const [appId, appSecret, merchantId, serial] = ['wx1234567890', 'secret', '1900000001', 'MERCHANT01']
  const platformSerial = 'PUB_KEY_ID_0001'
  const apiV3Key = 'k'.repeat(32)
  const orders = new Map<string, { total: number; state: string; prepayId: string }>()
  const bills = new Map<string, Bill>()
  const codes = new Map<string, { openid: string; used: boolean }>()
  const nonces = new Set<string>()
  const script = {
    /** What a transfer becomes: a state, an error code, or silence before or after it was made. */
    transfer: 'SUCCESS' as string,
    mode: 'answers' as 'answers' | 'unsigned',
  }

  /** `age` in seconds. */
  function signedHeaders(body: string, key = platform.privateKey, age = 0): Record<string, string> {
    const timestamp = String(Math.floor(Date.now() / 1000) - age)
    const nonce = randomBytes(8).toString('hex')
    const signature = createSign('RSA-SHA256').update(`${timestamp}\n${nonce}\n${body}\n`).sign(key, 'base64')
    return {
      'wechatpay-timestamp': timestamp,
      'wechatpay-nonce': nonce,
      'wechatpay-serial': platformSerial,
      'wechatpay-signature': signature,
    }
  }

  function send(response: ServerResponse, status: number, answer: object): void {
    const body = JSON.stringify(answer)
    const headers = script.mode === 'unsigned' ? signedHeaders('another body') : signedHeaders(body)
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
  }

  /** Undefined when the request is signed as it must be. */
  function signatureProblem({ method, url, headers }: IncomingMessage, body: string): string | undefined {
    const [scheme, rest = ''] = (headers.authorization ?? '').split(/ (.*)/s)
    const fields = Object.fromEntries(
      [...rest.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    ) as Record<string, string>
    if (scheme !== 'WECHATPAY2-SHA256-RSA2048') return 'scheme'
    if (fields['mchid'] !== merchantId || fields['serial_no'] !== serial) return 'merchant'
    const { timestamp = '', nonce_str: nonce = '', signature = '' } = fields
    if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return 'timestamp'
    if (nonces.has(nonce)) return 'nonce'
    nonces.add(nonce)
    const text = `${method}\n${url}\n${timestamp}\n${nonce}\n${body}\n`
    const isRight = createVerify('RSA-SHA256').update(text).verify(merchant.publicKey, signature, 'base64')
    if (!isRight) return 'signature'
    return headers.accept === 'application/json' && headers['user-agent'] ? undefined : 'headers'
  }

  const billAnswer = ({ out_bill_no, state }: Bill) => ({
    out_bill_no,
    transfer_bill_no: `w${out_bill_no}`,
    create_time: '2026-11-26T10:00:00+08:00',
    state,
    ...(state === 'WAIT_USER_CONFIRM' ? { package_info: 'affffddafdfafddffda==' } : {}),
    ...(state === 'FAIL' ? { fail_reason: 'PAYEE_ACCOUNT_ABNORMAL' } : {}),
  })

  function pay(request: IncomingMessage, response: ServerResponse, body: string): void {
    const path = request.url ?? ''
    const given = (body ? JSON.parse(body) : {}) as Record<string, unknown>
    if (request.method === 'POST' && path === '/v3/pay/transactions/app') {
      const { appid, mchid, description, out_trade_no: orderId, notify_url: notifyUrl, amount } = given
      const { total, currency } = (amount ?? {}) as { total?: number; currency?: string }
      const isWhole = appid === appId && mchid === merchantId && description && notifyUrl && currency === 'CNY'
      if (!isWhole || !Number.isInteger(total))
        return void send(response, 400, { code: 'PARAM_ERROR', message: 'params' })
      const prepayId = `wx${randomBytes(8).toString('hex')}`
      orders.set(String(orderId), { total: total ?? 0, state: 'NOTPAY', prepayId })
      return void send(response, 200, { prepay_id: prepayId })
    }
    const orderId = /^\/v3\/pay\/transactions\/out-trade-no\/(\w+)\?mchid=1900000001$/.exec(path)?.[1]
    if (orderId) {
      const order = orders.get(orderId)
      if (!order) return void send(response, 404, { code: 'ORDER_NOT_EXIST', message: 'no order' })
      return void send(response, 200, { ...transaction(orderId), trade_state: order.state })
    }
    if (request.method === 'POST' && path === '/v3/fund-app/mch-transfer/transfer-bills') {
      const bill = given as unknown as Bill & { transfer_scene_report_infos?: unknown[]; transfer_remark?: string }
      const { out_bill_no: billNo, transfer_amount: cents, openid } = bill
      if (!/^[0-9A-Za-z]{1,32}$/.test(billNo) || !Number.isInteger(cents) || cents < 1 || !openid)
        return void send(response, 400, { code: 'PARAM_ERROR', message: 'params' })
      if (!bill.transfer_scene_report_infos?.length || (bill.transfer_remark ?? '').length > 32)
        return void send(response, 400, { code: 'INVALID_REQUEST', message: 'scene' })
      if (bills.has(billNo)) return void send(response, 400, { code: 'ALREADY_EXISTS', message: 'the bill exists' })
      if (script.transfer === 'cut before') return void response.destroy()
      if (script.transfer === 'NOT_ENOUGH') return void send(response, 403, { code: 'NOT_ENOUGH', message: 'no money' })
      const state = script.transfer === 'cut after' ? 'SUCCESS' : script.transfer
      bills.set(billNo, { out_bill_no: billNo, transfer_amount: cents, openid, state })
      if (script.transfer === 'cut after') return void response.destroy()
      return void send(response, 200, billAnswer(bills.get(billNo) as Bill))
    }
    const billNo = /^\/v3\/fund-app\/mch-transfer\/transfer-bills\/out-bill-no\/(\w+)$/.exec(path)?.[1]
    const bill = bills.get(billNo ?? '')
    if (bill) return void send(response, 200, billAnswer(bill))
    send(response, 404, { code: 'NOT_FOUND', message: 'no such thing' })
  }

  function logIn(url: URL, response: ServerResponse): void {
    const params = url.searchParams
    const code = codes.get(params.get('code') ?? '')
    const answer = (body: object) => response.writeHead(200, { 'content-type': 'text/plain' }).end(JSON.stringify(body))
    if (params.get('appid') !== appId || params.get('secret') !== appSecret)
      return void answer({ errcode: 40_125, errmsg: 'invalid appsecret' })
    if (params.get('grant_type') !== 'authorization_code') return void answer({ errcode: 40_002, errmsg: 'grant' })
    if (!code) return void answer({ errcode: 40_029, errmsg: 'invalid code' })
    if (code.used) return void answer({ errcode: 40_163, errmsg: 'code been used' })
    code.used = true
    answer({ access_token: 'a', expires_in: 7200, refresh_token: 'r', openid: code.openid, scope: 'snsapi_userinfo' })
  }

  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const url = new URL(request.url ?? '', 'http://wechat.test')
    if (url.pathname === '/sns/oauth2/access_token') return void logIn(url, response)
    const problem = signatureProblem(request, body)
    if (problem) return void send(response, 401, { code: 'SIGN_ERROR', message: problem })
    pay(request, response, body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

  const transaction = (orderId: string) => ({
    appid: appId,
    mchid: merchantId,
    out_trade_no: orderId,
    transaction_id: `w${orderId}`,
    trade_state: 'SUCCESS',
    amount: { total: orders.get(orderId)?.total, payer_total: orders.get(orderId)?.total, currency: 'CNY' },
  })

  /** A notification: encrypted, and signed over its bytes. */
  function notification(eventType: string, content: object, key = apiV3Key) {
    const nonce = randomBytes(6).toString('hex')
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from('transaction'))
    const bytes = Buffer.concat([cipher.update(JSON.stringify(content), 'utf8'), cipher.final(), cipher.getAuthTag()])
    const resource = {
      algorithm: 'AEAD_AES_256_GCM',
      ciphertext: bytes.toString('base64'),
      nonce,
      associated_data: 'transaction',
      original_type: 'transaction',
    }
    // Written as no JSON.stringify of ours would: the signature is over these bytes.
    const body = JSON.stringify(
      { id: 'n', event_type: eventType, resource_type: 'encrypt-resource', resource },
      null,
      2,
    )
    return { body, headers: signedHeaders(body) }
  }

  return {
    orders,
    bills,
    codes,
    script,
    merchant,
    notification,
    transaction,
    signedHeaders,
    env: {
      PAYMENT_PROVIDER: 'wechat',
      WECHAT_APP_ID: appId,
      WECHAT_APP_SECRET: appSecret,
      WECHAT_MERCHANT_ID: merchantId,
      WECHAT_MERCHANT_SERIAL: serial,
      WECHAT_MERCHANT_KEY: pem(merchant.privateKey, 'pkcs8'),
      WECHAT_PLATFORM_SERIAL: platformSerial,
      WECHAT_PLATFORM_KEY: pem(platform.publicKey, 'spki'),
      WECHAT_API_V3_KEY: apiV3Key,
      WECHAT_PAY_URL: address,
      WECHAT_OAUTH_URL: address,
      PUBLIC_API_URL: 'https://api.test',
      API_KEY: 'k',
    },
  }
}
