import { type Endpoint, type ErrorName, errors } from '@im/contracts'
import {
  accounts,
  internalSessions,
  internalUsers,
  passwords,
  profiles,
  smsCodes,
  userSettings,
} from '@im/contracts/user'
import { failure, type TestCallOptions, type WireParams } from '@im/service-kit/testing'
import { test } from 'tap'
import { tokenId } from '../src/sessions/tokens.ts'
import { postForm, startUser } from './start-user.ts'

const times = <T>(count: number, make: (n: number) => T) => Array.from({ length: count }, (_, n) => make(n))

test('at the same time', async (t) => {
  const user = await startUser(t)

  const isLive = async (token: string) =>
    (await user.internal.call(internalSessions.resolveSession, { sessionId: tokenId(token) })).exists === 1
  const living = async (tokens: string[]) => {
    const live = await Promise.all(tokens.map(isLive))
    return tokens.filter((_, n) => live[n])
  }
  /** How often each result came out of the same call sent many times at once. */
  async function outcomes<E extends Endpoint>(count: number, endpoint: E, params: WireParams<E>, as?: TestCallOptions) {
    const answers = await Promise.all(times(count, () => user.api.envelope(endpoint, params, as)))
    const nameOf = (code: number) => Object.entries(errors).find(([, error]) => error.code === code)?.[0] ?? code
    const counts: Record<string, number> = {}
    for (const { resultCode } of answers) {
      const name = resultCode === 1 ? 'Success' : nameOf(resultCode)
      counts[name] = (counts[name] ?? 0) + 1
    }
    return counts
  }

  t.test('logins of one device class leave one session', async (t) => {
    const alice = await user.person('alice')
    const login = () => user.api.call(accounts.login, { telephone: alice.phone, password: '123456', deviceKey: 'pc' })
    const tokens = (await Promise.all(times(6, login))).map((result) => result.access_token)
    t.equal((await living(tokens)).length, 1)
    t.equal(await isLive(alice.token), true, 'the phone is another class')
  })

  t.test('logins of all device classes leave one session where one device is allowed', async (t) => {
    const amy = await user.person('amy')
    await user.api.call(userSettings.updateSettings, { multipleDevices: 0 }, { as: amy.caller })
    const login = (deviceKey: string) =>
      user.api.call(accounts.login, { telephone: amy.phone, password: '123456', deviceKey })
    const results = await Promise.all(['android', 'ios', 'pc', 'mac', 'web'].map(login))
    t.equal((await living(results.map((result) => result.access_token))).length, 1)
  })

  t.test('a refresh token is exchanged once; its second use ends all that came from it', async (t) => {
    const bob = await user.person('bob')
    const grant = { grant_type: 'password', username: bob.phone, password: '123456', deviceKey: 'web' }
    const granted = (await postForm(user.url, '/oauth2/token', grant)).body as Record<string, string>
    const exchange = (token: string) =>
      postForm(user.url, '/oauth2/token', { grant_type: 'refresh_token', refresh_token: token })
    const answers = await Promise.all(times(4, () => exchange(granted['refresh_token'] ?? '')))
    const won = answers.filter(({ status }) => status === 200)
    t.equal(won.length, 1)
    for (const { status, body } of answers)
      if (status !== 200) t.strictSame([status, body['error']], [400, 'invalid_grant'])
    const pair = (won[0]?.body ?? {}) as Record<string, string>
    t.equal(await isLive(pair['access_token'] ?? ''), false)
    t.equal((await exchange(pair['refresh_token'] ?? '')).body['error'], 'invalid_grant')
  })

  t.test('a refresh that comes too late does not end the login that came before it', async (t) => {
    const ben = await user.person('ben')
    const login = { telephone: ben.phone, password: '123456', deviceKey: 'web' }
    for (let round = 0; round < 12; round++) {
      const grant = { grant_type: 'password', username: ben.phone, password: '123456', deviceKey: 'web' }
      const { refresh_token: token = '' } = (await postForm(user.url, '/oauth2/token', grant)).body as Record<
        string,
        string
      >
      const [{ access_token: newest }, ...others] = await Promise.all([
        user.api.call(accounts.login, login),
        ...times(3, () => postForm(user.url, '/oauth2/token', { grant_type: 'refresh_token', refresh_token: token })),
        postForm(user.url, '/oauth2/revoke', { token }),
      ])
      const reused = others.filter(({ status, body }) => status === 200 && body['access_token']).length
      t.equal(await isLive(newest), true, `after ${reused} refreshs`)
    }
  })

  t.test('no login with the old password outlives its change', async (t) => {
    for (let round = 0; round < 4; round++) {
      const carol = await user.person(`carol ${round}`)
      const login = (deviceKey: string) =>
        user.api.envelope(accounts.login, { telephone: carol.phone, password: '123456', deviceKey })
      const logins = ['ios', 'pc', 'mac', 'web', 'android'].map(login)
      const change = { oldPassword: '123456', newPassword: 'new' }
      await user.api.call(passwords.updatePassword, change, { as: carol.caller })
      const answers = await Promise.all(logins)
      for (const { resultCode, data } of answers) {
        if (resultCode === 1) t.equal(await isLive((data as { access_token: string }).access_token), false)
        else t.equal(resultCode, errors.WrongPassword.code)
      }
      await user.api.call(accounts.login, { telephone: carol.phone, password: 'new' })
    }
  })

  t.test('no login outlives a lock', async (t) => {
    const rita = await user.person('rita')
    const login = (deviceKey: string) =>
      user.api.envelope(accounts.login, { telephone: rita.phone, password: '123456', deviceKey })
    const logins = ['ios', 'pc', 'mac', 'web', 'android'].map(login)
    await user.internal.call(internalUsers.setLocked, { userId: rita.userId, locked: 1 })
    for (const { resultCode, data } of await Promise.all(logins)) {
      if (resultCode === 1) t.equal(await isLive((data as { access_token: string }).access_token), false)
      else t.equal(resultCode, errors.AccountLocked.code)
    }
  })

  t.test('one of two password changes wins', async (t) => {
    const dave = await user.person('dave')
    const change = (newPassword: string) =>
      user.api.envelope(passwords.updatePassword, { oldPassword: '123456', newPassword }, { as: dave.caller })
    const answers = await Promise.all(times(4, (n) => change(`new ${n}`)))
    const winners = answers.flatMap(({ resultCode }, n) => (resultCode === 1 ? [n] : []))
    t.equal(winners.length, 1)
    await user.api.call(accounts.login, { telephone: dave.phone, password: `new ${winners[0]}` })
  })

  t.test('updates of different parts of a profile are all kept, and its names log in afterwards', async (t) => {
    for (let round = 0; round < 3; round++) {
      const erin = await user.person(`erin ${round}`)
      const as = { as: erin.caller }
      const telephone = user.nextPhone()
      const { code: randcode } = await user.api.call(smsCodes.sendSms, { telephone, isRegister: 1 })
      const account = `erin_${round}`
      const update = (params: WireParams<typeof profiles.updateUser>) => user.api.call(profiles.updateUser, params, as)
      await Promise.all([
        update({ account }),
        update({ telephone, randcode }),
        update({ description: 'hello', cityId: 5 }),
        update({ nickname: 'Erin' }),
        user.api.call(userSettings.updateSettings, { allowGreet: 0 }, as),
        user.api.call(userSettings.updateSettings, { isTyping: 0 }, as),
      ])
      const me = await user.api.call(profiles.getUser, {}, as)
      t.strictSame(
        [me.account, me.phone, me.description, me.cityId, me.nickname, me.settings?.allowGreet, me.settings?.isTyping],
        [account, telephone, 'hello', 5, 'Erin', 0, 0],
      )
      for (const name of [account, telephone, `86${telephone}`])
        t.equal(
          (await user.api.call(accounts.login, { telephone: name, password: '123456' })).userId,
          erin.userId,
          name,
        )
      await t.rejects(
        user.api.call(accounts.login, { telephone: erin.phone, password: '123456' }),
        failure('AccountNotFound'),
      )
    }
  })

  t.test('what may happen once happens once', async (t) => {
    const [frank, grace] = await Promise.all([user.person('frank'), user.person('grace')])
    const as = { as: frank.caller }
    const accountChanges = await Promise.all(
      times(5, (n) => user.api.envelope(profiles.updateUser, { account: `frank_${n}` }, as)),
    )
    t.equal(accountChanges.filter(({ resultCode }) => resultCode === 1).length, 1)
    const payPassword = await outcomes(4, profiles.updateUser, { payPassword: '1' }, as)
    t.strictSame(payPassword, { Success: 1, PayPasswordWrong: 3 })
    const heidi = await user.person('heidi')
    const wanted = { account: 'wanted' }
    const answers = await Promise.all([
      user.api.envelope(profiles.updateUser, wanted, { as: grace.caller }),
      user.api.envelope(profiles.updateUser, wanted, { as: heidi.caller }),
    ])
    t.strictSame(answers.map(({ resultCode }) => resultCode).sort(), [1, errors.AccountTaken.code])
    const telephone = grace.phone
    const { code: randcode } = await user.api.call(smsCodes.sendSms, { telephone, isRegister: 0 })
    const resets = await outcomes(5, passwords.resetPassword, { telephone, randcode, newPassword: 'fresh' })
    t.strictSame(resets, { Success: 1, SmsCodeInvalid: 4 })
  })
})

test('a code is void after five wrong tries, however parallel', async (t) => {
  const user = await startUser(t, { LIMIT_FACTOR: '1', SMS_ECHO_CODE: 'true' })
  const alice = await user.person('alice')
  const { code } = await user.api.call(smsCodes.sendSms, { telephone: alice.phone, isRegister: 0 })
  let guesses = 0
  // Each from another address: what an address may do is another limit.
  const reset = (randcode: string) =>
    user.api.envelope(
      passwords.resetPassword,
      { telephone: alice.phone, randcode, newPassword: 'x' },
      { ip: `192.0.2.${++guesses}` },
    )
  const wrong = times(40, (n) => String(100_000 + n)).filter((guess) => guess !== code)
  const answers = await Promise.all(wrong.map(reset))
  t.ok(answers.every(({ resultCode }) => resultCode === errors.SmsCodeInvalid.code))
  t.equal((await reset(code)).resultCode, errors.SmsCodeInvalid.code)

  const afterWrong = async (count: number) => {
    const { phone: telephone } = await user.person(`after ${count}`)
    const sent = await user.api.call(smsCodes.sendSms, { telephone, isRegister: 0 })
    const resetOne = (randcode: string) =>
      user.api.envelope(passwords.resetPassword, { telephone, randcode, newPassword: 'x' })
    const tries = times(count + 1, (n) => String(100_000 + n)).filter((guess) => guess !== sent.code)
    await Promise.all(tries.slice(0, count).map(resetOne))
    return (await resetOne(sent.code)).resultCode
  }
  t.equal(await afterWrong(4), 1, 'four wrong ones leave the right one')
  t.equal(await afterWrong(5), errors.SmsCodeInvalid.code, 'five do not')
})

test('parallel guesses of a password are counted one by one', async (t) => {
  const user = await startUser(t, { LIMIT_FACTOR: '1' })
  const alice = await user.person('alice')
  const login = (password: string) => user.api.envelope(accounts.login, { telephone: alice.phone, password })
  const answers = await Promise.all(times(40, (n) => login(`guess ${n}`)))
  const count = (name: ErrorName) => answers.filter(({ resultCode }) => resultCode === errors[name].code).length
  t.strictSame([count('WrongPassword'), count('LoginTooOften')], [10, 30])
  const refused = await login('123456')
  t.equal(refused.resultCode, errors.LoginTooOften.code)
  t.equal(refused.resultMsg, '登录失败次数过多，请15分钟后再试')
})

test('right passwords in parallel are no failures', async (t) => {
  const user = await startUser(t, { LIMIT_FACTOR: '1' })
  const alice = await user.person('alice')
  const devices = ['android', 'ios', 'pc', 'mac', 'web']
  const login = (deviceKey: string) =>
    user.api.call(accounts.login, { telephone: alice.phone, password: '123456', deviceKey })
  await t.resolves(Promise.all([...devices, ...devices, ...devices].slice(0, 9).map(login)))
  for (const deviceKey of devices) await t.resolves(login(deviceKey))
})
