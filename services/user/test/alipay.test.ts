import { wallet } from '@im/contracts/user'
import { test } from 'tap'
import { askProviders } from '../src/wallet/ask-providers.ts'
import { startAlipay } from './providers/alipay-server.ts'
import { startUser } from './start-user.ts'

test('Alipay', async (t) => {
  const alipay = await startAlipay(t)
  const user = await startUser(t, alipay.env)
  const { api, deps, url } = user
  const person = await user.person('alice')
  const as = { as: person.caller }
  const recharge = async (money: string) => {
    const { payInfo = '', ...more } = await api.call(wallet.recharge, { money, type: 1 }, as)
    return { ...more, ...alipay.pay(payInfo) }
  }
  const notify = async (body: string) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
    const answer = await fetch(`${url}/pay/callback/alipay`, { method: 'POST', headers, body })
    return { status: answer.status, text: await answer.text() }
  }
  const balance = async () => (await deps.ledger.of(person.userId)).balance
  const success = { status: 200, text: 'success' }
  const failure = { status: 200, text: 'failure' }

  t.test('an order is signed for the app, and credited when Alipay says that it is paid', async (t) => {
    const order = await recharge('12.3')
    t.strictSame([order.balance, order.amount], [0, '12.30'])
    t.equal(order.notifyUrl, 'https://api.test/pay/callback/alipay')
    t.strictSame(await notify(alipay.notification(order.orderId, { trade_status: 'WAIT_BUYER_PAY' })), success)
    t.equal(await balance(), 0)
    t.strictSame(await notify(alipay.notification(order.orderId)), success)
    t.equal(await balance(), 1230)
    const again = await Promise.all([1, 2, 3].map(() => notify(alipay.notification(order.orderId))))
    t.ok(again.every(({ text }) => text === 'success'))
    t.strictSame(await notify(alipay.notification(order.orderId, { trade_status: 'TRADE_FINISHED' })), success)
    t.equal(await balance(), 1230, 'told five times, credited once')
  })

  t.test('what is forged or does not fit the order is refused', async (t) => {
    const before = await balance()
    const { orderId } = await recharge('5')
    const bad: [what: string, body: string][] = [
      ['another amount', alipay.notification(orderId, {}, { total_amount: '500.00' })],
      ['another order', alipay.notification(orderId, {}, { out_trade_no: 'f'.repeat(32) })],
      ['no signature', alipay.notification(orderId, {}, { sign: '' })],
      ['SHA-1', alipay.notification(orderId, {}, { sign_type: 'RSA', sign: 'QUJD' })],
      ['signed: another amount', alipay.notification(orderId, { total_amount: '4.99' })],
      [
        'signed: an unknown order',
        alipay.notification('f'.repeat(32), { total_amount: '1.00', trade_no: 'x', trade_status: 'TRADE_SUCCESS' }),
      ],
      ['signed: another app', alipay.notification(orderId, { app_id: '1' })],
      ['signed: another seller', alipay.notification(orderId, { seller_id: '1' })],
      ['signed: no amount', alipay.notification(orderId, { total_amount: 'much' })],
      ['nothing', ''],
      ['nonsense', '%%%=&&&'],
    ]
    for (const [what, body] of bad) {
      const answer = await notify(body)
      const isRefused = answer.text === 'failure' || what === 'nothing'
      t.ok(isRefused && answer.status < 500, `${what}: ${answer.text}`)
    }
    t.equal(await balance(), before)
    t.strictSame(await notify(alipay.notification(orderId)), success, 'and then the right one')
    t.equal(await balance(), before + 500)
    t.strictSame(await notify(alipay.notification(orderId, { total_amount: '9.00' })), failure)
  })

  t.test('Alipay is asked about orders that it did not tell of, until it answers', async (t) => {
    const before = await balance()
    await recharge('7')
    const unpaid = await api.call(wallet.recharge, { money: 8, type: 1 }, as)
    for (const mode of ['html', 'wrong signature'] as const) {
      alipay.script.mode = mode
      user.passSeconds(3601)
      await askProviders(deps)
      t.equal(await balance(), before, mode)
    }
    alipay.script.mode = 'answers'
    t.equal(unpaid.balance, before / 100)
  })
})

test('an order that Alipay never told of is found paid, and an old one is asked about no more', async (t) => {
  const alipay = await startAlipay(t)
  const { api, deps, person, url } = await startUser(t, alipay.env)
  const { caller, userId } = await person('alice')
  const { payInfo = '' } = await api.call(wallet.recharge, { money: 7, type: 1 }, { as: caller })
  const unpaid = await api.call(wallet.recharge, { money: 8, type: 1 }, { as: caller })
  const { orderId } = alipay.pay(payInfo)
  const due = (after: number) =>
    deps.db.collection<{ _id: string }>('recharges').updateMany({}, { $set: { checkAt: new Date(Date.now() - after) } })
  await due(1)
  await askProviders(deps)
  t.equal((await deps.ledger.of(userId)).balance, 700)
  const rows = deps.db.collection<{ _id: string; status: string; createdAt: Date }>('recharges')
  t.equal((await rows.findOne({ _id: orderId }))?.status, 'paid')
  t.equal((await rows.findOne({ _id: unpaid.orderId ?? '' }))?.status, 'open')
  const soFar = alipay.script.queries
  await askProviders(deps)
  t.equal(alipay.script.queries, soFar, 'not again at once')
  await rows.updateOne({ _id: unpaid.orderId ?? '' }, { $set: { createdAt: new Date(0) } })
  await due(1)
  await askProviders(deps)
  t.equal((await rows.findOne({ _id: unpaid.orderId ?? '' }))?.status, 'closed')
  const asked = alipay.script.queries
  await due(1)
  await askProviders(deps)
  t.equal(alipay.script.queries, asked)
  const late = alipay.notification(unpaid.orderId ?? '', {
    total_amount: '8.00',
    trade_no: 'late',
    trade_status: 'TRADE_SUCCESS',
  })
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const notify = async () =>
    await (await fetch(`${url}/pay/callback/alipay`, { method: 'POST', headers, body: late })).text()
  t.equal(await notify(), 'success')
  t.equal((await deps.ledger.of(userId)).balance, 1500, 'late money counts, too')
  // Alipay was asked before it told.
  await deps.recharges.close(unpaid.orderId ?? '')
  t.equal(await notify(), 'success')
  t.match(await rows.findOne({ _id: unpaid.orderId ?? '' }), { status: 'paid' })
})
