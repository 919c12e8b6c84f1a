import { createHash } from 'node:crypto'
import { errors } from '@im/contracts'
import { accounts, passwords, profiles, smsCodes } from '@im/contracts/user'
import { failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { postForm, startUser } from './start-user.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

test('login names', async (t) => {
  const user = await startUser(t, { SMS_ECHO_CODE: 'true' })
  const register = (telephone: string, areaCode: string, password: string) =>
    user.api.call(accounts.register, { telephone, areaCode, password, nickname: password })
  const login = async (telephone: string, areaCode: string | undefined, password: string) =>
    (await user.api.call(accounts.login, { telephone, areaCode, password })).userId

  t.test('twenty registrations of a number under other codes take nobody’s login', async (t) => {
    const number = '13800000007'
    const codes = '20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52'.split(' ')
    for (const areaCode of codes) await register(number, areaCode, 'mallory')
    const { userId } = await register(number, '86', 'owner')
    for (const name of [number, `86${number}`, md5(number), md5(`86${number}`)])
      for (const areaCode of ['86', undefined]) t.equal(await login(name, areaCode, 'owner'), userId, name)
    const granted = await postForm(user.url, '/oauth2/token', {
      grant_type: 'password',
      username: number,
      password: 'owner',
    })
    t.equal(granted.body['userId'], userId)
    await t.rejects(login(md5(number), '86', 'mallory'), failure('WrongPassword'))
    t.not(await login(md5(number), '49', 'mallory'), userId)
  })

  t.test(
    'a text that is the number of one and the whole number of another is the one’s whose password is given',
    async (t) => {
      const china = await register('13812345678', '86', 'china')
      const america = await register('3812345678', '1', 'america')
      for (const name of ['13812345678', md5('13812345678')]) {
        t.equal(await login(name, '86', 'china'), china.userId)
        t.equal(await login(name, '86', 'america'), america.userId)
        await t.rejects(login(name, '86', 'neither'), failure('WrongPassword'))
      }
    },
  )

  t.test('a number is found without its code, the proven one first and whoever came first', async (t) => {
    const number = '612345678'
    const first = await register(number, '31', 'first')
    for (const areaCode of ['34', '36', '38', '40', '420']) await register(number, areaCode, 'late').catch(() => {})
    t.equal(await login(number, undefined, 'first'), first.userId)
    const { code } = await user.api.call(smsCodes.sendSms, { telephone: number, areaCode: '33' })
    const proven = await user.api.call(accounts.register, {
      telephone: number,
      areaCode: '33',
      password: 'proven',
      nickname: 'proven',
      smsCode: code,
      isSmsRegister: 1,
    })
    t.equal(await login(md5(number), '86', 'proven'), proven.userId)
    t.equal(await login(md5(number), '86', 'first'), first.userId)
  })

  t.test('a number with its prefix for calls within the country is the same number', async (t) => {
    const { userId, telephone } = await register('07911 123456', '44', 'britain')
    t.equal(telephone, '447911123456')
    for (const name of ['7911123456', '07911123456', md5('07911123456'), md5('7911123456'), md5('447911123456')])
      t.equal(await login(name, '44', 'britain'), userId, name)
    await t.rejects(register('7911123456', '44', 'again'), failure('TelephoneTaken'))
  })

  t.test('a code is good for the number and area code it was sent to', async (t) => {
    const number = '13900001111'
    await register(number, '86', 'one')
    await register(number, '49', 'other')
    const { code } = await user.api.call(smsCodes.sendSms, { telephone: number, areaCode: '86', isRegister: 0 })
    const reset = (areaCode: string) =>
      user.api.envelope(passwords.resetPassword, { telephone: number, areaCode, randcode: code, newPassword: 'new' })
    t.equal((await reset('49')).resultCode, errors.SmsCodeInvalid.code)
    t.equal((await reset('86')).resultCode, 1)
    await login(number, '49', 'other')
  })

  t.test('another area code for the own number is another number', async (t) => {
    const alice = await user.person('alice')
    const as = { as: alice.caller }
    const own = await user.api.call(profiles.updateUser, { telephone: alice.phone, areaCode: '86' }, as)
    t.equal(own.areaCode, '86')
    const moved = { telephone: alice.phone, areaCode: '49' }
    await t.rejects(user.api.call(profiles.updateUser, moved, as), failure('SmsCodeInvalid'))
    user.passSeconds(61)
    const { code: randcode } = await user.api.call(smsCodes.sendSms, { ...moved, isRegister: 1 })
    const after = await user.api.call(profiles.updateUser, { ...moved, randcode }, as)
    t.strictSame([after.areaCode, after.phone, after.telephone], ['49', alice.phone, `49${alice.phone}`])
    t.equal(await login(alice.phone, '49', '123456'), alice.userId)
  })

  t.test('a user name and an account are one name: of two who want it at the same time one gets it', async (t) => {
    await user.configure({ regeditPhoneOrName: 1 })
    for (let round = 0; round < 5; round++) {
      const name = `bob_${round}`
      const rival = await register(`rival_${round}`, '', '1')
      const answers = await Promise.all([
        user.api.envelope(accounts.register, { telephone: name.toUpperCase(), password: '1', nickname: 'x' }),
        user.api.envelope(profiles.updateUser, { account: name }, { as: rival.userId }),
      ])
      t.equal(answers.filter(({ resultCode }) => resultCode === 1).length, 1, name)
    }
    await user.configure({ regeditPhoneOrName: 0 })
  })

  t.test('a user name of digits does not stand in front of a number, nor a number in front of it', async (t) => {
    const number = '13855556666'
    const byNumber = await register(number, '86', 'number')
    await user.configure({ regeditPhoneOrName: 1 })
    const byName = await register(number, '86', 'name')
    await user.configure({ regeditPhoneOrName: 0 })
    t.equal(await login(md5(number), '86', 'number'), byNumber.userId)
    t.equal(await login(md5(number), '86', 'name'), byName.userId)
  })
})

test('whoever fails at one of two accounts with the same login name does not close the other', async (t) => {
  const user = await startUser(t, { LIMIT_FACTOR: '1' })
  const china = { telephone: '13812345678', areaCode: '86', password: 'china', nickname: 'x' }
  const america = { telephone: '3812345678', areaCode: '1', password: 'america', nickname: 'x' }
  const { userId } = await user.api.call(accounts.register, china)
  await user.api.call(accounts.register, america)
  for (let n = 0; n < 10; n++)
    await t.rejects(
      user.api.call(accounts.login, { telephone: `+1${america.telephone}`, areaCode: '1', password: `${n}` }),
      failure('WrongPassword'),
    )
  await t.rejects(user.api.call(accounts.login, { ...america }), failure('LoginTooOften'))
  t.equal((await user.api.call(accounts.login, china)).userId, userId)
})
