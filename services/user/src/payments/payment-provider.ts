import type { RawAnswer } from '@im/contracts'

/** How long (ms) a provider may take to answer. */
export const providerTimeoutMs = 5000

export interface PaymentOrder {
  orderId: string
  cents: number
}

/** A payment that has arrived. */
export interface Payment extends PaymentOrder {
  /** The provider's number of it. */
  tradeId: string
}

export interface Bill {
  billNo: string
  openid: string
  cents: number
  /** When the money was taken (ms): the provider refuses a request that comes more than five minutes later. */
  madeAt: number
}

/** What became of a transfer. `waiting`: it may still become either. */
export type TransferState =
  | { state: 'paid'; paymentNo: string; at: number }
  | { state: 'waiting'; paymentNo: string; at: number; packageInfo?: string }
  | { state: 'refused'; reason: string }

/** What a provider tells of its own accord. */
export type Notification =
  | { kind: 'payment'; payment: Payment }
  | { kind: 'transfer'; billNo: string; transfer: TransferState }
  | { kind: 'nothing' }

/** A notification that is not from the provider, or that says something impossible. */
export class BadNotificationError extends Error {
  override readonly name = 'BadNotificationError'
}

/** Takes money from users. Errors that it throws mean that nobody knows what happened. */
export interface PaymentProvider {
  name: 'alipay' | 'wechat'
  /** What the app needs to let the user pay. */
  prepare(order: PaymentOrder): Promise<string>
  /** Asks what became of an order. */
  query(orderId: string): Promise<{ state: 'paid'; payment: Payment } | { state: 'open' | 'closed' }>
  /** Checks and reads a notification, given as its bytes. Throws BadNotificationError. */
  read(body: Uint8Array, headers: Readonly<Record<string, string | undefined>>): Notification
  /** What the provider takes for "received", and for "send it again". */
  accepted: RawAnswer
  rejected: RawAnswer
}

/** Sends money to users. Errors that it throws mean that nobody knows what happened. */
export interface TransferProvider {
  transfer(bill: Bill): Promise<TransferState>
  /** Asks what became of a transfer; undefined when the provider does not know the bill. */
  query(billNo: string): Promise<TransferState | undefined>
}

/** Turns the code of a WeChat login into the user's openid. */
export interface OpenidProvider {
  /** Throws ContractError WxCodeInvalid. */
  openidOf(code: string, userId: number): Promise<string>
}
