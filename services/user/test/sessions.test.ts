import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import {
  accounts,
  internalSessions,
  oauth,
  passwordChanged,
  passwords,
  profiles,
  sessionRevoked,
  settingsChanged,
  smsCodes,
  userSettings,
  xmppAccounts,
} from '@im/contracts/user'
import { eventually } from '@im/service-kit/testing'
import { tokenId } from '../src/sessions/tokens.ts'
import { failure, md5Of123456, postForm, startUser } from './start-user.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

describe('sessions', () => {
  let user: Awaited<ReturnType<typeof startUser>>
  const cleanUp: (() => unknown)[] = []
  before(async () => {
    user = await startUser({ after: (fn: unknown) => cleanUp.push(fn as () => unknown) } as never, {
      SMS_ECHO_CODE: 'true',
    })
  })
  after(async () => {
    for (const fn of cleanUp) await fn()
  })

  const isLive = async (token: string) =>
    (await user.internal.call(internalSessions.resolveSession, { sessionId: tokenId(token) })).exists === 1

  const post = (path: string, fields: Record<string, string>, headers?: Record<string, string>) =>
    postForm(user.url, path, fields, headers)

  test('alice logs in by any of her names, plain or as md5', async () => {
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
      assert.equal(login.userId, alice.userId)
      assert.match(login.access_token, /^[0-9a-f]{32}$/)
      assert.equal(login.expires_in, 604_800)
      assert.equal('password' in login, false)
    }
    await assert.rejects(
      user.api.call(accounts.login, { telephone: '13700000000', password: '1' }),
      failure('AccountNotFound'),
    )
    await assert.rejects(
      user.api.call(accounts.login, { telephone: alice.phone, password: 'x' }),
      failure('WrongPassword'),
    )
    await assert.rejects(user.api.call(accounts.login, { telephone: '10000', password: 'x' }))
  })

  test('a login ends the session of its device class only, or all others with one device allowed', async () => {
    const bob = await user.person('bob')
    const revoked = await user.events(sessionRevoked)
    const login = (deviceKey: string) =>
      user.api.call(accounts.login, { telephone: bob.phone, password: '123456', deviceKey })
    const ios = await login('ios')
    assert.equal(await isLive(bob.token), true, 'the Android phone stays')
    const again = await login('ios')
    assert.equal(await isLive(ios.access_token), false)
    await eventually(() => revoked.some((event) => event.sessionIds.includes(tokenId(ios.access_token))))
    await user.api.call(userSettings.updateSettings, { multipleDevices: 0 }, { as: bob.caller })
    const pc = await login('pc')
    assert.deepEqual(
      [await isLive(bob.token), await isLive(again.access_token), await isLive(pc.access_token)],
      [false, false, true],
    )
  })

  test('login/auto renews a live session and says when there is none; logout ends it', async () => {
    const carol = await user.person('carol')
    const call = { as: carol.caller, token: carol.token }
    const auto = await user.api.envelope(
      accounts.autoLogin,
      { access_token: carol.token, userId: carol.userId, serial: 'serial-carol' },
      call,
    )
    const data = auto.data as Record<string, unknown>
    assert.deepEqual([data['access_token'], data['tokenExists'], data['serialStatus']], [carol.token, 1, 2])
    const gone = await user.api.envelope(accounts.autoLogin, {
      access_token: 'f'.repeat(32),
      userId: carol.userId,
      serial: 'another',
    })
    assert.deepEqual(gone.data, { serialStatus: 3, tokenExists: 0, userId: carol.userId })
    assert.equal((await user.api.envelope(accounts.autoLogin, { access_token: 'f'.repeat(32) })).resultCode, 1030102)
    assert.equal((await user.api.envelope(accounts.autoLogin, {})).resultCode, 1030101)
    await user.api.call(accounts.logout, {}, call)
    assert.equal(await isLive(carol.token), false)
  })

  test('a new password ends every session and is announced', async () => {
    const dave = await user.person('dave')
    const changed = await user.events(passwordChanged)
    await assert.rejects(
      user.api.call(passwords.updatePassword, { oldPassword: 'no', newPassword: 'new' }, { as: dave.caller }),
      failure('WrongOldPassword'),
    )
    await user.api.call(passwords.updatePassword, { oldPassword: '123456', newPassword: 'new' }, { as: dave.caller })
    assert.equal(await isLive(dave.token), false)
    await eventually(() => changed.some(({ userId }) => userId === dave.userId))
    await assert.rejects(
      user.api.call(accounts.login, { telephone: dave.phone, password: '123456' }),
      failure('WrongPassword'),
    )
    await user.api.call(accounts.login, { telephone: dave.phone, password: 'new' })
  })

  test('a forgotten password is reset with an SMS code, once', async () => {
    const erin = await user.person('erin')
    const { code } = await user.api.call(smsCodes.sendSms, { telephone: erin.phone, isRegister: 0 })
    assert.match(code, /^[1-9]\d{5}$/)
    const reset = { telephone: erin.phone, newPassword: 'fresh' }
    await assert.rejects(
      user.api.call(passwords.resetPassword, { ...reset, randcode: code === '111111' ? '111112' : '111111' }),
      failure('SmsCodeInvalid'),
    )
    await user.api.call(passwords.resetPassword, { ...reset, randcode: code })
    await user.api.call(accounts.login, { telephone: erin.phone, password: 'fresh' })
    await assert.rejects(
      user.api.call(passwords.resetPassword, { ...reset, randcode: code }),
      failure('SmsCodeInvalid'),
    )
  })

  test('the XMPP server lets in by token or password, and nobody else', async () => {
    const frank = await user.person('frank')
    const grace = await user.person('grace')
    const ask = (userId: number, password: string) =>
      user.internal.envelope(xmppAccounts.authenticate, { userId, password, ip: '127.0.0.1' })
    assert.equal((await ask(frank.userId, frank.token)).resultCode, 1)
    assert.equal((await ask(frank.userId, md5Of123456)).resultCode, 1)
    for (const password of [grace.token, md5('wrong'), 'plain'])
      assert.notEqual((await ask(frank.userId, password)).resultCode, 1)
    assert.notEqual((await ask(10000, md5Of123456)).resultCode, 1)
    const outside = await user.api.envelope(xmppAccounts.authenticate, {
      userId: frank.userId,
      password: frank.token,
      ip: '127.0.0.1',
    })
    assert.equal(outside.resultCode, 1030201)
  })

  test('OAuth: password grant, rotation, reuse ends the family, revocation, introspection', async () => {
    const heidi = await user.person('heidi')
    const granted = await post('/oauth2/token', {
      grant_type: 'password',
      username: heidi.phone,
      password: '123456',
      deviceKey: 'web',
    })
    assert.equal(granted.status, 200)
    const first = granted.body as unknown as { access_token: string; refresh_token: string; token_type: string }
    assert.equal(first.token_type, 'Bearer')
    const second = (await post('/oauth2/token', { grant_type: 'refresh_token', refresh_token: first.refresh_token }))
      .body as unknown as typeof first
    assert.notEqual(second.access_token, first.access_token)
    const introspect = await post(
      '/oauth2/introspect',
      { token: second.access_token },
      { 'x-service-key': user.env['SERVICE_KEY'] ?? '' },
    )
    assert.deepEqual(
      [introspect.status, introspect.body['active'], introspect.body['sub']],
      [200, true, String(heidi.userId)],
    )
    assert.equal((await post('/oauth2/introspect', { token: second.access_token })).status, 401)
    const reused = await post('/oauth2/token', { grant_type: 'refresh_token', refresh_token: first.refresh_token })
    assert.deepEqual([reused.status, reused.body['error']], [400, 'invalid_grant'])
    assert.equal(await isLive(second.access_token), false)
    assert.equal((await post('/oauth2/revoke', { token: 'unknown' })).status, 200)
    assert.deepEqual((await post('/oauth2/token', { grant_type: 'magic' })).body['error'], 'unsupported_grant_type')
    assert.deepEqual((await post('/oauth2/token', {})).body['error'], 'invalid_request')
    assert.ok(oauth.token.path)
  })

  test('settings and profile change only where something is given', async () => {
    const ivan = await user.person('ivan')
    const judy = await user.person('judy')
    const changed = await user.events(settingsChanged)
    await user.api.call(userSettings.updateSettings, { allowGreet: 0, chatRecordTimeOut: '7天' }, { as: ivan.caller })
    const own = await user.api.call(userSettings.getSettings, {}, { as: ivan.caller })
    assert.deepEqual([own.allowGreet, 'chatRecordTimeOut' in own && own.chatRecordTimeOut, own.allowAtt], [0, 7, 1])
    assert.deepEqual(await user.api.call(userSettings.getSettings, { userId: ivan.userId }, { as: judy.caller }), {
      allowAtt: 1,
      allowGreet: 0,
      friendsVerify: 0,
    })
    await eventually(() => changed.some(({ userId }) => userId === ivan.userId))
    await assert.rejects(
      user.api.call(userSettings.updateSettings, { userId: judy.userId, allowGreet: 1 }, { as: ivan.caller }),
      failure('PermissionDenied'),
    )
    const updated = await user.api.call(
      profiles.updateUser,
      { nickname: '伊万', account: 'ivan_1' },
      { as: ivan.caller },
    )
    assert.deepEqual([updated.nickname, updated.account], ['伊万', 'ivan_1'])
    await assert.rejects(
      user.api.call(profiles.updateUser, { account: 'ivan_2' }, { as: ivan.caller }),
      failure('AccountChangedBefore'),
    )
    await assert.rejects(
      user.api.call(profiles.updateUser, { account: 'IVAN_1' }, { as: judy.caller }),
      failure('AccountTaken'),
    )
    const seen = await user.api.call(profiles.getUser, { userId: String(ivan.userId) }, { as: judy.caller })
    assert.equal(seen.nickname, '伊万')
    assert.equal('telephone' in seen, false, 'shown to friends only')
    assert.doesNotMatch(JSON.stringify(seen), /argon2|password":"|token/)
  })
})

test('ten wrong passwords close the account to further tries for a while', async (t) => {
  const user = await startUser(t, { LIMIT_FACTOR: '1' })
  const alice = await user.person('alice')
  for (let i = 0; i < 10; i++)
    await assert.rejects(
      user.api.call(accounts.login, { telephone: alice.phone, password: `wrong ${i}` }),
      failure('WrongPassword'),
    )
  await assert.rejects(
    user.api.call(accounts.login, { telephone: alice.phone, password: '123456' }),
    failure('LoginTooOften'),
  )
  const byXmpp = await user.internal.envelope(xmppAccounts.authenticate, {
    userId: alice.userId,
    password: md5Of123456,
    ip: '127.0.0.1',
  })
  assert.notEqual(byXmpp.resultCode, 1, 'the XMPP server counts with them')
})
