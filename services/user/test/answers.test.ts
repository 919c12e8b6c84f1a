import { type Endpoint, errors } from '@im/contracts'
import { accounts, profiles, smsCodes, userSettings } from '@im/contracts/user'
import { type Envelope, failure, type TestCallOptions, type WireParams } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { startUser } from './start-user.ts'

type Kind = 'int' | 'number' | 'text' | 'list' | 'object'
const words = (text: string) => text.trim().split(/\s+/)
const table = (kinds: Partial<Record<Kind, string>>) =>
  Object.entries(kinds).flatMap(([kind, names]) => words(names).map((name) => [name, kind as Kind] as const))

// The tables of spec 02-user.md, written down again on purpose: what apps rely on, not what the contract happens to say.
const settingsFields = table({
  int: `allowAtt allowGreet friendsVerify openService closeTelephoneFind isEncrypt isVibration isTyping isUseGoogleMap
    multipleDevices isKeepalive phoneSearch nameSearch showLastLoginTime showTelephone`,
  number: 'chatRecordTimeOut chatSyncTimeLen groupChatSyncTimeLen',
  text: 'friendFromList',
})
const loginFields = table({
  int: 'isFirstLogin loginTime offlineTime isupdate',
  text: 'serial model osVersion apiVersion location address',
  number: 'latitude longitude',
})
const loginResultFields = table({
  text: 'access_token nickname telephone areaCode account description',
  int: `expires_in userId companyId setAccountCount sex birthday createTime countryId provinceId cityId areaId status vip level
    attCount fansCount userType multipleDevices offlineNoPushMsg payPassword friendCount isupdate`,
  list: 'role',
  object: 'login settings',
})
const userFields = table({
  text: 'account nickname description headImg headThumImg',
  int: `userId setAccountCount userType sex birthday countryId provinceId cityId areaId status level vip isAuth createTime attCount
    fansCount friendsCount companyId onlinestate showLastLoginTime payPassword multipleDevices offlineNoPushMsg msgNum`,
  number: 'money moneyTotal balance integral integralTotal',
  list: 'attList fansList friendsList role',
})
const ownFields = table({ text: 'telephone phone areaCode', object: 'settings login loginLog' })

function kindOf(value: unknown): Kind | undefined {
  if (Array.isArray(value)) return 'list'
  if (typeof value === 'string') return 'text'
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'number'
  return typeof value === 'object' && value !== null ? 'object' : undefined
}

function hasFields(t: Test, value: unknown, fields: readonly (readonly [string, Kind])[], optional = ''): void {
  const row = value as Record<string, unknown>
  const known = new Set([...fields.map(([name]) => name), ...words(optional)])
  t.strictSame(
    Object.keys(row).filter((name) => !known.has(name)),
    [],
    'nothing else',
  )
  for (const [name, kind] of fields) {
    const found = kindOf(row[name])
    t.ok(found === kind || (kind === 'number' && found === 'int'), `${name}: ${kind}, found ${row[name]}`)
  }
}

test('answers', async (t) => {
  const user = await startUser(t)
  const onPhone = { latitude: 22.5123456, longitude: 113.9, model: 'MI 8', osVersion: '10' }
  const alice = await user.person('alice', onPhone)
  const bob = await user.person('bob')
  const ask = <E extends Endpoint>(endpoint: E, params: WireParams<E>, as?: TestCallOptions): Promise<Envelope> =>
    user.api.envelope(endpoint, params, as)

  t.test('login and login/auto answer all that apps read, as the types they read', async (t) => {
    const first = await ask(accounts.login, { telephone: alice.phone, password: '123456', serial: 'serial-alice' })
    hasFields(t, first.data, loginResultFields)
    const result = first.data as Record<string, Record<string, unknown>>
    hasFields(t, result['settings'], settingsFields)
    hasFields(t, result['login'], loginFields)
    t.strictSame(
      [
        result['login']?.['model'],
        result['login']?.['latitude'],
        result['login']?.['isFirstLogin'],
        result['isupdate'],
      ],
      ['MI 8', 22.5123456, 0, 0],
      'the login before, on the same device',
    )
    const access_token = String(result['access_token'])
    const auto = async (params: object) =>
      (await ask(accounts.autoLogin, { access_token, userId: alice.userId, ...params })).data as Record<string, unknown>
    hasFields(t, await auto({}), [...loginResultFields, ...table({ int: 'tokenExists serialStatus' })])
    const told = async (params: object) => {
      const { tokenExists, serialStatus, isupdate } = await auto(params)
      return [tokenExists, serialStatus, isupdate]
    }
    t.strictSame(await told({}), [1, 1, 1])
    t.strictSame(await told({ serial: 'serial-alice' }), [1, 2, 0])
    t.strictSame(await told({ serial: 'other' }), [1, 3, 1])
    const stranger = await ask(accounts.autoLogin, { access_token, userId: bob.userId })
    t.equal(stranger.resultCode, errors.TokenInvalid.code)
  })

  t.test('a session without serial takes the first one it is shown', async (t) => {
    const { access_token } = await user.api.call(accounts.login, {
      telephone: bob.phone,
      password: '123456',
      deviceKey: 'pc',
    })
    const status = async (serial: string) =>
      (await user.api.call(accounts.autoLogin, { access_token, serial })).serialStatus
    t.strictSame([await status('A'), await status('A'), await status('B')], [2, 2, 3])
  })

  t.test('users see all of themselves, and of others what those show', async (t) => {
    const own = await ask(profiles.getUser, {}, { as: alice.caller })
    hasFields(t, own.data, [...userFields, ...ownFields], 'loc myInviteCode')
    const me = own.data as Record<string, unknown>
    hasFields(t, me['settings'], settingsFields)
    hasFields(t, me['login'], loginFields)
    t.strictSame(me['loc'], { lat: 22.5123456, lng: 113.9 })
    t.strictSame(me['login'], me['loginLog'])
    for (const userId of ['0', '', String(alice.userId), 'null'])
      t.strictSame((await ask(profiles.getUser, { userId }, { as: alice.caller })).data, me, userId)

    const seen = await ask(profiles.getUser, { userId: String(alice.userId) }, { as: bob.caller })
    hasFields(t, seen.data, userFields)
    await user.api.call(userSettings.updateSettings, { showTelephone: 1, showLastLoginTime: -1 }, { as: alice.caller })
    const shown = await ask(profiles.getUserByAccount, { account: String(me['account']) }, { as: bob.caller })
    hasFields(t, shown.data, [...userFields, ...table({ text: 'telephone phone areaCode' })])
    t.equal((shown.data as Record<string, unknown>)['showLastLoginTime'], 0)
  })

  t.test('who does not exist, or is not shown, is told as the endpoint says', async (t) => {
    const as = { as: bob.caller }
    for (const userId of ['2147483647', '99999999999', '-1', 'nobody', '10005'])
      t.equal((await ask(profiles.getUser, { userId }, as)).resultCode, errors.UserNotFound.code, userId)
    t.equal((await ask(profiles.getUser, { userId: '10000' }, as)).resultCode, 1)
    t.equal((await ask(profiles.getUserByAccount, { account: '10005' }, as)).resultCode, errors.AccountUnknown.code)
    t.equal((await ask(userSettings.getSettings, { userId: 10005 }, as)).resultCode, errors.UserNotFound.code)
    t.equal((await ask(profiles.getOnlineState, { userId: 2_147_483_647 }, as)).resultCode, errors.UserNotFound.code)
    t.equal((await ask(profiles.getOnlineState, {}, as)).data, 0)
  })

  t.test('/verify/telephone says in both directions whether a number is registered', async (t) => {
    const free = user.nextPhone()
    const verify = async (telephone: string, verifyType?: number, language?: string) => {
      const answer = await ask(smsCodes.verifyTelephone, { telephone, verifyType, language })
      return [answer.resultCode, answer.resultMsg, 'data' in answer]
    }
    t.strictSame(await verify(free), [1, '手机号未注册', false])
    t.strictSame(await verify(alice.phone), [0, '手机号已注册', false])
    t.strictSame(await verify(free, 1), [0, '手机号未注册', false])
    t.strictSame(await verify(alice.phone, 1, 'en'), [1, 'The number is registered', false])
    t.strictSame((await verify('12'))[0], errors.TelephoneInvalid.code)
  })

  t.test('settings take what their table says and nothing else', async (t) => {
    const as = { as: bob.caller }
    const set = async (name: string, value: string | number) =>
      (await ask(userSettings.updateSettings, { [name]: value } as never, as)).resultCode
    const get = async (name: string) =>
      ((await ask(userSettings.getSettings, {}, as)).data as Record<string, unknown>)[name]
    const flags =
      words(`allowAtt allowGreet friendsVerify closeTelephoneFind isEncrypt isVibration isTyping isUseGoogleMap
      multipleDevices isKeepalive phoneSearch nameSearch`)
    for (const name of flags) {
      for (const [sent, stored] of [
        ['1', 1],
        ['false', 0],
        ['true', 1],
        ['-1', 1],
        ['', 1],
        [0, 0],
      ] as const) {
        t.equal(await set(name, sent), 1, name)
        t.equal(await get(name), stored, `${name}=${sent}`)
      }
      for (const bad of ['2', '-2', 'x']) t.equal(await set(name, bad), errors.InvalidParams.code, `${name}=${bad}`)
    }
    for (const name of ['showLastLoginTime', 'showTelephone']) {
      for (const value of [2, 3, -1, 1]) {
        t.equal(await set(name, value), 1)
        t.equal(await get(name), value, name)
      }
      for (const bad of [0, 4, -2]) t.equal(await set(name, bad), errors.InvalidParams.code, `${name}=${bad}`)
    }
    for (const name of ['chatRecordTimeOut', 'chatSyncTimeLen', 'groupChatSyncTimeLen']) {
      for (const [sent, stored] of [
        ['0.04', 0.04],
        ['30天', 30],
        [-1, -1],
        [-2, -2],
        [0, 0],
      ] as const) {
        t.equal(await set(name, sent), 1)
        t.equal(await get(name), stored, `${name}=${sent}`)
      }
      for (const bad of ['-3', '1e9', '10000000000', 'week']) t.equal(await set(name, bad), errors.InvalidParams.code)
    }
    for (const [sent, stored] of [
      ['5,3,3', '3,5'],
      ['0', ''],
      ['1,2', '1,2'],
      ['-1', ''],
    ] as const) {
      t.equal(await set('friendFromList', sent), 1)
      t.equal(await get('friendFromList'), stored, sent)
    }
    t.equal(await set('friendFromList', '6'), errors.InvalidParams.code)
  })

  t.test('a profile takes what its table says, all of it or nothing', async (t) => {
    const as = { as: bob.caller }
    const update = (params: WireParams<typeof profiles.updateUser>) => ask(profiles.updateUser, params, as)
    const code = async (params: WireParams<typeof profiles.updateUser>) => (await update(params)).resultCode
    const before = (await ask(profiles.getUser, {}, as)).data
    t.strictSame((await update({})).data, before, 'nothing given, nothing changed')
    t.strictSame((await update({ nickname: ' ', sex: '', password: 'x', telephone: bob.phone })).data, before)
    const changed = await update({ nickname: 'Bob', sex: 1, birthday: 631_152_000_000, description: 'x', countryId: 1 })
    const me = changed.data as Record<string, unknown>
    hasFields(t, me, [...userFields, ...ownFields], 'loc myInviteCode msgBackGroundUrl')
    t.strictSame([me['nickname'], me['sex'], me['birthday'], me['description']], ['Bob', 1, 631_152_000, 'x'])
    t.equal(((await update({ description: ' ' })).data as { description: string }).description, '')
    for (const bad of [
      { sex: 2 },
      { countryId: '2147483648' },
      { cityId: '99999999999999999999' },
      { birthday: '1e300' },
      { birthday: '99999999999999999999' },
      { account: '123456' },
      { account: 'a'.repeat(19) },
      { account: 'a b' },
      { account: '$ne' },
      { telephone: 'f'.repeat(32) },
    ])
      t.equal(await code(bad as never), errors.InvalidParams.code, JSON.stringify(bad))
    t.equal(await code({ userType: 2 }), errors.PermissionDenied.code)
    t.equal(await code({ userType: 1 }), 1)
    t.equal(await code({ telephone: user.nextPhone() }), errors.SmsCodeInvalid.code)
    t.equal(await code({ telephone: alice.phone }), errors.TelephoneTaken.code)
    t.equal(await code({ nickname: 'lost', account: 'bob_1', telephone: alice.phone }), errors.TelephoneTaken.code)
    const after = (await ask(profiles.getUser, {}, as)).data as Record<string, unknown>
    t.strictSame([after['nickname'], after['account']], ['Bob', (before as Record<string, unknown>)['account']])
    t.equal(await code({ payPassword: '1', multipleDevices: 0 }), 1)
    const paying = (await ask(profiles.getUser, {}, as)).data as Record<string, unknown>
    t.strictSame([paying['payPassword'], paying['multipleDevices']], [1, 0])
    t.equal(await code({ payPassword: '2' }), errors.PayPasswordWrong.code)
  })

  t.test('an account name is nobody else’s login name, nor a user name somebody’s account', async (t) => {
    await user.configure({ regeditPhoneOrName: 1 })
    const register = (telephone: string) => ask(accounts.register, { telephone, password: '1', nickname: 'x' })
    t.equal((await register('Carol_1')).resultCode, 1)
    const taken = await ask(profiles.updateUser, { account: 'carol_1' }, { as: alice.caller })
    t.equal(taken.resultCode, errors.AccountTaken.code)
    t.equal((await ask(profiles.updateUser, { account: 'alice_1' }, { as: alice.caller })).resultCode, 1)
    t.equal((await register('Alice_1')).resultCode, errors.TelephoneTaken.code)
    await user.api.call(accounts.login, { telephone: 'CAROL_1'.toLowerCase(), password: '1' })
    await user.configure({ regeditPhoneOrName: 0 })
  })

  t.test('a wrong type is named', async (t) => {
    const post = async (path: string, body: object) => {
      const answer = await fetch(user.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      return (await answer.json()) as Envelope
    }
    for (const value of [{ $ne: null }, ['x'], [], {}]) {
      const login = await post('/user/login', { telephone: value, password: '123456' })
      t.strictSame([login.resultCode, login.detailMsg], [errors.InvalidParams.code, 'telephone: not a text'])
      const wrong = await post('/user/login', { telephone: alice.phone, password: value })
      t.strictSame([wrong.resultCode, wrong.detailMsg], [errors.InvalidParams.code, 'password: not a text'])
    }
    const operator = await post('/user/login', { 'telephone[$ne]': 'x', password: '1' })
    t.strictSame([operator.resultCode, operator.detailMsg], [errors.MissingParam.code, 'telephone'])
    await t.rejects(user.api.call(accounts.login, { telephone: alice.phone }), failure('MissingParam'))
  })
})
