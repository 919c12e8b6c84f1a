import { createHash } from 'node:crypto'
import { errors } from '@im/contracts'
import {
  accounts,
  internalSessions,
  internalUsers,
  oauth,
  passwordChanged,
  passwordReplaced,
  passwords,
  profiles,
  sessionRevoked,
  settingsChanged,
  smsCodes,
  userSettings,
  xmppAccounts,
} from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { tokenId } from '../src/sessions/tokens.ts'
import { md5Of123456, postForm, startUser } from './start-user.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

test('sessions', async (t) => {
  const user = await startUser(t, { SMS_ECHO_CODE: 'true' })

  const isLive = async (token: string) =>
    (await user.internal.call(internalSessions.resolveSession, { sessionId: tokenId(token) })).exists === 1

  const post = (path: string, fields: Record<string, string>, headers?: Record<string, string>) =>
    postForm(user.url, path, fields, headers)

  t.test('alice logs in by any of her names, plain or as md5', async (t) => {
    const alice = await user.person('alice')
    const me = await user.api.call(profiles.getUser, {}, { as: alice.caller })
    for (const telephone of [
      alice.phone,
      md5(alice.phone),
      md5(`86${alice.phone}`),
      me.account,
      md5(me.account ?? ''),
    ]) {
      const login = await user.api.call(accounts.login, { telephone, password: md5Of123456, deviceKey: 'ios' })
      t.equal(login.userId, alice.userId)
      t.match(login.access_token, /^[0-9a-f]{32}$/)
      t.equal(login.expires_in, 604_800)
      t.equal('password' in login, false)
    }
    await t.rejects(
      user.api.call(accounts.login, { telephone: '13700000000', password: '1' }),
      failure('AccountNotFound'),
    )
    await t.rejects(user.api.call(accounts.login, { telephone: alice.phone, password: 'x' }), failure('WrongPassword'))
    await t.rejects(user.api.call(accounts.login, { telephone: '10000', password: 'x' }))
  })

  t.test('a login ends the session of its device class only, or all others with one device allowed', async (t) => {
    const bob = await user.person('bob')
    const revoked = await user.events(sessionRevoked)
    const login = (deviceKey: string) =>
      user.api.call(accounts.login, { telephone: bob.phone, password: '123456', deviceKey })
    const ios = await login('ios')
    t.equal(await isLive(bob.token), true, 'the Android phone stays')
    const again = await login('ios')
    t.equal(await isLive(ios.access_token), false)
    await eventually(() => revoked.some((event) => event.sessionIds.includes(tokenId(ios.access_token))))
    await user.api.call(userSettings.updateSettings, { multipleDevices: 0 }, { as: bob.caller })
    const pc = await login('pc')
    t.strictSame(
      [await isLive(bob.token), await isLive(again.access_token), await isLive(pc.access_token)],
      [false, false, true],
    )
  })

  t.test('login/auto renews a live session and says when there is none; logout ends it', async (t) => {
    const carol = await user.person('carol')
    const call = { as: carol.caller, token: carol.token }
    const auto = await user.api.envelope(
      accounts.autoLogin,
      { access_token: carol.token, userId: carol.userId, serial: 'serial-carol' },
      call,
    )
    const data = auto.data as Record<string, unknown>
    t.strictSame([data['access_token'], data['tokenExists'], data['serialStatus']], [carol.token, 1, 2])
    const another = { access_token: carol.token, userId: carol.userId + 1, serial: 'serial-carol' }
    t.equal((await user.api.envelope(accounts.autoLogin, another)).resultCode, 1030102, 'the token of somebody else')
    const gone = await user.api.envelope(accounts.autoLogin, {
      access_token: 'f'.repeat(32),
      userId: carol.userId,
      serial: 'another',
    })
    t.strictSame(gone.data, { serialStatus: 3, tokenExists: 0, userId: carol.userId })
    t.equal((await user.api.envelope(accounts.autoLogin, { access_token: 'f'.repeat(32) })).resultCode, 1030102)
    t.equal((await user.api.envelope(accounts.autoLogin, {})).resultCode, 1030101)
    await user.api.call(accounts.logout, {}, call)
    t.equal(await isLive(carol.token), false)
  })

  t.test('a new password ends every session and is announced', async (t) => {
    const dave = await user.person('dave')
    const changed = await user.events(passwordChanged)
    const replaced = await user.events(passwordReplaced)
    await t.rejects(
      user.api.call(passwords.updatePassword, { oldPassword: 'no', newPassword: 'new' }, { as: dave.caller }),
      failure('WrongOldPassword'),
    )
    await user.api.call(passwords.updatePassword, { oldPassword: '123456', newPassword: 'new' }, { as: dave.caller })
    t.equal(await isLive(dave.token), false)
    await eventually(() => changed.some(({ userId }) => userId === dave.userId))
    await eventually(() => replaced.some(({ userId, version }) => userId === dave.userId && version === 2))
    await t.rejects(
      user.api.call(accounts.login, { telephone: dave.phone, password: '123456' }),
      failure('WrongPassword'),
    )
    await user.api.call(accounts.login, { telephone: dave.phone, password: 'new' })
  })

  t.test('a forgotten password is reset with an SMS code, once', async (t) => {
    const erin = await user.person('erin')
    const { code } = await user.api.call(smsCodes.sendSms, { telephone: erin.phone, isRegister: 0 })
    t.match(code, /^[1-9]\d{5}$/)
    const reset = { telephone: erin.phone, newPassword: 'fresh' }
    await t.rejects(
      user.api.call(passwords.resetPassword, { ...reset, randcode: code === '111111' ? '111112' : '111111' }),
      failure('SmsCodeInvalid'),
    )
    await user.api.call(passwords.resetPassword, { ...reset, randcode: code })
    await user.api.call(accounts.login, { telephone: erin.phone, password: 'fresh' })
    await t.rejects(user.api.call(passwords.resetPassword, { ...reset, randcode: code }), failure('SmsCodeInvalid'))
  })

  t.test('the XMPP server lets in by token or password, and nobody else', async (t) => {
    const frank = await user.person('frank')
    const grace = await user.person('grace')
    const ask = (userId: number, password: string) =>
      user.internal.envelope(xmppAccounts.authenticate, { userId, password, ip: '127.0.0.1' })
    t.match(await ask(frank.userId, frank.token), { resultCode: 1, data: { session: tokenId(frank.token) } })
    t.match(await ask(frank.userId, md5Of123456), { resultCode: 1, data: { passwordVersion: 1 } })
    t.match(await ask(frank.userId, md5Of123456), { resultCode: 1, data: { passwordVersion: 1 } }, 'remembered')
    for (const password of [grace.token, md5('wrong'), 'plain'])
      t.not((await ask(frank.userId, password)).resultCode, 1)
    t.not((await ask(10000, md5Of123456)).resultCode, 1)
    const outside = await user.api.envelope(xmppAccounts.authenticate, {
      userId: frank.userId,
      password: frank.token,
      ip: '127.0.0.1',
    })
    t.equal(outside.resultCode, 1030201)
    await user.internal.call(internalUsers.setLocked, { userId: frank.userId, locked: 1 })
    const locked = await ask(frank.userId, md5Of123456)
    t.equal(locked.resultCode, errors.AccountLocked.code, 'a password that is remembered lets nobody in who is locked')
    t.not((await ask(frank.userId, frank.token)).resultCode, 1)
  })

  t.test('an XMPP stream that was opened with a token goes by the login that refresh tokens continue', async (t) => {
    const fay = await user.person('fay')
    const revoked = await user.events(sessionRevoked)
    const granted = (await postForm(user.url, '/oauth2/token', {
      grant_type: 'password',
      username: fay.phone,
      password: '123456',
      deviceKey: 'web',
    })) as { body: Record<string, string> }
    const streamOf = async ({ body }: { body: Record<string, string> }) => {
      const params = { userId: fay.userId, password: body['access_token'] ?? '', ip: '127.0.0.1' }
      return (await user.internal.call(xmppAccounts.authenticate, params)).session
    }
    const opened = await streamOf(granted)
    const refreshed = (await postForm(user.url, '/oauth2/token', {
      grant_type: 'refresh_token',
      refresh_token: granted.body['refresh_token'] ?? '',
    })) as typeof granted
    t.equal(await streamOf(refreshed), opened)
    const endedBy = async (reason: string) =>
      (await eventually(() => revoked.find((event) => event.userId === fay.userId && event.reason === reason)))
        .sessionIds
    t.notOk((await endedBy('refresh')).includes(opened ?? ''))
    const token = refreshed.body['access_token'] ?? ''
    await user.api.call(accounts.logout, {}, { as: user.callerOf(token, fay.userId, 'web') })
    t.ok((await endedBy('logout')).includes(opened ?? ''))
  })

  t.test('OAuth: password grant, rotation, reuse ends the family, revocation, introspection', async (t) => {
    const heidi = await user.person('heidi')
    const granted = await post('/oauth2/token', {
      grant_type: 'password',
      username: heidi.phone,
      password: '123456',
      deviceKey: 'web',
    })
    t.equal(granted.status, 200)
    for (const [username, password] of [
      [heidi.phone, 'wrong'],
      ['nobody', '123456'],
    ] as const) {
      const refused = await post('/oauth2/token', { grant_type: 'password', username, password })
      t.strictSame([refused.status, refused.body['error']], [400, 'invalid_grant'], username)
    }
    const first = granted.body as unknown as { access_token: string; refresh_token: string; token_type: string }
    t.equal(first.token_type, 'Bearer')
    const second = (await post('/oauth2/token', { grant_type: 'refresh_token', refresh_token: first.refresh_token }))
      .body as unknown as typeof first
    t.not(second.access_token, first.access_token)
    const introspect = await post(
      '/oauth2/introspect',
      { token: second.access_token },
      { 'x-service-key': user.env['SERVICE_KEY'] ?? '' },
    )
    t.strictSame(
      [introspect.status, introspect.body['active'], introspect.body['sub']],
      [200, true, String(heidi.userId)],
    )
    t.equal((await post('/oauth2/introspect', { token: second.access_token })).status, 401)
    const reused = await post('/oauth2/token', { grant_type: 'refresh_token', refresh_token: first.refresh_token })
    t.strictSame([reused.status, reused.body['error']], [400, 'invalid_grant'])
    t.equal(await isLive(second.access_token), false)
    t.equal((await post('/oauth2/revoke', { token: 'unknown' })).status, 200)
    t.strictSame((await post('/oauth2/token', { grant_type: 'magic' })).body['error'], 'unsupported_grant_type')
    t.strictSame((await post('/oauth2/token', {})).body['error'], 'invalid_request')
    t.ok(oauth.token.path)
  })

  t.test('a refreshed session stays one of its own device', async (t) => {
    const ida = await user.person('ida', { serial: 'phone', deviceKey: 'android' })
    const grant = {
      grant_type: 'password',
      username: ida.phone,
      password: '123456',
      deviceKey: 'web',
      serial: 'browser',
    }
    const granted = (await postForm(user.url, '/oauth2/token', grant)).body as Record<string, string>
    const login = { telephone: ida.phone, password: '123456', deviceKey: 'android', serial: 'new phone' }
    await user.api.call(accounts.login, login)
    const refresh = { grant_type: 'refresh_token', refresh_token: granted['refresh_token'] ?? '' }
    const { access_token = '' } = (await postForm(user.url, '/oauth2/token', refresh)).body as Record<string, string>
    const statusOf = async (serial: string) =>
      (await user.api.call(accounts.autoLogin, { access_token, serial })).serialStatus
    t.strictSame([await statusOf('browser'), await statusOf('new phone')], [2, 3])
  })

  t.test('settings and profile change only where something is given', async (t) => {
    const ivan = await user.person('ivan')
    const judy = await user.person('judy')
    const changed = await user.events(settingsChanged)
    await user.api.call(userSettings.updateSettings, { allowGreet: 0, chatRecordTimeOut: '7天' }, { as: ivan.caller })
    const own = await user.api.call(userSettings.getSettings, {}, { as: ivan.caller })
    t.strictSame([own.allowGreet, 'chatRecordTimeOut' in own && own.chatRecordTimeOut, own.allowAtt], [0, 7, 1])
    t.strictSame(await user.api.call(userSettings.getSettings, { userId: ivan.userId }, { as: judy.caller }), {
      allowAtt: 1,
      allowGreet: 0,
      friendsVerify: 0,
    })
    await eventually(() => changed.some(({ userId }) => userId === ivan.userId))
    await t.rejects(
      user.api.call(userSettings.updateSettings, { userId: judy.userId, allowGreet: 1 }, { as: ivan.caller }),
      failure('PermissionDenied'),
    )
    const updated = await user.api.call(
      profiles.updateUser,
      { nickname: '伊万', account: 'ivan_1' },
      { as: ivan.caller },
    )
    t.strictSame([updated.nickname, updated.account], ['伊万', 'ivan_1'])
    await t.rejects(
      user.api.call(profiles.updateUser, { account: 'ivan_2' }, { as: ivan.caller }),
      failure('AccountChangedBefore'),
    )
    await t.rejects(
      user.api.call(profiles.updateUser, { account: 'IVAN_1' }, { as: judy.caller }),
      failure('AccountTaken'),
    )
    const seen = await user.api.call(profiles.getUser, { userId: String(ivan.userId) }, { as: judy.caller })
    t.equal(seen.nickname, '伊万')
    t.equal('telephone' in seen, false, 'shown to friends only')
    t.notMatch(JSON.stringify(seen), /argon2|password":"|token/)
  })
})

test('ten wrong passwords close the account to further tries for a while', async (t) => {
  const user = await startUser(t, { LIMIT_FACTOR: '1' })
  const alice = await user.person('alice')
  for (let i = 0; i < 10; i++)
    await t.rejects(
      user.api.call(accounts.login, { telephone: alice.phone, password: `wrong ${i}` }),
      failure('WrongPassword'),
    )
  await t.rejects(
    user.api.call(accounts.login, { telephone: alice.phone, password: '123456' }),
    failure('LoginTooOften'),
  )
  const byXmpp = await user.internal.envelope(xmppAccounts.authenticate, {
    userId: alice.userId,
    password: md5Of123456,
    ip: '127.0.0.1',
  })
  t.not(byXmpp.resultCode, 1, 'the XMPP server counts with them')
})
