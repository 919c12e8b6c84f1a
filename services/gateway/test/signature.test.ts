import { ContractError } from '@im/contracts'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { checkSignature, secretWithoutToken, secretWithToken } from '../src/calls/signature.ts'
import { alice, codes, form, startGateway } from './stage.ts'

const apiKey = 'test-api-key'
const seconds = () => String(Math.floor(Date.now() / 1000))

test('secrets are those of crypto.md §5', async (t) => {
  const token = '2e707085469844aebd36a98136f90520'
  t.equal(secretWithToken(apiKey, '1559788026', 100001, token), 'e88a8027e7633e6c98c1387b194b4b14')
  t.equal(secretWithoutToken(apiKey, '1559788026'), '5faae2745f885ed5860b7e4ed0813f49')
})

test('a time may be 300 whole seconds off', async (t) => {
  const check = (time: string, now: number) => () => {
    const params = new Map([
      ['time', [time]],
      ['secret', [secretWithToken(apiKey, time, 1, 'token')]],
    ])
    checkSignature(apiKey, params, { userId: 1, token: 'token' }, now)
  }
  for (const now of [1300.9, 700]) t.doesNotThrow(check('1000', now))
  for (const now of [1301, 699.9]) t.throws(check('1000', now), new ContractError('SignatureInvalid'))
})

test('while isAuthApi is 1 a call with a token must be signed', async (t) => {
  const { call, owners, setAuthApi } = await startGateway(t, { API_KEY: apiKey })
  await setAuthApi(1)
  const token = owners.signIn(alice)
  const get = async (fields: Record<string, string>) =>
    (await call('/user/get', form({ access_token: token, ...fields }))).resultCode
  const time = seconds()
  const old = String(Number(time) - 400)
  t.equal(await get({ time, secret: secretWithToken(apiKey, time, alice.userId, token) }), codes.success)
  t.equal(await get({}), codes.signature)
  t.equal(await get({ time }), codes.signature)
  t.equal(await get({ time, secret: secretWithoutToken(apiKey, time) }), codes.signature)
  t.equal(await get({ time: old, secret: secretWithToken(apiKey, old, alice.userId, token) }), codes.signature)
  t.equal((await call('/user/get', form({ time }))).resultCode, codes.tokenMissing)
})

test('without a token a secret is checked only when it is sent, and never for /config', async (t) => {
  const { call, setAuthApi } = await startGateway(t, { API_KEY: apiKey })
  await setAuthApi(1)
  const time = seconds()
  const login = async (fields: Record<string, string>) => (await call('/user/login', form(fields))).resultCode
  t.equal(await login({}), codes.success)
  t.equal(await login({ time, secret: secretWithoutToken(apiKey, time) }), codes.success)
  t.equal(await login({ time, secret: 'wrong' }), codes.signature)
  t.equal((await call('/config', form({ secret: 'wrong' }))).resultCode, codes.success)
  const token = 'ab'.repeat(16)
  const auto = form({
    time,
    userId: '100001',
    access_token: token,
    secret: secretWithToken(apiKey, time, 100001, token),
  })
  t.equal((await call('/user/login/auto', auto)).resultCode, codes.success)
})

test('time and secret mean nothing while isAuthApi is 0, and without API_KEY', async (t) => {
  for (const [env, isAuthApi] of [
    [{ API_KEY: apiKey }, 0],
    [{}, 1],
  ] as const) {
    const { call, owners, setAuthApi } = await startGateway(t, env)
    await setAuthApi(isAuthApi)
    const signed = form({ access_token: owners.signIn(alice), time: '1', secret: 'wrong' })
    t.equal((await call('/user/get', signed)).resultCode, codes.success)
  }
})

test('a change of isAuthApi is known within seconds', async (t) => {
  const { call, owners } = await startGateway(t, { API_KEY: apiKey })
  const unsigned = form({ access_token: owners.signIn(alice) })
  t.equal((await call('/user/get', unsigned)).resultCode, codes.success)
  owners.isAuthApi = 1
  await eventually(async () => (await call('/user/get', unsigned)).resultCode === codes.signature, 7000)
  await owners.stop()
  t.equal((await call('/user/get', unsigned)).resultCode, codes.signature, 'what is known stays known')
})

test('while nobody can say whether calls must be signed, none passes', async (t) => {
  const { call, owners } = await startGateway(t, { API_KEY: apiKey })
  await owners.stop()
  t.equal((await call('/user/login', form({ secret: 'wrong' }))).resultCode, codes.unavailable)
  await owners.start()
  t.equal((await call('/user/login', form({}))).resultCode, codes.success)
})
