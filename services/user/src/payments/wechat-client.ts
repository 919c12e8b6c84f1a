import { createSign, createVerify, type KeyObject, randomBytes } from 'node:crypto'
import { providerTimeoutMs } from './payment-provider.ts'

export interface WeChatKeys {
  merchantId: string
  /** Serial number of the merchant certificate that `privateKey` belongs to. */
  merchantSerial: string
  privateKey: KeyObject
  /** Serial number of WeChat's certificate, or the `PUB_KEY_ID_…` of its public key. */
  platformSerial: string
  platformKey: KeyObject
  baseUrl: string
  now: () => number
}

/** WeChat refused a request, and did nothing. */
export class WeChatRefusal extends Error {
  override readonly name = 'WeChatRefusal'
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(`${code}: ${message}`)
    this.status = status
    this.code = code
  }
}

/** Clocks of WeChat and us may differ by this much (seconds). */
const clockSkew = 300
const longestAnswer = 64 * 1024

/** Signs requests to WeChat Pay (API v3) and checks what WeChat signed. */
export class WeChatClient {
  readonly keys: WeChatKeys

  constructor(keys: WeChatKeys) {
    this.keys = keys
  }

  sign(text: string): string {
    return createSign('RSA-SHA256').update(text).sign(this.keys.privateKey, 'base64')
  }

  /**
   * Throws WeChatRefusal when WeChat says no. Any other error leaves open what happened. WeChat refuses what was signed more than
   * five minutes ago; `signedAt` (ms) is now unless it is given.
   */
  async call(
    method: 'GET' | 'POST',
    path: string,
    content?: object,
    signedAt = this.keys.now(),
  ): Promise<Record<string, unknown>> {
    const body = content ? JSON.stringify(content) : ''
    const answer = await fetch(new URL(path, this.keys.baseUrl), {
      method,
      headers: {
        accept: 'application/json',
        'user-agent': 'yingchuang-im',
        authorization: this.#authorization(method, path, body, signedAt),
        ...(content ? { 'content-type': 'application/json' } : {}),
      },
      ...(content ? { body } : {}),
      redirect: 'error',
      signal: AbortSignal.timeout(providerTimeoutMs),
    })
    const text = await answer.text()
    if (text.length > longestAnswer) throw new Error('WeChat sent a long answer')
    if (answer.status >= 500) throw new Error(`WeChat answered ${answer.status}`)
    if (!answer.ok) throw refusalIn(answer.status, text)
    if (!this.isSigned(text, (name) => answer.headers.get(name) ?? undefined))
      throw new Error('the answer is not signed by WeChat')
    return JSON.parse(text) as Record<string, unknown>
  }

  /** Whether WeChat signed these bytes a short while ago. */
  isSigned(body: string | Uint8Array, header: (name: string) => string | undefined): boolean {
    const [timestamp = '', nonce = '', serial = '', signature = ''] = [
      'wechatpay-timestamp',
      'wechatpay-nonce',
      'wechatpay-serial',
      'wechatpay-signature',
    ].map(header)
    const { platformSerial, platformKey, now } = this.keys
    if (serial !== platformSerial || !/^\d{1,12}$/.test(timestamp)) return false
    if (Math.abs(now() / 1000 - Number(timestamp)) > clockSkew) return false
    return createVerify('RSA-SHA256')
      .update(`${timestamp}\n${nonce}\n`)
      .update(body)
      .update('\n')
      .verify(platformKey, signature, 'base64')
  }

  #authorization(method: string, path: string, body: string, signedAt: number): string {
    const { merchantId, merchantSerial } = this.keys
    const timestamp = Math.floor(signedAt / 1000)
    const nonce = randomBytes(16).toString('hex')
    const signature = this.sign(`${method}\n${path}\n${timestamp}\n${nonce}\n${body}\n`)
    return (
      `WECHATPAY2-SHA256-RSA2048 mchid="${merchantId}",nonce_str="${nonce}",signature="${signature}",` +
      `timestamp="${timestamp}",serial_no="${merchantSerial}"`
    )
  }
}

function refusalIn(status: number, text: string): Error {
  try {
    const { code, message } = JSON.parse(text) as { code?: string; message?: string }
    if (code) return new WeChatRefusal(status, code, message ?? '')
  } catch {
    // Something between WeChat and us answered.
  }
  return new Error(`WeChat answered ${status} without a code`)
}
