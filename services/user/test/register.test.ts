import { accounts, LoginResult, profiles, smsCodes, userRegistered } from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('registration', async (t) => {
  const user = await startUser(t)

  t.test('alice registers, is logged in at once and is told everything apps read', async (t) => {
    const events = await user.events(userRegistered)
    const alice = await user.api.call(accounts.register, {
      telephone: '+86 138-0000-0001',
      password: 'e10adc3949ba59abbe56e057f20f883e',
      nickname: ' alice ',
      sex: 0,
      birthday: 978_307_200_123,
      description: 'hello',
      model: 'iPhone',
      serial: 'A1',
    })
    const required = LoginResult.required as string[]
    t.strictSame(required.filter((name) => !(name in alice)).sort(), [])
    t.strictSame(
      Object.keys(alice).filter((name) => !required.includes(name)),
      [],
    )
    t.match(alice.access_token, /^[0-9a-f]{32}$/)
    t.equal(alice.expires_in, 604_800)
    t.equal(alice.userId, 10_000_001)
    t.equal(alice.nickname, 'alice')
    t.equal(alice.telephone, '8613800000001')
    t.equal(alice.areaCode, '86')
    t.equal(alice.birthday, 978_307_200)
    t.match(alice.account, /^10000001\d{6}$/)
    t.equal(alice.login.isFirstLogin, 1)
    t.equal(alice.login.loginTime, 0)
    t.equal(alice.settings.showTelephone, 2)
    t.equal(alice.settings.friendFromList, '1,2,3,4,5')
    t.strictSame(alice.role, [])
    t.match(alice, { friendCount: 1, attCount: 1, fansCount: 1 }, 'the system account')
    const [event] = await eventually(() => events.length > 0 && events)
    t.strictSame(
      { userId: event?.userId, telephone: event?.telephone, nickname: event?.nickname, friends: event?.defaultFriends },
      { userId: 10_000_001, telephone: '8613800000001', nickname: 'alice', friends: [] },
    )
  })

  t.test('her number is taken then, also in another spelling, but free under another area code', async (t) => {
    const again = { password: '1', nickname: 'mallory' }
    await t.rejects(
      user.api.call(accounts.register, { ...again, telephone: '0086 13800000001' }),
      failure('TelephoneTaken'),
    )
    const other = await user.api.call(accounts.register, { ...again, telephone: '13800000001', areaCode: '49' })
    t.equal(other.telephone, '4913800000001')
  })

  t.test('the digits of a number in another split, under a code of no country, do not take it', async (t) => {
    const params = { password: '1', nickname: 'mallory' }
    for (const [telephone, areaCode] of [
      ['3800000009', '861'],
      ['13800000009', '9900'],
    ] as const)
      await t.rejects(
        user.api.call(accounts.register, { ...params, telephone, areaCode }),
        failure('TelephoneInvalid'),
        areaCode,
      )
    const owner = await user.api.call(accounts.register, { ...params, telephone: '13800000009', areaCode: '+86' })
    t.equal(owner.telephone, '8613800000009')
  })

  t.test('of many registrations of one number at the same time one wins and the others are told why', async (t) => {
    const telephone = user.nextPhone()
    const tries = Array.from({ length: 8 }, (_, i) =>
      user.api.envelope(accounts.register, { telephone, password: '1', nickname: `racer ${i}` }),
    )
    const codes = (await Promise.all(tries)).map(({ resultCode }) => resultCode).sort()
    t.strictSame(codes, [1, ...Array(7).fill(1_040_107)])
  })

  t.test('ids are numbers that rise and no two users share one', async (t) => {
    const people = await Promise.all(Array.from({ length: 10 }, (_, i) => user.person(`crowd ${i}`)))
    const ids = new Set(people.map(({ userId }) => userId))
    t.equal(ids.size, 10)
    t.ok([...ids].every((id) => Number.isInteger(id) && id > 10_000_001))
  })

  t.test('what is missing or wrong is named', async (t) => {
    const good = { telephone: user.nextPhone(), password: '1', nickname: 'x' }
    const answer = await user.api.envelope(accounts.register, { ...good, nickname: '  ' })
    t.strictSame([answer.resultCode, answer.detailMsg], [1_010_102, 'nickname'])
    const bad = async (more: Record<string, unknown>, name: Parameters<typeof failure>[0]) =>
      t.rejects(user.api.call(accounts.register, { ...good, ...more }), failure(name))
    await bad({ telephone: '123' }, 'TelephoneInvalid')
    await bad({ nickname: 'x'.repeat(33) }, 'InvalidParams')
    await bad({ sex: 2 }, 'InvalidParams')
    await bad({ description: 'x'.repeat(201) }, 'InvalidParams')
    await bad({ userType: 2 }, 'PermissionDenied')
    await bad({ userType: 3 }, 'PermissionDenied')
    await bad({ smsCode: '123456' }, 'SmsCodeInvalid')
    t.equal((await user.api.call(accounts.register, { ...good, userType: 1 })).userType, 0)
  })

  t.test('a right SMS code proves the number once', async (t) => {
    const telephone = user.nextPhone()
    const { code } = await user.api.call(smsCodes.sendSms, { telephone, isRegister: 1 })
    t.match(code, /^[1-9]\d{5}$/)
    const params = { telephone, password: '1', nickname: 'carol', isSmsRegister: 1 }
    await t.rejects(user.api.call(accounts.register, { ...params, smsCode: '000000' }), failure('SmsCodeInvalid'))
    await user.api.call(accounts.register, { ...params, randcode: code })
    await t.rejects(user.api.call(accounts.register, { ...params, smsCode: code }), failure('TelephoneTaken'))
  })

  t.test('the stored configuration decides who may register and what new users start with', async (t) => {
    await user.configure({ registerInviteCode: 1 })
    const params = { telephone: user.nextPhone(), password: '1', nickname: 'dave' }
    await t.rejects(user.api.call(accounts.register, params), failure('InviteCodeRequired'))
    await t.rejects(user.api.call(accounts.register, { ...params, inviteCode: 'nope' }), failure('InviteCodeInvalid'))

    await user.configure({ registerInviteCode: 2, isFriendsVerify: 1, isMultiLogin: 0 })
    const dave = await user.api.call(accounts.register, params)
    t.strictSame([dave.settings.friendsVerify, dave.multipleDevices], [1, 0])
    t.match(dave.myInviteCode ?? '', /^[0-9a-f]{16}$/)
    await user.configure({ registerInviteCode: 1, defaultTelephones: [`86${params.telephone}`] })
    const events = await user.events(userRegistered)
    const inviteCode = dave.myInviteCode ?? ''
    const erin = await user.person('erin', { inviteCode })
    const event = await eventually(() => events.find(({ userId }) => userId === erin.userId))
    t.strictSame(event.defaultFriends, [dave.userId])

    await user.configure({ registerInviteCode: 0, regeditPhoneOrName: 1 })
    const frank = await user.api.call(accounts.register, { ...params, telephone: 'Frank_1' })
    t.equal(frank.telephone, 'Frank_1')
    await t.rejects(user.api.call(accounts.register, { ...params, telephone: 'frank_1' }), failure('TelephoneTaken'))
    t.equal((await user.api.call(accounts.login, { telephone: 'Frank_1', password: '1' })).userId, frank.userId)

    await user.configure({ regeditPhoneOrName: 0, isOpenRegister: 0 })
    await t.rejects(
      user.api.call(accounts.register, { ...params, telephone: user.nextPhone() }),
      failure('RegisterClosed'),
    )
  })
})

test('an invite code that somebody has is made up again', async (t) => {
  const made = ['aaaaaaaaaaaaaaaa', 'aaaaaaaaaaaaaaaa', 'aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb']
  const { configure, person, api } = await startUser(t, {}, { newInviteCode: () => made.shift() ?? 'c'.repeat(16) })
  await configure({ registerInviteCode: 2 })
  const codeOf = async (name: string) => {
    const { caller } = await person(name)
    return (await api.call(profiles.getUser, {}, { as: caller })).myInviteCode
  }
  t.strictSame([await codeOf('alice'), await codeOf('bob')], ['a'.repeat(16), 'b'.repeat(16)])
})

test('with REGISTER_REQUIRE_SMS nobody gets in without a code', async (t) => {
  const { api, nextPhone } = await startUser(t, { REGISTER_REQUIRE_SMS: 'true' })
  const params = { telephone: nextPhone(), password: '1', nickname: 'x' }
  await t.rejects(api.call(accounts.register, params), failure('SmsCodeInvalid'))
  const { code } = await api.call(smsCodes.sendSms, { telephone: params.telephone })
  await api.call(accounts.register, { ...params, verificationCode: code })
})

test('one device registers three accounts a day', async (t) => {
  const { api, nextPhone } = await startUser(t, { LIMIT_FACTOR: '1', ALLOW_PUBLIC_REGISTER: 'true' })
  const register = () =>
    api.call(accounts.register, { telephone: nextPhone(), password: '1', nickname: 'x', serial: 'S', userType: 2 })
  for (let i = 0; i < 3; i++) t.equal((await register()).userType, 2)
  await t.rejects(register(), failure('RateLimited'))
})
