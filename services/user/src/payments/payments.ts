import { readPrivateKey, readPublicKey } from '@im/service-kit'
import type { UserConfig } from '../config.ts'
import { Alipay } from './alipay.ts'
import type { OpenidProvider, PaymentProvider, TransferProvider } from './payment-provider.ts'
import { sandboxOpenids, sandboxTransfers } from './sandbox.ts'
import { WeChatClient } from './wechat-client.ts'
import { weChatOAuth } from './wechat-oauth.ts'
import { WeChatPay } from './wechat-pay.ts'

/** The providers that PAYMENT_PROVIDER names. */
export interface Payments {
  /** Payments count at once, and nobody is asked. */
  isSandbox: boolean
  alipay?: PaymentProvider
  wechat?: PaymentProvider
  transfers?: TransferProvider
  openids?: OpenidProvider
}

export const providersIn = ({ paymentProvider }: Pick<UserConfig, 'paymentProvider'>): ReadonlySet<string> =>
  new Set(paymentProvider.split(',').map((name) => name.trim()))

/** `checkConfig` has demanded the settings, and has read the keys. */
export function createPayments(config: UserConfig, now: () => number): Payments {
  const named = providersIn(config)
  const isSandbox = named.has('sandbox')
  const notifyUrl = (name: string) => new URL(`pay/callback/${name}`, withSlash(config.publicApiUrl)).href
  const wechat = named.has('wechat') ? createWeChatPay(config, notifyUrl('wechat'), now) : undefined
  const { weChatAppId: appId, weChatAppSecret: appSecret, weChatOAuthUrl: url } = config
  const openids = wechat && appId && appSecret ? weChatOAuth({ appId, appSecret, url }) : undefined
  return {
    isSandbox,
    alipay: named.has('alipay') ? createAlipay(config, notifyUrl('alipay'), now) : undefined,
    wechat,
    transfers: isSandbox ? sandboxTransfers(now) : wechat?.transfers,
    openids: isSandbox ? sandboxOpenids : openids,
  }
}

const withSlash = (url: string) => (url.endsWith('/') ? url : `${url}/`)

const createAlipay = (config: UserConfig, notifyUrl: string, now: () => number) =>
  new Alipay({
    appId: config.alipayAppId ?? '',
    privateKey: readPrivateKey(config.alipayPrivateKey ?? ''),
    alipayKey: readPublicKey(config.alipayPublicKey ?? ''),
    sellerId: config.alipaySellerId,
    gatewayUrl: config.alipayUrl,
    notifyUrl,
    now,
  })

function createWeChatPay(config: UserConfig, notifyUrl: string, now: () => number): WeChatPay {
  const client = new WeChatClient({
    merchantId: config.weChatMerchantId ?? '',
    merchantSerial: config.weChatMerchantSerial ?? '',
    privateKey: readPrivateKey(config.weChatMerchantKey ?? ''),
    platformSerial: config.weChatPlatformSerial ?? '',
    platformKey: readPublicKey(config.weChatPlatformKey ?? ''),
    baseUrl: config.weChatPayUrl,
    now,
  })
  const { weChatAppId: appId = '', weChatApiKey: apiV3Key = '', weChatTransferScene: transferScene } = config
  return new WeChatPay(client, { appId, apiV3Key, transferScene, notifyUrl })
}
