import { createSign, createVerify, type KeyObject } from 'node:crypto'
import { RawAnswer } from '@im/contracts'
import {
  BadNotificationError,
  type Notification,
  type Payment,
  type PaymentOrder,
  type PaymentProvider,
  providerTimeoutMs,
} from './payment-provider.ts'
import { centsOf, chinaTime, yuanText } from './yuan.ts'

export interface AlipaySettings {
  appId: string
  /** Ours; Alipay has the public one. */
  privateKey: KeyObject
  /** Alipay's, not that of our app. */
  alipayKey: KeyObject
  /** Our merchant id; when it is set, notifications must name it. */
  sellerId?: string
  gatewayUrl: string
  notifyUrl: string
  now: () => number
}

const paidStates = new Set(['TRADE_SUCCESS', 'TRADE_FINISHED'])
const text = { 'content-type': 'text/plain' }

/** `key=value` of the parameters that have a value, sorted and joined: what signatures are over. */
const signedText = (params: Readonly<Record<string, string>>) =>
  Object.keys(params)
    .filter((key) => params[key] !== '')
    .sort()
    .map((key) => `${key}=${params[key]}`)
    .join('&')

/**
 * Alipay's app payment (alipay.trade.app.pay). The order string is signed here and given to the app; Alipay is not called. The
 * official library is not used: it takes the algorithm of a notification's signature from the notification, and its timestamps
 * from the server's time zone.
 */
export class Alipay implements PaymentProvider {
  readonly name = 'alipay'
  readonly accepted = new RawAnswer('success', { headers: text })
  readonly rejected = new RawAnswer('failure', { headers: text })
  readonly #settings: AlipaySettings

  constructor(settings: AlipaySettings) {
    this.#settings = settings
  }

  async prepare({ orderId, cents }: PaymentOrder): Promise<string> {
    const params = this.#signed('alipay.trade.app.pay', {
      out_trade_no: orderId,
      total_amount: yuanText(cents),
      subject: '充值',
      product_code: 'QUICK_MSECURITY_PAY',
      timeout_express: '2h',
    })
    return Object.entries(params)
      .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
      .join('&')
  }

  async query(orderId: string): ReturnType<PaymentProvider['query']> {
    const body = new URLSearchParams(this.#signed('alipay.trade.query', { out_trade_no: orderId }))
    const answer = await fetch(this.#settings.gatewayUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded;charset=utf-8' },
      body: body.toString(),
      redirect: 'error',
      signal: AbortSignal.timeout(providerTimeoutMs),
    })
    const result = this.#readAnswer(await answer.text(), 'alipay_trade_query_response')
    // The user has not opened the order in the Alipay app yet.
    if (result['sub_code'] === 'ACQ.TRADE_NOT_EXIST') return { state: 'open' }
    if (result['code'] !== '10000') throw new Error(`Alipay answered ${result['code']} ${result['sub_code'] ?? ''}`)
    if (result['trade_status'] === 'TRADE_CLOSED') return { state: 'closed' }
    if (!paidStates.has(result['trade_status'] ?? '')) return { state: 'open' }
    const payment = paymentIn(result)
    if (!payment || payment.orderId !== orderId) throw new Error('Alipay answered about another order')
    return { state: 'paid', payment }
  }

  read(body: Uint8Array): Notification {
    const given = new URLSearchParams(Buffer.from(body).toString('utf8'))
    const { sign = '', sign_type: _type, ...params } = Object.fromEntries(given) as Record<string, string>
    if (!this.#verify(signedText(params), sign)) throw new BadNotificationError('the signature is wrong')
    const { appId, sellerId } = this.#settings
    if (params['app_id'] !== appId || (sellerId && params['seller_id'] !== sellerId))
      throw new BadNotificationError('it is for another app or seller')
    if (!paidStates.has(params['trade_status'] ?? '')) return { kind: 'nothing' }
    const payment = paymentIn(params)
    if (!payment) throw new BadNotificationError('it names no payment')
    return { kind: 'payment', payment }
  }

  #signed(method: string, content: Record<string, string>): Record<string, string> {
    const { appId, privateKey, notifyUrl, now } = this.#settings
    const params: Record<string, string> = {
      app_id: appId,
      method,
      format: 'JSON',
      charset: 'utf-8',
      sign_type: 'RSA2',
      timestamp: chinaTime(now()),
      version: '1.0',
      notify_url: notifyUrl,
      biz_content: JSON.stringify(content),
    }
    return { ...params, sign: createSign('RSA-SHA256').update(signedText(params)).sign(privateKey, 'base64') }
  }

  /** The signature is over the text of the member as it was sent. */
  #readAnswer(answer: string, member: string): Record<string, string | undefined> {
    const parsed = JSON.parse(answer) as Record<string, Record<string, string> | undefined> & { sign?: string }
    const begin = answer.indexOf('{', answer.indexOf(`"${member}"`) + member.length)
    const end = answer.lastIndexOf('}', answer.lastIndexOf('"sign"')) + 1
    const result = parsed[member]
    if (!result || !this.#verify(answer.slice(begin, end), parsed.sign ?? ''))
      throw new Error('the answer is not signed by Alipay')
    return result
  }

  #verify(signed: string, sign: string): boolean {
    return createVerify('RSA-SHA256').update(signed).verify(this.#settings.alipayKey, sign, 'base64')
  }
}

function paymentIn(params: Readonly<Record<string, string | undefined>>): Payment | undefined {
  const { out_trade_no: orderId, trade_no: tradeId, total_amount: amount = '' } = params
  const cents = centsOf(amount)
  return orderId && tradeId && cents !== undefined ? { orderId, tradeId, cents } : undefined
}
