import { createSign, createVerify, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

const textOf = (params: Record<string, string>, without: readonly string[]) =>
  Object.keys(params)
    .filter((key) => !without.includes(key) && params[key] !== '')
    .sort()
    .map((key) => `${key}=${params[key]}`)
    .join('&')

export const pem = (key: KeyObject, type: 'pkcs8' | 'spki') => String(key.export({ type, format: 'pem' }))

interface Trade {
  total_amount: string
  trade_no: string
  trade_status: string
}

/**
 * Alipay as its documents describe it: it verifies order strings and requests with the app's public key, signs its answers and
 * notifications with its own, and sends a notification again until the answer is exactly `success`.
 */
export async function startAlipay(t: Test) {
  const app = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const own = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const trades = new Map<string, Trade>()
  const script = { mode: 'answers' as 'answers' | 'hangs' | 'html' | 'wrong signature', queries: 0 }
  const appId = '2021000000000001'
  const sellerId = '2088000000000001'
  const sign = (text: string, key = own.privateKey) => createSign('RSA-SHA256').update(text).sign(key, 'base64')

  /** Throws what the real gateway would answer. */
  function verifyRequest(params: Record<string, string>): Record<string, string> {
    const known = ['app_id', 'method', 'charset', 'sign_type', 'sign', 'timestamp', 'version', 'biz_content']
    for (const name of known) if (!params[name]) throw new Error(`isv.missing-${name}`)
    if (params['app_id'] !== appId) throw new Error('isv.invalid-app-id')
    if (params['sign_type'] !== 'RSA2' || params['version'] !== '1.0') throw new Error('isv.invalid-sign-type')
    const signed = createVerify('RSA-SHA256').update(textOf(params, ['sign']))
    if (!signed.verify(app.publicKey, params['sign'] ?? '', 'base64')) throw new Error('isv.invalid-signature')
    const at = Date.parse(`${(params['timestamp'] ?? '').replace(' ', 'T')}+08:00`)
    if (!(Math.abs(Date.now() - at) < 600_000)) throw new Error('isv.invalid-timestamp')
    return JSON.parse(params['biz_content'] ?? '') as Record<string, string>
  }

  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    if (script.mode === 'hangs') return
    if (script.mode === 'html') return void response.end('<html>busy</html>')
    if (request.method !== 'POST' || request.url !== '/gateway.do') return void response.writeHead(404).end()
    const params = Object.fromEntries(new URLSearchParams(body)) as Record<string, string>
    let result: object
    try {
      const { out_trade_no: orderId = '' } = verifyRequest(params)
      if (params['method'] !== 'alipay.trade.query') throw new Error('isv.invalid-method')
      script.queries++
      const trade = trades.get(orderId)
      result = trade
        ? { code: '10000', msg: 'Success', out_trade_no: orderId, ...trade }
        : { code: '40004', msg: 'Business Failed', sub_code: 'ACQ.TRADE_NOT_EXIST', sub_msg: '交易不存在' }
    } catch (error) {
      result = { code: '40002', msg: 'Invalid Arguments', sub_code: (error as Error).message }
    }
    // Written with blanks that a second JSON.stringify would lose.
    const text = JSON.stringify(result, null, 1)
    const signature = sign(script.mode === 'wrong signature' ? `${text} ` : text)
    response.end(`{"alipay_trade_query_response":${text},"sign":"${signature}"}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/gateway.do`

  return {
    trades,
    script,
    sellerId,
    env: {
      PAYMENT_PROVIDER: 'alipay',
      ALIPAY_APP_ID: appId,
      ALIPAY_PRIVATE_KEY: pem(app.privateKey, 'pkcs8').replaceAll('\n', '\\n'),
      ALIPAY_PUBLIC_KEY: own.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
      ALIPAY_SELLER_ID: sellerId,
      ALIPAY_URL: url,
      PUBLIC_API_URL: 'https://api.test',
    },
    /** What the Alipay app does with an order string: checks it, and the user pays. */
    pay(orderString: string): { orderId: string; amount: string; notifyUrl: string } {
      const params = Object.fromEntries(
        orderString.split('&').map((pair) => {
          const at = pair.indexOf('=')
          return [pair.slice(0, at), decodeURIComponent(pair.slice(at + 1))]
        }),
      ) as Record<string, string>
      const content = verifyRequest(params)
      if (params['method'] !== 'alipay.trade.app.pay' || content['product_code'] !== 'QUICK_MSECURITY_PAY')
        throw new Error('not an app payment')
      const { out_trade_no: orderId = '', total_amount: amount = '' } = content
      if (!/^\d+\.\d{2}$/.test(amount)) throw new Error('the amount has no two decimals')
      trades.set(orderId, { total_amount: amount, trade_no: `t${orderId}`, trade_status: 'TRADE_SUCCESS' })
      return { orderId, amount, notifyUrl: params['notify_url'] ?? '' }
    },
    /** The bytes of a notification. `more` replaces fields before it is signed, `tampered` after. */
    notification(orderId: string, more: Record<string, string> = {}, tampered: Record<string, string> = {}): string {
      const params: Record<string, string> = {
        notify_time: '2026-11-26 10:00:00',
        notify_type: 'trade_status_sync',
        notify_id: 'n1',
        app_id: appId,
        charset: 'utf-8',
        version: '1.0',
        out_trade_no: orderId,
        seller_id: sellerId,
        subject: '充值 + 100% & more=x',
        body: '',
        ...trades.get(orderId),
        ...more,
      }
      const signed = { ...params, sign: sign(textOf(params, ['sign', 'sign_type'])), sign_type: 'RSA2', ...tampered }
      return new URLSearchParams(signed).toString()
    },
  }
}
