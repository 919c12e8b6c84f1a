import { createDecipheriv } from 'node:crypto'
import { RawAnswer } from '@im/contracts'
import {
  BadNotificationError,
  type Bill,
  type Notification,
  type PaymentOrder,
  type PaymentProvider,
  type TransferProvider,
  type TransferState,
} from './payment-provider.ts'
import { type WeChatClient, WeChatRefusal } from './wechat-client.ts'

export interface WeChatPaySettings {
  appId: string
  /** 32 characters; what notifications are encrypted with. */
  apiV3Key: string
  notifyUrl: string
  /** The scene that WeChat granted for transfers; `1000` is cash marketing. */
  transferScene: string
}

type Fields = Record<string, unknown>

const json = { 'content-type': 'application/json' }

/** WeChat Pay, API v3: payments in apps, and transfers to users (商家转账). */
export class WeChatPay implements PaymentProvider {
  readonly name = 'wechat'
  readonly accepted = new RawAnswer('', { status: 204 })
  readonly rejected = new RawAnswer('{"code":"FAIL","message":"rejected"}', { status: 400, headers: json })
  readonly transfers: TransferProvider
  readonly #client: WeChatClient
  readonly #settings: WeChatPaySettings

  constructor(client: WeChatClient, settings: WeChatPaySettings) {
    this.#client = client
    this.#settings = settings
    this.transfers = { transfer: (bill) => this.#transfer(bill), query: (billNo) => this.#queryTransfer(billNo) }
  }

  async prepare({ orderId, cents }: PaymentOrder): Promise<string> {
    const { appId, notifyUrl } = this.#settings
    const { merchantId, now } = this.#client.keys
    const { prepay_id: prepayId } = await this.#client.call('POST', '/v3/pay/transactions/app', {
      appid: appId,
      mchid: merchantId,
      description: '充值',
      out_trade_no: orderId,
      notify_url: notifyUrl,
      amount: { total: cents, currency: 'CNY' },
    })
    if (typeof prepayId !== 'string') throw new Error('WeChat gave no prepay_id')
    const timestamp = String(Math.floor(now() / 1000))
    // The app signs nothing: this is over the bare prepay_id, unlike payments in web pages.
    const sign = this.#client.sign(`${appId}\n${timestamp}\n${orderId}\n${prepayId}\n`)
    const call = { appid: appId, partnerid: merchantId, prepayid: prepayId, package: 'Sign=WXPay' }
    return JSON.stringify({ ...call, noncestr: orderId, timestamp, sign })
  }

  async query(orderId: string): ReturnType<PaymentProvider['query']> {
    const { merchantId } = this.#client.keys
    const path = `/v3/pay/transactions/out-trade-no/${orderId}?mchid=${merchantId}`
    const trade = await this.#client.call('GET', path).catch(unlessUnknown)
    if (!trade) return { state: 'closed' }
    const state = trade['trade_state']
    if (state !== 'SUCCESS') return { state: state === 'NOTPAY' || state === 'USERPAYING' ? 'open' : 'closed' }
    return { state: 'paid', payment: this.#paymentIn(trade) }
  }

  read(body: Uint8Array, headers: Readonly<Record<string, string | undefined>>): Notification {
    if (!this.#client.isSigned(body, (name) => headers[name])) throw new BadNotificationError('the signature is wrong')
    const notification = parse(Buffer.from(body).toString('utf8'))
    const content = parse(this.#decrypt(notification['resource']))
    switch (notification['event_type']) {
      case 'TRANSACTION.SUCCESS':
        return content['trade_state'] === 'SUCCESS'
          ? { kind: 'payment', payment: this.#paymentIn(content) }
          : { kind: 'nothing' }
      case 'MCHTRANSFER.BILL.FINISHED': {
        if (content['mch_id'] !== this.#client.keys.merchantId) throw new BadNotificationError('another merchant')
        return { kind: 'transfer', billNo: String(content['out_bill_no']), transfer: transferIn(content) }
      }
      default:
        return { kind: 'nothing' }
    }
  }

  async #transfer({ billNo, openid, cents, madeAt }: Bill): Promise<TransferState> {
    const { appId, notifyUrl, transferScene } = this.#settings
    try {
      const order = {
        appid: appId,
        out_bill_no: billNo,
        transfer_scene_id: transferScene,
        openid,
        transfer_amount: cents,
        transfer_remark: '提现',
        notify_url: notifyUrl,
        transfer_scene_report_infos: [
          { info_type: '活动名称', info_content: '余额提现' },
          { info_type: '奖励说明', info_content: '用户提现' },
        ],
      }
      return transferIn(await this.#client.call('POST', '/v3/fund-app/mch-transfer/transfer-bills', order, madeAt))
    } catch (error) {
      if (!(error instanceof WeChatRefusal)) throw error
      // A number that was used before is refused too, and then there is a bill.
      return (await this.#queryTransfer(billNo)) ?? { state: 'refused', reason: error.message }
    }
  }

  async #queryTransfer(billNo: string): Promise<TransferState | undefined> {
    const path = `/v3/fund-app/mch-transfer/transfer-bills/out-bill-no/${billNo}`
    const bill = await this.#client.call('GET', path).catch(unlessUnknown)
    return bill && transferIn(bill)
  }

  #paymentIn(trade: Fields) {
    const { appid, mchid, out_trade_no: orderId, transaction_id: tradeId } = trade
    const { total: cents, currency = 'CNY' } = (trade['amount'] ?? {}) as Fields
    if (appid !== this.#settings.appId || mchid !== this.#client.keys.merchantId)
      throw new BadNotificationError('it is for another app or merchant')
    if (
      typeof orderId !== 'string' ||
      typeof tradeId !== 'string' ||
      !Number.isSafeInteger(cents) ||
      currency !== 'CNY'
    )
      throw new BadNotificationError('it names no payment')
    return { orderId, tradeId, cents: cents as number }
  }

  /** AES-256-GCM; the last 16 bytes are the tag. */
  #decrypt(resource: unknown): string {
    try {
      const { ciphertext, nonce, associated_data: more = '' } = resource as Fields
      const bytes = Buffer.from(String(ciphertext), 'base64')
      const decipher = createDecipheriv('aes-256-gcm', this.#settings.apiV3Key, String(nonce), { authTagLength: 16 })
      decipher.setAuthTag(bytes.subarray(-16)).setAAD(Buffer.from(String(more)))
      return Buffer.concat([decipher.update(bytes.subarray(0, -16)), decipher.final()]).toString('utf8')
    } catch (error) {
      throw new BadNotificationError('it can not be decrypted', { cause: error })
    }
  }
}

/** Undefined when WeChat does not know what it was asked for. */
function unlessUnknown(error: unknown): undefined {
  if (error instanceof WeChatRefusal && error.status === 404) return undefined
  throw error
}

function parse(text: string): Fields {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new BadNotificationError('it is no JSON', { cause: error })
  }
  if (typeof value !== 'object' || value === null) throw new BadNotificationError('it is no object')
  return value as Fields
}

const refusedStates = new Set(['FAIL', 'CANCELLED'])

/** The state of a bill. Without one of the known ends it goes on. */
function transferIn(bill: Fields): TransferState {
  const { state, transfer_bill_no: paymentNo, create_time: at, fail_reason: reason, package_info: info } = bill
  if (refusedStates.has(String(state))) return { state: 'refused', reason: String(reason ?? state) }
  const known = { paymentNo: String(paymentNo ?? ''), at: Date.parse(String(at)) || Date.now() }
  if (state === 'SUCCESS') return { state: 'paid', ...known }
  return { state: 'waiting', ...known, ...(typeof info === 'string' ? { packageInfo: info } : {}) }
}
