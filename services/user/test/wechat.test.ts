import { createHash, createVerify } from 'node:crypto'
import { wallet } from '@im/contracts/user'
import { failure } from '@im/service-kit/testing'
import { MongoNetworkError } from 'mongodb'
import { test } from 'tap'
import { askProviders } from '../src/wallet/ask-providers.ts'
import { startWeChat } from './providers/wechat-server.ts'
import { type Person, startUser } from './start-user.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

test('WeChat Pay', async (t) => {
  const wechat = await startWeChat(t)
  const user = await startUser(t, wechat.env)
  const { api, deps, url } = user
  const alice = await user.person('alice')
  const as = { as: alice.caller }
  const balance = async () => (await deps.ledger.of(alice.userId)).balance
  const notify = async ({ body, headers }: { body: string | Uint8Array; headers: Record<string, string> }) => {
    const all = { 'content-type': 'application/json', ...headers }
    const answer = await fetch(`${url}/pay/callback/wechat`, { method: 'POST', headers: all, body })
    return { status: answer.status, text: await answer.text() }
  }
  const order = async (money: string) => {
    const { payInfo = '', orderId = '' } = await api.call(wallet.recharge, { money, type: 2 }, as)
    return { orderId, call: JSON.parse(payInfo) as Record<string, string> }
  }
  const paid = (orderId: string, more: object = {}) =>
    wechat.notification('TRANSACTION.SUCCESS', { ...wechat.transaction(orderId), ...more })

  t.test('an order is made with WeChat, and the app gets a call that WeChat accepts', async (t) => {
    const { orderId, call } = await order('3.21')
    t.match(wechat.orders.get(orderId), { total: 321, prepayId: call['prepayid'] })
    t.match(call, { appid: 'wx1234567890', partnerid: '1900000001', package: 'Sign=WXPay' })
    const { appid, timestamp, noncestr, prepayid, sign = '' } = call
    const text = `${appid}\n${timestamp}\n${noncestr}\n${prepayid}\n`
    t.ok(createVerify('RSA-SHA256').update(text).verify(wechat.merchant.publicKey, sign, 'base64'))
    t.equal((await notify(paid(orderId))).status, 204)
    t.equal(await balance(), 321)
    for (const { status } of await Promise.all([1, 2, 3].map(() => notify(paid(orderId))))) t.equal(status, 204)
    t.equal(await balance(), 321, 'told four times, credited once')
  })

  t.test('what is forged or does not fit the order is refused', async (t) => {
    const before = await balance()
    const { orderId } = await order('5')
    const good = paid(orderId)
    const probe = 'WECHATPAY/SIGNTEST/abc'
    const { orderId: ofAnother } = await order('5')
    await deps.db
      .collection<{ _id: string }>('recharges')
      .updateOne({ _id: ofAnother }, { $set: { provider: 'alipay' } })
    const stale = String(Math.floor(Date.now() / 1000) - 400)
    const bad: [what: string, told: { body: string; headers: Record<string, string> }][] = [
      ['another body', { ...good, body: JSON.stringify(JSON.parse(good.body)) }],
      ['a probe', { ...good, headers: { ...good.headers, 'wechatpay-signature': probe } }],
      ['an unknown serial', { ...good, headers: { ...good.headers, 'wechatpay-serial': 'X' } }],
      ['another time', { ...good, headers: { ...good.headers, 'wechatpay-timestamp': stale } }],
      ['signed too long ago', { ...good, headers: wechat.signedHeaders(good.body, undefined, 400) }],
      ['no headers', { ...good, headers: {} }],
      ['another key', { ...good, headers: wechat.signedHeaders(good.body, wechat.merchant.privateKey) }],
      ['another amount', paid(orderId, { amount: { total: 499, currency: 'CNY' } })],
      ['no whole amount', paid(orderId, { amount: { total: '500', currency: 'CNY' } })],
      ['another currency', paid(orderId, { amount: { total: 500, currency: 'USD' } })],
      ['another merchant', paid(orderId, { mchid: '1' })],
      ['another app', paid(orderId, { appid: 'wx0' })],
      ['an order of another provider', paid(ofAnother)],
      ['an unknown order', paid(orderId, { out_trade_no: 'f'.repeat(32) })],
      ...['{"event_type":"TRANSACTION.SUCCESS"}', '{"resource":{}}', 'null', '[]', ''].map(
        (body): (typeof bad)[number] => [`signed, but: ${body}`, { body, headers: wechat.signedHeaders(body) }],
      ),
      ['encrypted with another key', wechat.notification('TRANSACTION.SUCCESS', {}, 'x'.repeat(32))],
    ]
    for (const [what, told] of bad) {
      const { status, text } = await notify(told)
      t.strictSame([status, JSON.parse(text).code], [400, 'FAIL'], what)
    }
    t.equal((await notify(paid(orderId, { trade_state: 'CLOSED' }))).status, 204)
    t.equal((await notify(wechat.notification('REFUND.SUCCESS', {}))).status, 204)
    t.equal(await balance(), before)
    const { byId } = deps.recharges
    deps.recharges.byId = () => Promise.reject(new MongoNetworkError('away'))
    t.equal((await notify(good)).status, 503, 'what cannot be stored now is to be told again')
    deps.recharges.byId = byId
    t.equal((await notify(good)).status, 204, 'and then the right one')
    t.equal(await balance(), before + 500)
  })

  t.test('WeChat is asked about orders that it did not tell of', async (t) => {
    const before = await balance()
    const { orderId } = await order('6')
    const stored = deps.db.collection<{ _id: string; status: string }>('recharges')
    const ask = async () => {
      await stored.updateOne({ _id: orderId }, { $set: { checkAt: new Date(0) } })
      await askProviders(deps)
      return (await stored.findOne({ _id: orderId }))?.status
    }
    t.equal(await ask(), 'open')
    const known = wechat.orders.get(orderId)
    if (known) known.state = 'SUCCESS'
    wechat.script.mode = 'unsigned'
    t.equal(await ask(), 'open', 'an answer that WeChat did not sign')
    wechat.script.mode = 'answers'
    t.equal(await ask(), 'paid')
    t.equal(await balance(), before + 600)
  })

  t.test('a login code binds an account once, and the app may send it again', async (t) => {
    wechat.codes.set('c1', { openid: 'openid-alice', used: false })
    const bind = (code: string, who: Person = alice) => api.call(wallet.bindWeChat, { code }, { as: who.caller })
    t.strictSame(await bind('c1'), { openid: 'openid-alice' })
    t.strictSame(await bind('c1'), { openid: 'openid-alice' }, 'the answer was lost')
    const bob = await user.person('bob')
    await t.rejects(bind('c1', bob), failure('WxCodeInvalid'))
    await t.rejects(bind('unknown'), failure('WxCodeInvalid'))
  })

  t.test('withdrawals', async (t) => {
    // A second of its own for each, because a secret is used once.
    let second = Math.floor(Date.now() / 1000)
    const withdraw = (amount: string) => {
      const time = String(second--)
      const secret = md5(`kopenid-alice${alice.userId}${md5(`${alice.token}${amount}${time}`)}`)
      return api.call(wallet.withdraw, { amount, time, secret }, { ...as, token: alice.token })
    }
    const ask = async () => {
      await deps.db.collection('withdrawals').updateMany({}, { $set: { checkAt: new Date(0) } })
      await askProviders(deps)
    }
    const before = await balance()
    const answer = await withdraw('100')
    t.match(wechat.bills.get(answer.partner_trade_no), { transfer_amount: 99, openid: 'openid-alice' })
    t.match(answer, { payment_no: `w${answer.partner_trade_no}`, payment_time: '2026-11-26 10:00:00' })
    t.equal(await balance(), before - 100)

    for (const refusal of ['NOT_ENOUGH', 'FAIL']) {
      wechat.script.transfer = refusal
      await t.rejects(withdraw('100'), failure('WithdrawFailed'), refusal)
      t.equal(await balance(), before - 100, `${refusal}: the money is back`)
    }

    wechat.script.transfer = 'cut after'
    await t.rejects(withdraw('100'), failure('WithdrawFailed'))
    t.equal(await balance(), before - 200)
    await t.rejects(withdraw('50'), failure('WithdrawFailed'), 'one at a time')
    await ask()
    wechat.script.transfer = 'SUCCESS'
    await withdraw('50')
    t.equal(await balance(), before - 250, 'no second bill for the first one')

    wechat.script.transfer = 'cut before'
    await t.rejects(withdraw('100'), failure('WithdrawFailed'))
    await ask()
    t.equal(await balance(), before - 350, 'WeChat may still get it')
    await deps.db.collection('withdrawals').updateMany({}, { $set: { createdAt: new Date(0) } })
    await ask()
    t.equal(await balance(), before - 250)

    wechat.script.transfer = 'WAIT_USER_CONFIRM'
    let waiting = await withdraw('100')
    t.equal(waiting.package_info, 'affffddafdfafddffda==')
    const told = (state: string) => {
      const bill = { mch_id: '1900000001', out_bill_no: waiting.partner_trade_no, transfer_bill_no: 'w', state }
      return notify(wechat.notification('MCHTRANSFER.BILL.FINISHED', bill))
    }
    t.equal((await told('CANCELLED')).status, 204)
    t.equal((await told('CANCELLED')).status, 204)
    t.equal(await balance(), before - 250, 'given back once')
    t.equal((await told('SUCCESS')).status, 204)
    t.equal(await balance(), before - 250, 'what is settled stays so')
    const bills = deps.db.collection<{ _id: string; status: string; paidAfterRefusal?: string }>('withdrawals')
    const { status, paidAfterRefusal } = (await bills.findOne({ _id: waiting.partner_trade_no })) ?? {}
    t.strictSame([status, paidAfterRefusal], ['refused', 'w'], 'an operator sees that the money is gone twice')
    wechat.script.transfer = 'WAIT_USER_CONFIRM'
    waiting = await withdraw('50')
    t.strictSame([(await told('SUCCESS')).status, (await told('SUCCESS')).status], [204, 204])
    const paid = await bills.findOne({ _id: waiting.partner_trade_no })
    t.strictSame([paid?.status, paid?.paidAfterRefusal], ['paid', undefined], 'told twice is not gone twice')

    wechat.script.transfer = 'SUCCESS'
    const known = wechat.bills.size
    // The process stands still when it has taken the money, until others have given up the bill.
    const { withdrawals } = deps
    const add = withdrawals.add.bind(withdrawals)
    withdrawals.add = async (bill, change) => {
      await add(bill, change)
      withdrawals.add = add
      user.passSeconds(700)
    }
    user.passSeconds(-700)
    second -= 700
    await t.rejects(withdraw('100'), failure('WithdrawFailed'))
    t.equal(wechat.bills.size, known, 'WeChat refuses what comes late')
    t.equal(await balance(), before - 300)
  })
})

test('a service with half a provider does not start', async (t) => {
  await t.rejects(startUser(t, { PAYMENT_PROVIDER: 'wechat' }), /WECHAT_MERCHANT_KEY must be set for wechat/)
  await t.rejects(startUser(t, { PAYMENT_PROVIDER: 'alipay' }), /ALIPAY_PUBLIC_KEY must be set for alipay/)
  await t.rejects(startUser(t, { ALIPAY_PRIVATE_KEY: 'nonsense' }), /ALIPAY_PRIVATE_KEY is no private key/)
  await t.rejects(startUser(t, { WECHAT_PLATFORM_KEY: 'nonsense' }), /WECHAT_PLATFORM_KEY is no public key/)
  await t.rejects(startUser(t, { SMS_PROVIDER: 'tencent' }), /SMS_APP_ID must be set for tencent/)
})
