import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Endpoint, type ErrorName, errors } from '@im/contracts'
import { accounts, profiles, smsCodes, xmppAccounts } from '@im/contracts/user'
import type { Envelope } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { md5Of123456, startUser } from './start-user.ts'

/** The user service with its limits on, and calls from any address. */
async function startLimited(t: Test, env: Record<string, string> = {}) {
  const user = await startUser(t, { LIMIT_FACTOR: '1', SMS_ECHO_CODE: 'true', ...env })
  const from = async (ip: string, endpoint: Endpoint, fields: Record<string, string>): Promise<Envelope> => {
    return user.api.envelope(endpoint, fields as never, { ip })
  }
  return { ...user, from }
}

test('a number gets one code a minute, and is told how long to wait', async (t) => {
  const { api, nextPhone } = await startLimited(t)
  const telephone = nextPhone()
  await api.call(smsCodes.sendSms, { telephone })
  const again = await api.envelope(smsCodes.sendSms, { telephone, language: 'en' })
  t.equal(again.resultCode, errors.SmsTooFrequent.code)
  t.match(again.resultMsg ?? '', /^Wait (60|59) seconds/)
})

test('an address asks for 20 codes an hour; an IPv6 client has one address, not a network of them', async (t) => {
  const { from, nextPhone, person } = await startLimited(t)
  const alice = await person('alice')
  const ask = (ip: string, telephone: string) => from(ip, smsCodes.sendSms, { telephone, isRegister: '1' })
  for (let n = 0; n < 10; n++) t.equal((await ask(`2001:db8::${n + 1}`, nextPhone())).resultCode, 1)
  // What tells that somebody has the number counts too.
  for (let n = 0; n < 10; n++)
    t.equal((await ask(`2001:db8::a:${n}`, alice.phone)).resultCode, errors.TelephoneTaken.code)
  t.equal((await ask('2001:db8::ffff', nextPhone())).resultCode, errors.SmsTooFrequent.code)
  t.equal((await ask('2001:db8:0:1::1', nextPhone())).resultCode, 1)
  t.equal((await ask('192.0.2.1', nextPhone())).resultCode, 1)
})

test('asking again too soon does not use up what the address may ask', async (t) => {
  const { from, nextPhone } = await startLimited(t)
  const telephone = nextPhone()
  const ask = (number: string) => from('192.0.2.1', smsCodes.sendSms, { telephone: number })
  await ask(telephone)
  for (let n = 0; n < 30; n++) t.equal((await ask(telephone)).resultCode, errors.SmsTooFrequent.code)
  t.equal((await ask(nextPhone())).resultCode, 1)
})

test('an XMPP login that was right a while ago helps nobody to guess past the limit', async (t) => {
  const { internal, person } = await startLimited(t)
  const { userId } = await person('alice')
  const [right, wrong] = [md5Of123456, 'f'.repeat(32)]
  const logIn = async (ip: string, password: string) =>
    (await internal.envelope(xmppAccounts.authenticate, { userId, password, ip })).resultCode
  const [home, cafe, attacker] = ['192.0.2.1', '192.0.2.2', '198.51.100.1']
  for (const ip of [home, cafe]) t.equal(await logIn(ip, right), 1)
  for (let n = 0; n < 10; n++) t.equal(await logIn(attacker, wrong), errors.WrongPassword.code)
  t.equal(await logIn(attacker, right), errors.LoginTooOften.code, 'elsewhere')
  t.equal(await logIn(cafe, wrong), errors.LoginTooOften.code)
  t.equal(await logIn(cafe, right), errors.LoginTooOften.code, 'after a wrong guess at the address')
  t.equal(await logIn(home, right), 1, 'whose device only connects again')
})

test('50 failed logins close an address, also one that guesses names', async (t) => {
  const { from, person } = await startLimited(t)
  const alice = await person('alice')
  const login = (ip: string, telephone: string, password: string) => from(ip, accounts.login, { telephone, password })
  for (let n = 0; n < 50; n++) {
    const { resultCode } = await login(`2001:db8::${n}`, `1370000${1000 + n}`, 'x')
    t.equal(resultCode, errors.AccountNotFound.code)
  }
  t.equal((await login('2001:db8::1:1', alice.phone, '123456')).resultCode, errors.LoginTooOften.code)
  t.equal((await login('192.0.2.1', alice.phone, '123456')).resultCode, 1)
})

test('guesses sent at the same time are counted for their address one by one', async (t) => {
  const { from, person } = await startLimited(t)
  const alice = await person('alice')
  const guesses = Array.from({ length: 200 }, (_, n) =>
    from('192.0.2.1', accounts.login, { telephone: `1370000${1000 + n}`, password: 'x' }),
  )
  const answers = await Promise.all(guesses)
  const count = (name: ErrorName) => answers.filter(({ resultCode }) => resultCode === errors[name].code).length
  t.strictSame([count('AccountNotFound'), count('LoginTooOften')], [50, 150])
  const login = { telephone: alice.phone, password: '123456' }
  t.equal((await from('192.0.2.1', accounts.login, login)).resultCode, errors.LoginTooOften.code)
  t.equal((await from('192.0.2.2', accounts.login, login)).resultCode, 1)
})

test('a guess that is right for one of two people with a number counts as wrong for the other', async (t) => {
  const { from, person } = await startLimited(t)
  const alice = await person('alice')
  const ip = '192.0.2.1'
  const mallory = { telephone: alice.phone, password: 'guess', nickname: 'mallory' }
  t.equal((await from(ip, accounts.register, { ...mallory, areaCode: '49' })).resultCode, 1)
  // Nobody has the number under this area code, so the password is tried with both.
  const guess = () => from(ip, accounts.login, { telephone: alice.phone, areaCode: '7', password: 'guess' })
  for (let n = 0; n < 10; n++) t.equal((await guess()).resultCode, 1)
  const alicesPassword = { telephone: alice.phone, areaCode: '7', password: '123456' }
  t.equal((await from(ip, accounts.login, alicesPassword)).resultCode, errors.WrongPassword.code)
  t.equal((await guess()).resultCode, 1, 'it does not count for mallory, nor for the address')
})

test('sixty people behind one address may log in at the same moment', async (t) => {
  const { from, nextPhone } = await startLimited(t)
  const people = Array.from({ length: 60 }, () => ({ telephone: nextPhone(), password: '123456' }))
  for (const [n, person] of people.entries())
    await from(`198.51.100.${n}`, accounts.register, { ...person, nickname: 'x' })
  const logins = people.map((person) => from('192.0.2.1', accounts.login, person))
  for (const { resultCode } of await Promise.all(logins)) t.equal(resultCode, 1)
})

test('an address registers ten accounts an hour, and typing errors are none of them', async (t) => {
  const { from, nextPhone } = await startLimited(t)
  const good = () => ({ telephone: nextPhone(), password: '1', nickname: 'x' })
  const register = (fields: Record<string, string>) => from('192.0.2.1', accounts.register, fields)
  for (let n = 0; n < 6; n++) {
    t.equal((await register({ password: '1', nickname: 'x' })).resultCode, errors.MissingParam.code)
    t.equal((await register({ ...good(), telephone: '12' })).resultCode, errors.TelephoneInvalid.code)
  }
  const answers = await Promise.all(Array.from({ length: 15 }, () => register(good())))
  t.equal(answers.filter(({ resultCode }) => resultCode === 1).length, 10)
  t.equal((await register(good())).resultCode, errors.RateLimited.code)
  t.equal((await from('192.0.2.2', accounts.register, good())).resultCode, 1)
})

test('a number is registered under three area codes a day', async (t) => {
  const { from } = await startLimited(t)
  const codes = ['20', '27', '49', '86']
  const outcomes = []
  for (const [n, areaCode] of codes.entries()) {
    const params = { telephone: '13800000007', areaCode, password: '1', nickname: 'x' }
    outcomes.push((await from(`192.0.2.${n}`, accounts.register, params)).resultCode)
  }
  t.strictSame(outcomes, [1, 1, 1, errors.RateLimited.code])
})

test('a number gets one code a minute under all area codes together', async (t) => {
  const { from, nextPhone } = await startLimited(t)
  const telephone = nextPhone()
  t.equal((await from('192.0.2.1', smsCodes.sendSms, { telephone, areaCode: '86' })).resultCode, 1)
  const other = await from('192.0.2.2', smsCodes.sendSms, { telephone, areaCode: '49' })
  t.equal(other.resultCode, errors.SmsTooFrequent.code)
})

test('a code that the provider did not take counts for nobody', async (t) => {
  let status = 503
  const webhook = createServer((_request, answer) => answer.writeHead(status).end()).listen(0, '127.0.0.1')
  await once(webhook, 'listening')
  t.after(() => webhook.close())
  const url = `http://127.0.0.1:${(webhook.address() as AddressInfo).port}`
  const provider = { SMS_PROVIDER: 'http', SMS_HTTP_URL: url, SMS_IMAGE_CODE: 'false' }
  const { api, nextPhone } = await startLimited(t, provider)
  const telephone = nextPhone()
  const send = async () => (await api.envelope(smsCodes.sendSms, { telephone })).resultCode
  for (let n = 0; n < 11; n++) t.equal(await send(), errors.SmsSendFailed.code)
  status = 200
  t.equal(await send(), 1)
  t.equal(await send(), errors.SmsTooFrequent.code)
})

test('LIMIT_FACTOR gives nobody more than ten tries of a code', async (t) => {
  const { api, nextPhone } = await startLimited(t, { LIMIT_FACTOR: '100' })
  const telephone = nextPhone()
  const { code } = await api.call(smsCodes.sendSms, { telephone })
  const register = (smsCode: string) =>
    api.envelope(accounts.register, { telephone, password: '1', nickname: 'x', smsCode })
  const wrong = Array.from({ length: 11 }, (_, n) => String(100_000 + n)).filter((guess) => guess !== code)
  for (const guess of wrong.slice(0, 10)) t.equal((await register(guess)).resultCode, errors.SmsCodeInvalid.code)
  t.equal((await register(code)).resultCode, errors.SmsCodeInvalid.code)
})

test('a registration that fails is none of the three a device has', async (t) => {
  const { api, nextPhone } = await startLimited(t)
  const telephone = nextPhone()
  const { code } = await api.call(smsCodes.sendSms, { telephone })
  const register = (params: Record<string, string>) =>
    api.envelope(accounts.register, { telephone, password: '1', nickname: 'x', serial: 'S', ...params })
  for (let n = 0; n < 4; n++) t.equal((await register({ smsCode: `00000${n}` })).resultCode, errors.SmsCodeInvalid.code)
  t.equal((await register({ smsCode: code })).resultCode, 1)
  for (let n = 0; n < 2; n++) t.equal((await register({ telephone: nextPhone() })).resultCode, 1)
  t.equal((await register({ telephone: nextPhone() })).resultCode, errors.RateLimited.code)
})

test('dead tokens of login/auto are limited by address', async (t) => {
  const { from, person } = await startLimited(t)
  const alice = await person('alice')
  const auto = (ip: string) =>
    from(ip, accounts.autoLogin, { access_token: 'f'.repeat(32), userId: String(alice.userId) })
  for (let n = 0; n < 30; n++) t.equal((await auto('192.0.2.1')).resultCode, 1)
  t.equal((await auto('192.0.2.1')).resultCode, errors.RateLimited.code)
  t.equal((await auto('192.0.2.2')).resultCode, 1)
})

test('thirty account names a minute are looked up, by either endpoint; ids are not limited', async (t) => {
  const { api, person } = await startLimited(t)
  const alice = await person('alice')
  const as = { as: alice.caller }
  const { account = '' } = await api.call(profiles.getUser, {}, as)
  const lookUp = (n: number) =>
    n % 2
      ? api.envelope(profiles.getUser, { userId: n % 3 ? account : `nobody${n}` }, as)
      : api.envelope(profiles.getUserByAccount, { account }, as)
  for (let n = 0; n < 30; n++) t.not((await lookUp(n)).resultCode, errors.RateLimited.code)
  for (const n of [30, 31, 33]) t.equal((await lookUp(n)).resultCode, errors.RateLimited.code)
  for (let n = 0; n < 40; n++) {
    const userId = n % 2 ? String(alice.userId) : `${alice.userId}.0`
    t.equal((await api.envelope(profiles.getUser, n % 3 ? { userId } : {}, as)).resultCode, 1)
  }
})

test('updates with a wrong code do not take the place of logins in the queue of hashes', async (t) => {
  const { api, person } = await startUser(t, { ARGON2_MEMORY_KIB: '19456', HASH_CONCURRENCY: '1', HASH_QUEUE: '3' })
  const alice = await person('alice')
  const update = { payPassword: '1', telephone: '13700000001', randcode: '000000' }
  const updates = Array.from({ length: 20 }, () => api.envelope(profiles.updateUser, update, { as: alice.caller }))
  for (const { resultCode } of await Promise.all(updates)) t.equal(resultCode, errors.SmsCodeInvalid.code)
})

test('after a change of the pepper a number gets a new code at once', async (t) => {
  const before = await startUser(t)
  const telephone = before.nextPhone()
  await before.api.call(smsCodes.sendSms, { telephone })
  const env = { NAMESPACE: before.env['NAMESPACE'] ?? '', SESSION_PEPPER: 'ab'.repeat(32) }
  const { api } = await startUser(t, env)
  const { code } = await api.call(smsCodes.sendSms, { telephone })
  const registered = await api.envelope(accounts.register, { telephone, password: '1', nickname: 'x', smsCode: code })
  t.equal(registered.resultCode, 1)
})
