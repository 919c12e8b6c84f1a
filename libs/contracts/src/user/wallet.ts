import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Double, Int, Text } from '../param-types.ts'
import { Raw } from '../result-types.ts'
import { payPasswordGuesses } from './passwords.ts'

const balance = Type.Number({ description: 'yuan' })

export const wallet = contract('user', {
  recharge: {
    path: '/user/Recharge',
    summary: { zh: '充值', en: 'Pay money in' },
    auth: 'user',
    params: Type.Object({
      money: Double({ minimum: 0.01, maximum: 50_000, description: 'yuan, at most two decimals' }),
      type: Int({ description: '1 Alipay, 2 WeChat' }),
    }),
    result: Type.Object({
      balance,
      orderId: Type.Optional(Type.String({ description: 'absent when the money is there already' })),
      payInfo: Type.Optional(
        Type.String({ description: 'what the app gives to the SDK of the provider: order string, or JSON for WeChat' }),
      ),
    }),
    errors: ['PayTypeInvalid', 'FeatureDisabled'],
    timeoutMs: 10_000,
    limits: [{ by: 'user', max: 30, seconds: 3600 }],
  },
  getBalance: {
    path: '/user/getUserMoeny',
    summary: { zh: '获取余额', en: 'Balance' },
    auth: 'user',
    safe: true,
    params: Type.Object({}),
    result: Type.Object({ balance }),
  },
  bindWeChat: {
    path: '/user/bind/wxcode',
    summary: { zh: '绑定微信', en: 'Bind a WeChat account' },
    auth: 'user',
    params: Type.Object({ code: Text({ trim: true, maxLength: 512, description: 'of the WeChat login' }) }),
    result: Type.Object({ openid: Type.String() }),
    errors: ['FeatureDisabled', 'WxCodeInvalid'],
    timeoutMs: 10_000,
    limits: [{ by: 'user', max: 20, seconds: 3600 }],
  },
  withdraw: {
    path: '/transfer/wx/pay',
    methods: ['POST'],
    summary: { zh: '微信提现', en: 'Withdraw money to WeChat' },
    auth: 'user',
    signature: 'own',
    params: Type.Object({
      amount: Text({ trim: true, maxLength: 9, pattern: '^[0-9]{1,9}$', description: 'whole fen' }),
      time: Text({ trim: true, maxLength: 13, pattern: '^[0-9]{1,13}$', description: 'seconds or milliseconds' }),
      secret: Text({
        trim: true,
        maxLength: 64,
        pattern: '^([0-9a-fA-F]{32}|[0-9a-fA-F]{64})$',
        description: 'used once',
      }),
    }),
    result: Type.Object({
      partner_trade_no: Type.String(),
      payment_no: Type.String(),
      payment_time: Type.String({ description: 'yyyy-MM-dd HH:mm:ss, UTC+8' }),
      package_info: Type.Optional(
        Type.String({ description: 'present when the user has to confirm in WeChat: what the app opens WeChat with' }),
      ),
    }),
    errors: ['FeatureDisabled', 'WxNotBound', 'SignatureInvalid', 'AmountTooSmall', 'BalanceTooLow', 'WithdrawFailed'],
    timeoutMs: 15_000,
    // One form of the secret contains the pay password, so a wrong secret may be a guess at it.
    limits: [
      { by: 'user', max: 20, seconds: 3600 },
      { ...payPasswordGuesses, failures: ['SignatureInvalid'] },
    ],
  },
})

/** Called by the payment providers. The answers are theirs, too. */
export const payCallbacks = contract('user', {
  receivePayment: {
    path: '/pay/callback/:provider',
    methods: ['POST'],
    summary: { zh: '支付结果通知', en: 'A payment provider tells what became of a payment' },
    auth: 'none',
    signature: 'none',
    body: 'raw',
    answer: 'callback',
    headers: ['wechatpay-timestamp', 'wechatpay-nonce', 'wechatpay-serial', 'wechatpay-signature'],
    params: Type.Object({ provider: Text({ trim: true, maxLength: 16, description: 'alipay or wechat' }) }),
    result: Raw('text/plain'),
    errors: ['FeatureDisabled'],
  },
})
