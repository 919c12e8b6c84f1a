import { accounts, authKeys, keyPairs, messageKeysChanged, passwords, profiles, smsCodes } from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { isPayKeyMac, messageKeyMacs } from '../src/secrets/key-macs.ts'
import { seal } from '../src/secrets/sealed-text.ts'
import { md5Of123456, postForm, startUser } from './start-user.ts'

test('macs are those of the specification', async (t) => {
  const mac = (telephone: string, apiKey: string) =>
    messageKeyMacs([telephone], md5Of123456, apiKey)[0]?.toString('base64')
  t.equal(mac('8613800000001', 'test-api-key'), 'QN/D04v18V46gEq+fwhVDQ==')
  t.equal(mac('8613800000001', ''), 'SOzuXcgzqTi+HzRIi5xlLA==')
  t.equal(mac('13800000001', 'test-api-key'), 'skmRb9wQTZLX3EfJcFaJ9w==')
  const keys = { privateKey: 'cHJpdmF0ZS1rZXktYnl0ZXM=', publicKey: 'cHVibGljLWtleS1ieXRlcw==' }
  t.equal(isPayKeyMac('oi06PWFgGBMUaqOmMPLRvA==', keys, md5Of123456), true)
  t.equal(isPayKeyMac('oi06PWFgGBMUaqOmMPLRvQ==', keys, md5Of123456), false)
  t.equal(isPayKeyMac('', keys, md5Of123456), false)
})

const apiKey = 'test-api-key'
const macOf = (telephone: string, password = md5Of123456) =>
  messageKeyMacs([telephone], password, apiKey)[0]?.toString('base64') ?? ''

test('message keys are taken with the mac of who logged in with the password', async (t) => {
  const { api, person, peers, events, callerOf } = await startUser(t, { API_KEY: apiKey, SMS_ECHO_CODE: 'true' })
  const alice = await person('alice')
  const bob = await person('bob')
  const as = { as: alice.caller }
  const changed = await events(messageKeysChanged)
  const pair = (n: number) => ({ publicKey: `public${n}`, privateKey: `private${n}` })

  await api.call(authKeys.uploadDhKey, { ...pair(1), mac: macOf(`86${alice.phone}`) }, as)
  const both = { rsaPublicKey: 'r', rsaPrivateKey: 'R', dhPublicKey: 'public2', dhPrivateKey: 'private2' }
  await api.call(authKeys.uploadMessageKeys, { ...both, mac: macOf(alice.phone) }, as)
  await api.call(authKeys.uploadRsaKey, { ...pair(3), mac: macOf(alice.phone) }, as)
  await t.rejects(
    api.call(authKeys.uploadMessageKeys, { ...both, dhPrivateKey: '', mac: macOf(alice.phone) }, as),
    failure('MissingParam'),
  )
  for (const mac of [macOf(bob.phone), macOf(alice.phone, 'f'.repeat(32)), 'nonsense', 'QQ=='])
    await t.rejects(api.call(authKeys.uploadDhKey, { ...pair(4), mac }, as), failure('MacInvalid'), mac)
  await eventually(() => changed.length >= 3)
  t.equal(changed.length, 3)

  const { userId, publicKeyList } = await api.call(authKeys.listDhKeys, {}, as)
  t.equal(userId, 0)
  t.strictSame(
    publicKeyList.map(({ key }) => key),
    ['public1', 'public2'],
  )
  const asked = { userId: alice.userId }
  await t.rejects(api.call(authKeys.listDhKeys, asked, { as: bob.caller }), failure('PermissionDenied'))
  peers.relate(bob, alice, { status: 1 })
  await t.rejects(api.call(authKeys.listDhKeys, asked, { as: bob.caller }), failure('PermissionDenied'))
  peers.befriend(bob, alice)
  const seen = await api.call(authKeys.listDhKeys, asked, { as: bob.caller })
  t.strictSame(seen, { userId: alice.userId, publicKeyList })

  const { code } = await api.call(smsCodes.sendSms, { telephone: bob.phone, isRegister: 0 })
  const sms = { telephone: bob.phone, loginType: 1, verificationCode: code, deviceKey: 'web' }
  const { access_token } = await api.call(accounts.login, sms)
  const bySms = { as: callerOf(access_token, bob.userId, 'web') }
  await t.rejects(
    api.call(authKeys.uploadDhKey, { ...pair(5), mac: macOf(bob.phone) }, bySms),
    failure('MacInvalid'),
    'a session that never saw the password',
  )
})

test('a session that a refresh goes on with still knows that the password was seen', async (t) => {
  const { api, url, person, callerOf } = await startUser(t, { API_KEY: apiKey })
  const { phone: username, userId } = await person('rita')
  const grant = async (fields: Record<string, string>) =>
    (await postForm(url, '/oauth2/token', fields)).body as Record<string, string>
  const { refresh_token = '' } = await grant({ grant_type: 'password', username, password: '123456', deviceKey: 'web' })
  const { access_token = '' } = await grant({ grant_type: 'refresh_token', refresh_token })
  const as = { as: callerOf(access_token, userId, 'web') }
  await api.call(authKeys.uploadDhKey, { publicKey: 'p', privateKey: 'P', mac: macOf(username) }, as)
  t.match(await api.call(authKeys.listDhKeys, {}, as), { publicKeyList: [{ key: 'p' }] })
})

test('with AUTHKEYS_MAC=off message keys need no mac', async (t) => {
  const { api, person } = await startUser(t, { AUTHKEYS_MAC: 'off' })
  const { caller } = await person('alice')
  await api.call(authKeys.uploadDhKey, { publicKey: 'p', privateKey: 'P', mac: 'x' }, { as: caller })
  t.equal((await api.call(authKeys.listDhKeys, {}, { as: caller })).publicKeyList.length, 1)
})

test('pay keys are taken with the mac of the pay password, which can not be guessed', async (t) => {
  const env = { PAY_MAC_KEY: 'ab'.repeat(32), LIMIT_FACTOR: '1', AUTHKEYS_MAC: 'off' }
  const { api, person } = await startUser(t, env)
  const { caller } = await person('alice')
  const as = { as: caller }
  const keys = { privateKey: 'cHJpdmF0ZS1rZXktYnl0ZXM=', publicKey: 'cHVibGljLWtleS1ieXRlcw==' }
  const mac = 'oi06PWFgGBMUaqOmMPLRvA=='
  await t.rejects(api.call(authKeys.uploadPayKey, { ...keys, mac }, as), failure('PayPasswordNotSet'))
  t.equal(await api.call(authKeys.getPayPrivateKey, {}, as), undefined)
  await api.call(passwords.updatePayPassword, { payPassword: '123456' }, as)
  await api.call(authKeys.uploadPayKey, { ...keys, mac }, as)
  t.strictSame(await api.call(authKeys.getPayPrivateKey, {}, as), { privateKey: keys.privateKey })
  for (let n = 0; n < 4; n++)
    await t.rejects(api.call(authKeys.uploadPayKey, { ...keys, mac: 'QUJD' }, as), failure('MacInvalid'))
  await t.rejects(api.call(authKeys.uploadPayKey, { ...keys, mac }, as), failure('RateLimited'), 'the right one, too')
  await t.rejects(api.call(passwords.checkPayPassword, { payPassword: '123456' }, as), failure('RateLimited'))
})

test('after a change of PAY_MAC_KEY the mac counts again once the pay password is set anew', async (t) => {
  const env = { PAY_MAC_KEY: 'ab'.repeat(32), AUTHKEYS_MAC: 'off' }
  const { api, person, deps } = await startUser(t, env)
  const { caller, userId } = await person('alice')
  const as = { as: caller }
  const keys = { privateKey: 'cHJpdmF0ZS1rZXktYnl0ZXM=', publicKey: 'cHVibGljLWtleS1ieXRlcw==' }
  const mac = 'oi06PWFgGBMUaqOmMPLRvA=='
  await api.call(passwords.updatePayPassword, { payPassword: '123456' }, as)
  // As the key before the change left it.
  const sealed = seal(Buffer.from('cd'.repeat(32), 'hex'), md5Of123456)
  await deps.db.collection('users').updateOne({ _id: userId as never }, { $set: { 'payPassword.sealed': sealed } })
  await t.rejects(api.call(authKeys.uploadPayKey, { ...keys, mac }, as), failure('FeatureDisabled'))
  t.equal((await api.envelope(passwords.checkPayPassword, { payPassword: '123456' }, as)).resultCode, 1)
  await api.call(passwords.updatePayPassword, { oldPayPassword: '123456', payPassword: '123456' } as never, as)
  await api.call(authKeys.uploadPayKey, { ...keys, mac }, as)
})

test('message keys change twenty times an hour at most, because all friends are told', async (t) => {
  const { api, person, events } = await startUser(t, { AUTHKEYS_MAC: 'off', LIMIT_FACTOR: '0.1' })
  const { caller } = await person('alice')
  const told = await events(messageKeysChanged)
  const keys = { publicKey: 'a', privateKey: 'b', mac: 'c' }
  await api.call(authKeys.uploadDhKey, keys, { as: caller })
  await api.call(authKeys.uploadRsaKey, keys, { as: caller })
  for (const endpoint of [authKeys.uploadMessageKeys, authKeys.uploadDhKey])
    await t.rejects(api.call(endpoint, keys, { as: caller }), failure('RateLimited'))
  await eventually(() => told.length === 2)
})

test('without PAY_MAC_KEY nobody has pay keys', async (t) => {
  const { api, person } = await startUser(t)
  const { caller } = await person('alice')
  const keys = { privateKey: 'cHI=', publicKey: 'cHU=', mac: 'QQ==' }
  await t.rejects(api.call(authKeys.uploadPayKey, keys, { as: caller }), failure('FeatureDisabled'))
})

test('a key pair is stored for its owner; others see the public key', async (t) => {
  const { api, person, peers } = await startUser(t)
  const alice = await person('alice')
  const bob = await person('bob')
  const as = { as: alice.caller }
  t.equal(await api.call(keyPairs.getPrivateKey, {}, as), undefined)
  await api.call(keyPairs.uploadKeyPair, { publicKey: 'first', privateKey: 'x' }, as)
  await api.call(keyPairs.uploadKeyPair, { publicKey: 'pub', privateKey: 'priv' }, as)
  t.strictSame(await api.call(keyPairs.getPrivateKey, {}, as), { privateKey: 'priv' })
  peers.befriend(alice, bob)
  const shown = await api.call(profiles.getUser, { userId: alice.userId }, { as: bob.caller })
  t.equal(shown.publicKey, 'pub')
  t.notOk(JSON.stringify(shown).includes('priv'))
  const long = 'k'.repeat(16 * 1024 + 1)
  await t.rejects(api.call(keyPairs.uploadKeyPair, { publicKey: long, privateKey: 'x' }, as), failure('InvalidParams'))
})
