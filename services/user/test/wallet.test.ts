import { createHash } from 'node:crypto'
import { payCallbacks, wallet } from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import type { TransferProvider, TransferState } from '../src/payments/payment-provider.ts'
import { sandboxOpenids } from '../src/payments/sandbox.ts'
import { askProviders } from '../src/wallet/ask-providers.ts'
import { AlreadyPostedError, type Ledger } from '../src/wallet/ledger.ts'
import { settleWithdrawal } from '../src/wallet/settle-withdrawal.ts'
import { feeOf } from '../src/wallet/withdraw.ts'
import { isWithdrawalSecret } from '../src/wallet/withdrawal-secret.ts'
import { md5Of123456, type Person, startUser } from './start-user.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

test('secrets of withdrawals are those of the specification', async (t) => {
  const signed = {
    apiKey: 'test-api-key',
    openid: 'oTest123',
    userId: 100_001,
    token: '2e707085469844aebd36a98136f90520',
    amount: '50',
    time: '1559788026',
  }
  const a = '5744bb8294a059e91c434bfa8a50379e99ed113bc20b21108be0848833f827df'
  const b = '65ffad9c8368d5743a17baafcc1f9c02'
  const c = '6bec4797cd04a7385af70f530376fdcf'
  const good = (secret: string, payPasswordMd5?: string, needsPayPassword = false) =>
    isWithdrawalSecret(secret, { ...signed, payPasswordMd5 }, { needsPayPassword })
  t.strictSame([good(a), good(b), good(b.toUpperCase()), good(c)], [true, true, true, false])
  t.strictSame([good(a, md5Of123456), good(c, md5Of123456)], [true, true])
  t.strictSame(
    [good(a, md5Of123456, true), good(b, md5Of123456, true), good(c, md5Of123456, true)],
    [false, false, true],
  )
  t.equal(good(a, undefined, true), true, 'who has no pay password needs none')
  t.equal(isWithdrawalSecret(b, { ...signed, amount: '51' }, { needsPayPassword: false }), false)
})

test('the fee is 0.6 %, rounded up, and never nothing', async (t) => {
  t.strictSame([50, 167, 1000, 1001, 5_000_000].map(feeOf), [1, 2, 6, 7, 30_000])
})

/** What the books say: the balance and its journal. */
async function booksOf(ledger: Ledger, userId: number) {
  const { balance } = await ledger.of(userId)
  const entries = await ledger.entriesOf(userId)
  const sum = entries.reduce((total, { cents }) => total + cents, 0)
  const inOrder = entries.toReversed()
  const running = inOrder.every(({ balance: after, number }, n) => {
    const before = n ? (inOrder[n - 1]?.balance ?? 0) : 0
    return number === n + 1 && after === before + (inOrder[n]?.cents ?? 0) && after >= 0
  })
  return { balance, sum, entries: entries.length, running }
}

test('whatever happens at the same time, a balance is the sum of its journal and never negative', async (t) => {
  const { deps } = await startUser(t)
  const { ledger, outbox } = deps
  let userId = 1000
  const movement = fc.record({
    cents: fc.integer({ min: 1, max: 1000 }),
    isCredit: fc.boolean(),
    // A few keys, so that the same reason comes twice.
    key: fc.integer({ min: 0, max: 12 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(movement, { minLength: 1, maxLength: 12 }), async (movements) => {
      userId++
      const outcomes = await Promise.allSettled(
        movements.map(({ cents, isCredit, key }) => {
          const entry = { cents, at: 0, key: `${isCredit ? 'in' : 'out'}:${userId}:${key}` }
          return outbox.commit(async (change) => {
            const wallet = await ledger.of(userId, change)
            if (isCredit) ledger.credit(wallet, { ...entry, kind: 'recharge' }, change)
            else ledger.debit(wallet, { ...entry, kind: 'withdrawal' }, change)
          })
        }),
      )
      const done = movements.filter((_, n) => outcomes[n]?.status === 'fulfilled')
      const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Error] : []))
      const known = reasons.every((error) => error instanceof AlreadyPostedError || /BalanceTooLow/.test(error.message))
      const { balance, sum, entries, running } = await booksOf(ledger, userId)
      const expected = done.reduce((total, { cents, isCredit }) => total + (isCredit ? cents : -cents), 0)
      return known && running && balance === sum && balance === expected && entries === done.length && balance >= 0
    }),
    { numRuns: 25 },
  )
  t.pass()
})

test('a recharge in the sandbox counts at once; without a provider there is none', async (t) => {
  const { api, person, deps } = await startUser(t, { PAYMENT_PROVIDER: 'sandbox' })
  const { caller, userId } = await person('alice')
  const as = { as: caller }
  t.strictSame(await api.call(wallet.getBalance, {}, as), { balance: 0 })
  t.strictSame(await api.call(wallet.recharge, { money: '0.01', type: 1 }, as), { balance: 0.01 })
  t.strictSame(await api.call(wallet.recharge, { money: '19.99', type: 2 }, as), { balance: 20 })
  const orders = await deps.db.collection('recharges').find({ userId }).sort({ cents: 1 }).toArray()
  t.match(orders, [
    { cents: 1, payType: 1, status: 'paid' },
    { cents: 1999, payType: 2, status: 'paid' },
  ])
  for (const money of ['0.001', '0.014', '0.019999999999', '-1', '0', '50000.01', 'x'])
    await t.rejects(api.call(wallet.recharge, { money, type: 1 }, as), failure('InvalidParams'), money)
  await t.rejects(api.call(wallet.recharge, { money: 1, type: 3 }, as), failure('PayTypeInvalid'))
  await t.rejects(api.call(wallet.recharge, { money: 1 }, as), failure('MissingParam'))
  t.strictSame(await booksOf(deps.ledger, userId), { balance: 2000, sum: 2000, entries: 2, running: true })

  const none = await startUser(t)
  const bob = await none.person('bob')
  await t.rejects(none.api.call(wallet.recharge, { money: 1, type: 1 }, { as: bob.caller }), failure('FeatureDisabled'))
  await t.rejects(none.api.call(wallet.bindWeChat, { code: 'x' }, { as: bob.caller }), failure('FeatureDisabled'))
  const callback = await fetch(`${none.url}/pay/callback/alipay`, { method: 'POST', body: 'a=b' })
  t.equal(((await callback.json()) as { resultCode: number }).resultCode, 1_020_106)
  t.equal(callback.status, 400)
  t.equal(payCallbacks.receivePayment.body, 'raw')
})

/** A provider of transfers that does what the story says. */
function scriptedTransfers() {
  const bills = new Map<string, { cents: number; state: TransferState | undefined }>()
  const script = { next: 'paid' as 'paid' | 'refused' | 'waiting' | 'lost' | 'lost but sent' }
  const paid = (paymentNo: string): TransferState => ({ state: 'paid', paymentNo, at: 1_700_000_000_000 })
  const provider: TransferProvider = {
    async transfer({ billNo, cents }) {
      const waiting: TransferState = { state: 'waiting', paymentNo: 'w', at: 0, packageInfo: 'confirm' }
      const states = { paid: paid(billNo), refused: { state: 'refused', reason: 'no' } as const, waiting }
      if (script.next === 'lost') throw new Error('timeout')
      const state = script.next === 'lost but sent' ? paid(billNo) : states[script.next]
      bills.set(billNo, { cents, state })
      if (script.next === 'lost but sent') throw new Error('timeout')
      return state
    },
    query: async (billNo) => bills.get(billNo)?.state,
  }
  return { bills, script, provider }
}

test('withdrawals', async (t) => {
  const transfers = scriptedTransfers()
  const payments = { isSandbox: true, transfers: transfers.provider, openids: sandboxOpenids }
  const user = await startUser(t, { API_KEY: 'k', PAYMENT_PROVIDER: 'sandbox' }, { payments })
  const { api, deps } = user
  const person = async (name: string, money = 10) => {
    const made = await user.person(name)
    await api.call(wallet.recharge, { money, type: 2 }, { as: made.caller })
    await api.call(wallet.bindWeChat, { code: 'code' }, { as: made.caller })
    return made
  }
  const used = new Set<number>()
  const signed = (who: Person, amount: string, seconds = Math.floor(deps.now() / 1000)) => {
    // A second of its own for each, because a secret is used once.
    let second = seconds
    while (used.has(second)) second--
    used.add(second)
    const time = String(second)
    const secret = md5(`ksandbox-${who.userId}${who.userId}`) + md5(`${who.token}${amount}${time}`)
    return { amount, time, secret }
  }
  const withdraw = (who: Person, params: object) =>
    api.call(wallet.withdraw, params, { as: who.caller, token: who.token })
  const balanceOf = async (who: Person) => (await deps.ledger.of(who.userId)).balance
  const books = (who: Person) => booksOf(deps.ledger, who.userId)

  t.test('money leaves the wallet and arrives without the fee', async (t) => {
    const alice = await person('alice')
    const answer = await withdraw(alice, signed(alice, '500'))
    t.match(answer, { payment_no: answer.partner_trade_no, payment_time: '2023-11-15 06:13:20' })
    t.equal(transfers.bills.get(answer.partner_trade_no)?.cents, 497)
    t.equal(await balanceOf(alice), 500)
  })

  t.test('what is wrong is refused in the order of the specification, and nothing moves', async (t) => {
    const bob = await person('bob')
    const unbound = await user.person('unbound')
    await t.rejects(withdraw(unbound, signed(unbound, '500')), failure('WxNotBound'))
    const good = signed(bob, '500')
    await t.rejects(withdraw(bob, { ...good, secret: 'f'.repeat(64) }), failure('SignatureInvalid'))
    await t.rejects(withdraw(bob, { ...good, amount: '501' }), failure('SignatureInvalid'))
    const now = Math.floor(deps.now() / 1000)
    for (const seconds of [now - 400, now + 400])
      await t.rejects(withdraw(bob, signed(bob, '500', seconds)), failure('SignatureInvalid'))
    await t.rejects(withdraw(bob, signed(bob, '49')), failure('AmountTooSmall'))
    await t.rejects(withdraw(bob, signed(bob, '1001')), failure('BalanceTooLow'))
    for (const amount of ['5.5', '-50', '1e3', '50 ', '9999999999'].slice(0, 3))
      await t.rejects(withdraw(bob, { ...good, amount }), failure('InvalidParams'), amount)
    await t.rejects(withdraw(bob, { ...good, time: '' }), failure('MissingParam'))
    t.strictSame(await books(bob), { balance: 1000, sum: 1000, entries: 1, running: true })
  })

  t.test('a secret is used once, also by two calls at the same time', async (t) => {
    const carol = await person('carol')
    const same = signed(carol, '100')
    const outcomes = await Promise.all(
      [1, 2, 3].map(() => api.envelope(wallet.withdraw, same, { as: carol.caller, token: carol.token })),
    )
    t.equal(outcomes.filter(({ resultCode }) => resultCode === 1).length, 1)
    await t.rejects(withdraw(carol, same), failure('SignatureInvalid'))
    t.equal(await balanceOf(carol), 900)
    const account = `ksandbox-${carol.userId}${carol.userId}`
    const inOtherForms = [
      { ...same, secret: same.secret.toUpperCase() },
      { ...same, secret: md5(account + md5(`${carol.token}${same.amount}${same.time}`)) },
      // The same text, cut elsewhere.
      { ...same, amount: '10', time: `0${same.time}` },
    ]
    for (const again of inOtherForms)
      await t.rejects(withdraw(carol, again), failure('SignatureInvalid'), JSON.stringify(again))
    t.equal(await balanceOf(carol), 900)
  })

  t.test('a secret is used up by a withdrawal that is refused, too', async (t) => {
    const who = await person('kate')
    const tooMuch = signed(who, '1001')
    await t.rejects(withdraw(who, tooMuch), failure('BalanceTooLow'))
    await api.call(wallet.recharge, { money: 10, type: 1 }, { as: who.caller })
    await t.rejects(withdraw(who, tooMuch), failure('SignatureInvalid'))
    t.equal(await balanceOf(who), 2000)
  })

  t.test('of several withdrawals at the same moment one begins, and what is paid in beside them counts', async (t) => {
    const who = await person('liam')
    transfers.script.next = 'waiting'
    const asked = Array.from({ length: 5 }, () => signed(who, '300'))
    const [outcomes] = await Promise.all([
      Promise.all(asked.map((one) => api.envelope(wallet.withdraw, one, { as: who.caller, token: who.token }))),
      api.call(wallet.recharge, { money: 1, type: 1 }, { as: who.caller }),
    ])
    transfers.script.next = 'paid'
    t.strictSame(outcomes.map(({ resultCode }) => resultCode).sort(), [1, ...Array(4).fill(1_040_224)])
    t.strictSame(await books(who), { balance: 800, sum: 800, entries: 3, running: true })
  })

  t.test('a refusal gives the money back although more was paid in meanwhile', async (t) => {
    const who = await person('mia')
    const { transfer } = transfers.provider
    transfers.provider.transfer = async () => {
      await api.call(wallet.recharge, { money: 1, type: 1 }, { as: who.caller })
      return { state: 'refused', reason: 'no' }
    }
    await t.rejects(withdraw(who, signed(who, '500')), failure('WithdrawFailed'))
    transfers.provider.transfer = transfer
    t.strictSame(await books(who), { balance: 1100, sum: 1100, entries: 4, running: true })
    await withdraw(who, signed(who, '100'))
    t.equal(await balanceOf(who), 1000)
  })

  t.test('what the provider says and its notification, which comes first, give the money back once', async (t) => {
    const who = await person('noah')
    const { transfer } = transfers.provider
    transfers.provider.transfer = async ({ billNo }) => {
      await settleWithdrawal(deps, billNo, { state: 'refused', reason: 'told' })
      return { state: 'refused', reason: 'no' }
    }
    await t.rejects(withdraw(who, signed(who, '500')), failure('WithdrawFailed'))
    transfers.provider.transfer = transfer
    t.strictSame(await books(who), { balance: 1000, sum: 1000, entries: 3, running: true })
  })

  t.test('a refusal after the notification that it was paid gives nothing back', async (t) => {
    const who = await person('olga')
    const { transfer } = transfers.provider
    transfers.provider.transfer = async ({ billNo }) => {
      await settleWithdrawal(deps, billNo, { state: 'paid', paymentNo: 'p', at: 0 })
      return { state: 'refused', reason: 'no' }
    }
    await t.rejects(withdraw(who, signed(who, '500')), failure('WithdrawFailed'))
    transfers.provider.transfer = transfer
    t.strictSame(await books(who), { balance: 500, sum: 500, entries: 2, running: true })
  })

  t.test('a refusal gives the money back', async (t) => {
    const dave = await person('dave')
    transfers.script.next = 'refused'
    await t.rejects(withdraw(dave, signed(dave, '500')), failure('WithdrawFailed'))
    t.strictSame(await books(dave), { balance: 1000, sum: 1000, entries: 3, running: true })
    transfers.script.next = 'paid'
    await withdraw(dave, signed(dave, '500'))
    t.equal(await balanceOf(dave), 500)
  })

  t.test('while nobody knows, the money is away and no other withdrawal begins', async (t) => {
    const erin = await person('erin')
    transfers.script.next = 'lost but sent'
    await t.rejects(withdraw(erin, signed(erin, '500')), failure('WithdrawFailed'))
    transfers.script.next = 'paid'
    await t.rejects(withdraw(erin, signed(erin, '100')), failure('WithdrawFailed'))
    t.equal(await balanceOf(erin), 500)
    user.passSeconds(61)
    await askProviders(deps)
    await withdraw(erin, signed(erin, '100'))
    t.equal(await balanceOf(erin), 400, 'it had arrived')
    transfers.script.next = 'lost'
    await t.rejects(withdraw(erin, signed(erin, '100')), failure('WithdrawFailed'))
    transfers.script.next = 'paid'
    await t.rejects(withdraw(erin, signed(erin, '50')), failure('WithdrawFailed'), 'also behind one that is settled')
    t.equal(await balanceOf(erin), 300)
  })

  t.test('a transfer that never arrived is given back after ten minutes, and not before', async (t) => {
    const frank = await person('frank')
    transfers.script.next = 'lost'
    await t.rejects(withdraw(frank, signed(frank, '500')), failure('WithdrawFailed'))
    user.passSeconds(120)
    await askProviders(deps)
    t.equal(await balanceOf(frank), 500)
    user.passSeconds(900)
    await askProviders(deps)
    await askProviders(deps)
    t.strictSame(await books(frank), { balance: 1000, sum: 1000, entries: 3, running: true })
    transfers.script.next = 'paid'
  })

  t.test('a transfer that the user has to confirm is told so, and settled later', async (t) => {
    const grace = await person('grace')
    transfers.script.next = 'waiting'
    const { package_info: info, partner_trade_no: billNo } = await withdraw(grace, signed(grace, '500'))
    t.equal(info, 'confirm')
    transfers.bills.set(billNo, { cents: 0, state: { state: 'refused', reason: 'cancelled' } })
    user.passSeconds(61)
    await eventually(async () => {
      await askProviders(deps)
      return (await balanceOf(grace)) === 1000
    })
    transfers.script.next = 'paid'
  })

  t.test('an openid belongs to one user', async (t) => {
    const heidi = await person('heidi')
    t.equal(await deps.openids.of(heidi.userId), `sandbox-${heidi.userId}`)
    await deps.outbox.commit(async (change) => deps.openids.bind('one', heidi.userId, 'a', change))
    const ivan = await person('ivan')
    await deps.outbox.commit(async (change) => deps.openids.bind('one', ivan.userId, 'b', change))
    t.strictSame([await deps.openids.of(heidi.userId), await deps.openids.of(ivan.userId)], [undefined, 'one'])
  })

  t.test('a user who binds several accounts at the same moment has one of them', async (t) => {
    const judy = await person('judy')
    const bind = (openid: string) =>
      deps.outbox.commit(async (change) => deps.openids.bind(openid, judy.userId, 'c', change))
    await Promise.all(Array.from({ length: 6 }, (_, n) => bind(`judy-${n}`)))
    const bound = await deps.db.collection('openids').countDocuments({ userId: judy.userId })
    t.equal(bound, 1)
    await Promise.all([
      bind('shared'),
      deps.outbox.commit(async (change) => deps.openids.bind('shared', 1, 'd', change)),
    ])
    const owners = await deps.db
      .collection('openids')
      .find({ userId: { $in: [1, judy.userId] } })
      .toArray()
    t.equal(owners.filter(({ _id }) => String(_id) === 'shared').length, 1, 'one account has one owner')
  })
})
