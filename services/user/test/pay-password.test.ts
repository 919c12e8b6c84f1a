import { passwords, payPasswordChanged, profiles, wallet } from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('a pay password is set once and then replaced by who knows it', async (t) => {
  const { api, person, events } = await startUser(t)
  const { caller } = await person('alice')
  const as = { as: caller }
  const changed = await events(payPasswordChanged)
  await t.rejects(api.call(passwords.checkPayPassword, { payPassword: '1' }, as), failure('PayPasswordNotSet'))
  await api.call(passwords.updatePayPassword, { payPassword: 'first' }, as)
  t.equal((await api.call(profiles.getUser, {}, as)).payPassword, 1)
  for (const oldPayPassword of ['', 'wrong'])
    await t.rejects(
      api.call(passwords.updatePayPassword, { payPassword: 'second', oldPayPassword }, as),
      failure('PayPasswordWrong'),
    )
  await api.call(passwords.checkPayPassword, { payPassword: 'first' }, as)
  await api.call(passwords.updatePayPassword, { payPassword: 'second', oldPayPassword: 'first' }, as)
  await t.rejects(api.call(passwords.checkPayPassword, { payPassword: 'first' }, as), failure('PayPasswordWrong'))
  await api.call(passwords.checkPayPassword, { payPassword: 'second' }, as)
  await eventually(() => changed.length >= 2)
  t.equal(changed.length, 2)
})

test('of two who replace a pay password at once, one wins', async (t) => {
  const { api, person } = await startUser(t)
  const { caller } = await person('alice')
  const as = { as: caller }
  const outcomes = await Promise.all(
    ['a', 'b', 'c'].map((payPassword) => api.envelope(passwords.updatePayPassword, { payPassword }, as)),
  )
  t.equal(outcomes.filter(({ resultCode }) => resultCode === 1).length, 1)
})

test('a pay password is guessed five times, and then not for a quarter of an hour', async (t) => {
  const { api, person } = await startUser(t, { LIMIT_FACTOR: '1' })
  const { caller } = await person('alice')
  const as = { as: caller }
  await api.call(passwords.updatePayPassword, { payPassword: 'right' }, as)
  const guess = (payPassword: string) => api.call(passwords.checkPayPassword, { payPassword }, as)
  for (let n = 0; n < 5; n++) await t.rejects(guess(`wrong ${n}`), failure('PayPasswordWrong'))
  await t.rejects(guess('right'), failure('RateLimited'))
  await t.rejects(
    api.call(passwords.updatePayPassword, { payPassword: 'x', oldPayPassword: 'right' }, as),
    failure('RateLimited'),
  )
})

test('a wrong secret of a withdrawal counts as a guess, and no withdrawal is tried after five', async (t) => {
  const { api, person } = await startUser(t, { LIMIT_FACTOR: '1', PAYMENT_PROVIDER: 'sandbox' })
  const { caller, token } = await person('alice')
  const as = { as: caller, token }
  await api.call(passwords.updatePayPassword, { payPassword: 'right' }, as)
  await api.call(wallet.bindWeChat, { code: 'x' }, as)
  const time = String(Math.floor(Date.now() / 1000))
  const withdraw = (n: number) => api.call(wallet.withdraw, { amount: '50', time, secret: String(n).repeat(32) }, as)
  const guess = (payPassword: string) => api.call(passwords.checkPayPassword, { payPassword }, as)
  for (const n of [1, 2, 3]) await t.rejects(withdraw(n), failure('SignatureInvalid'))
  await guess('right')
  for (const n of [1, 2]) await t.rejects(guess(`wrong ${n}`), failure('PayPasswordWrong'))
  await t.rejects(withdraw(4), failure('RateLimited'))
  await t.rejects(guess('right'), failure('RateLimited'))
})
