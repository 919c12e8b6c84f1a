import assert from 'node:assert/strict'
import { before, suite, test } from 'node:test'
import { accounts, LoginResult, smsCodes, userRegistered } from '@im/contracts/user'
import { eventually } from '@im/service-kit/testing'
import { failure, startUser } from './start-user.ts'

suite('registration', () => {
  let user: Awaited<ReturnType<typeof startUser>>
  const cleanups: (() => Promise<void>)[] = []
  before(async () => {
    user = await startUser({ after: (end: unknown) => cleanups.push(end as () => Promise<void>) })
    return async () => {}
  })
  test.after(async () => {
    for (const end of cleanups) await end()
  })

  test('alice registers, is logged in at once and is told everything apps read', async () => {
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
    assert.deepEqual(required.filter((name) => !(name in alice)).sort(), [])
    assert.deepEqual(
      Object.keys(alice).filter((name) => !required.includes(name)),
      [],
    )
    assert.match(alice.access_token, /^[0-9a-f]{32}$/)
    assert.equal(alice.expires_in, 604_800)
    assert.equal(alice.userId, 10_000_001)
    assert.equal(alice.nickname, 'alice')
    assert.equal(alice.telephone, '8613800000001')
    assert.equal(alice.areaCode, '86')
    assert.equal(alice.birthday, 978_307_200)
    assert.match(alice.account, /^10000001\d{6}$/)
    assert.equal(alice.login.isFirstLogin, 1)
    assert.equal(alice.login.loginTime, 0)
    assert.equal(alice.settings.showTelephone, 2)
    assert.equal(alice.settings.friendFromList, '1,2,3,4,5')
    assert.deepEqual(alice.role, [])
    const [event] = await eventually(() => events.length > 0 && events)
    assert.deepEqual(
      { userId: event?.userId, telephone: event?.telephone, nickname: event?.nickname, friends: event?.defaultFriends },
      { userId: 10_000_001, telephone: '8613800000001', nickname: 'alice', friends: [] },
    )
  })

  test('her number is taken then, also in another spelling, but free under another area code', async () => {
    const again = { password: '1', nickname: 'mallory' }
    await assert.rejects(
      user.api.call(accounts.register, { ...again, telephone: '0086 13800000001' }),
      failure('TelephoneTaken'),
    )
    const other = await user.api.call(accounts.register, { ...again, telephone: '13800000001', areaCode: '1' })
    assert.equal(other.telephone, '113800000001')
  })

  test('of many registrations of one number at the same time one wins and the others are told why', async () => {
    const telephone = user.nextPhone()
    const tries = Array.from({ length: 8 }, (_, i) =>
      user.api.envelope(accounts.register, { telephone, password: '1', nickname: `racer ${i}` }),
    )
    const codes = (await Promise.all(tries)).map(({ resultCode }) => resultCode).sort()
    assert.deepEqual(codes, [1, ...Array(7).fill(1_040_107)])
  })

  test('ids are numbers that rise and no two users share one', async () => {
    const people = await Promise.all(Array.from({ length: 10 }, (_, i) => user.person(`crowd ${i}`)))
    const ids = new Set(people.map(({ userId }) => userId))
    assert.equal(ids.size, 10)
    assert.ok([...ids].every((id) => Number.isInteger(id) && id > 10_000_001))
  })

  test('what is missing or wrong is named', async () => {
    const good = { telephone: user.nextPhone(), password: '1', nickname: 'x' }
    const answer = await user.api.envelope(accounts.register, { ...good, nickname: '  ' })
    assert.deepEqual([answer.resultCode, answer.detailMsg], [1_010_102, 'nickname'])
    const bad = async (more: Record<string, unknown>, name: Parameters<typeof failure>[0]) =>
      assert.rejects(user.api.call(accounts.register, { ...good, ...more }), failure(name))
    await bad({ telephone: '123' }, 'TelephoneInvalid')
    await bad({ nickname: 'x'.repeat(33) }, 'InvalidParams')
    await bad({ sex: 2 }, 'InvalidParams')
    await bad({ description: 'x'.repeat(201) }, 'InvalidParams')
    await bad({ userType: 2 }, 'PermissionDenied')
    await bad({ userType: 3 }, 'PermissionDenied')
    await bad({ smsCode: '123456' }, 'SmsCodeInvalid')
    assert.equal((await user.api.call(accounts.register, { ...good, userType: 1 })).userType, 0)
  })

  test('a right SMS code proves the number once', async () => {
    const telephone = user.nextPhone()
    const { code } = await user.api.call(smsCodes.sendSms, { telephone, isRegister: 1 })
    assert.match(code, /^[1-9]\d{5}$/)
    const params = { telephone, password: '1', nickname: 'carol', isSmsRegister: 1 }
    await assert.rejects(user.api.call(accounts.register, { ...params, smsCode: '000000' }), failure('SmsCodeInvalid'))
    await user.api.call(accounts.register, { ...params, randcode: code })
    await assert.rejects(user.api.call(accounts.register, { ...params, smsCode: code }), failure('TelephoneTaken'))
  })

  test('the stored configuration decides who may register and what new users start with', async () => {
    await user.configure({ registerInviteCode: 1 })
    const params = { telephone: user.nextPhone(), password: '1', nickname: 'dave' }
    await assert.rejects(user.api.call(accounts.register, params), failure('InviteCodeRequired'))
    await assert.rejects(
      user.api.call(accounts.register, { ...params, inviteCode: 'nope' }),
      failure('InviteCodeInvalid'),
    )

    await user.configure({ registerInviteCode: 2, isFriendsVerify: 1, isMultiLogin: 0 })
    const dave = await user.api.call(accounts.register, params)
    assert.deepEqual([dave.settings.friendsVerify, dave.multipleDevices], [1, 0])
    assert.match(dave.myInviteCode ?? '', /^[0-9a-f]{8}$/)
    await user.configure({ registerInviteCode: 1, defaultTelephones: [`86${params.telephone}`] })
    const events = await user.events(userRegistered)
    const inviteCode = dave.myInviteCode ?? ''
    const erin = await user.person('erin', { inviteCode })
    const event = await eventually(() => events.find(({ userId }) => userId === erin.userId))
    assert.deepEqual(event.defaultFriends, [dave.userId])

    await user.configure({ registerInviteCode: 0, regeditPhoneOrName: 1 })
    const frank = await user.api.call(accounts.register, { ...params, telephone: 'Frank_1' })
    assert.equal(frank.telephone, 'Frank_1')
    await assert.rejects(
      user.api.call(accounts.register, { ...params, telephone: 'frank_1' }),
      failure('TelephoneTaken'),
    )
    assert.equal((await user.api.call(accounts.login, { telephone: 'Frank_1', password: '1' })).userId, frank.userId)

    await user.configure({ regeditPhoneOrName: 0, isOpenRegister: 0 })
    await assert.rejects(
      user.api.call(accounts.register, { ...params, telephone: user.nextPhone() }),
      failure('RegisterClosed'),
    )
  })
})

test('with REGISTER_REQUIRE_SMS nobody gets in without a code', async (t) => {
  const { api, nextPhone } = await startUser(t, { REGISTER_REQUIRE_SMS: 'true' })
  const params = { telephone: nextPhone(), password: '1', nickname: 'x' }
  await assert.rejects(api.call(accounts.register, params), failure('SmsCodeInvalid'))
  const { code } = await api.call(smsCodes.sendSms, { telephone: params.telephone })
  await api.call(accounts.register, { ...params, verificationCode: code })
})

test('one device registers three accounts a day', async (t) => {
  const { api, nextPhone } = await startUser(t, { LIMIT_FACTOR: '1', ALLOW_PUBLIC_REGISTER: 'true' })
  const register = () =>
    api.call(accounts.register, { telephone: nextPhone(), password: '1', nickname: 'x', serial: 'S', userType: 2 })
  for (let i = 0; i < 3; i++) assert.equal((await register()).userType, 2)
  await assert.rejects(register(), failure('RateLimited'))
})
