import { limitAddress } from '@im/service-kit'
import { eventually, ownServer } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, codes, newToken, startGateway } from './stage.ts'

async function burst(count: number, call: () => Promise<{ resultCode: number }>): Promise<number> {
  let passed = 0
  for (let sent = 0; sent < count; sent += 50) {
    const answers = await Promise.all(Array.from({ length: Math.min(50, count - sent) }, call))
    passed += answers.filter(({ resultCode }) => resultCode === codes.success).length
  }
  return passed
}

test('a token has 200 calls at once, then 50 a second', async (t) => {
  const { call, owners } = await startGateway(t)
  const token = owners.signIn(alice)
  const started = Date.now()
  const passed = await burst(400, () => call(`/user/get?access_token=${token}`))
  const most = 200 + ((Date.now() - started) / 1000) * 50 + 10
  t.ok(passed >= 200 && passed <= most, `${passed} passed, ${most} may`)
})

test('who is over the limit is told how long to wait; others are not touched', async (t) => {
  const { call, owners } = await startGateway(t, { LIMIT_FACTOR: '0.01' })
  const token = owners.signIn(alice)
  const ask = () => call(`/user/get?access_token=${token}`)
  const passed = await burst(10, ask)
  t.ok(passed >= 2 && passed <= 3, `${passed} passed`)
  const refused = await ask()
  t.equal(refused.resultCode, codes.rateLimited)
  t.equal(refused.http.status, 200)
  const seconds = refused.http.headers.get('retry-after') ?? ''
  t.match(seconds, /^[1-4]$/)
  t.equal(refused.resultMsg, `请求过于频繁，请${seconds}秒后再试`)
  t.equal((await call(`/user/get?access_token=${owners.signIn(bob)}`)).resultCode, codes.success)
  await eventually(async () => (await ask()).resultCode === codes.success)
})

test('calls without token are counted by address', async (t) => {
  const { call } = await startGateway(t, { TRUSTED_PROXIES: '127.0.0.1' })
  const from = (ip: string) => call('/config', { headers: { 'x-forwarded-for': ip } })
  const started = Date.now()
  const passed = await burst(400, () => from('203.0.113.1'))
  const most = 200 + ((Date.now() - started) / 1000) * 100 + 20
  t.ok(passed >= 200 && passed <= most, `${passed} passed, ${most} may`)
  t.equal((await from('203.0.113.2')).resultCode, codes.success)
})

test('guessing tokens is limited by address', async (t) => {
  const { call, owners } = await startGateway(t, { LIMIT_FACTOR: '0.02' })
  const answers: number[] = []
  for (let guess = 0; guess < 10; guess++) answers.push((await call(`/user/get?access_token=${newToken()}`)).resultCode)
  t.equal(answers[0], codes.tokenInvalid)
  t.equal(answers.at(-1), codes.rateLimited)
  t.ok(owners.lookups < 6, `${owners.lookups} lookups`)
})

test('whatever is refused for its token counts for its address, and live tokens do not suffer', async (t) => {
  const dead = newToken()
  const refused: [string, RequestInit?][] = [
    ['/user/get'],
    [`/user/get?access_token=${dead}`],
    [`/user/get?access_token=${'x'.repeat(5000)}`],
    ['/user/get', { headers: { authorization: `Bearer ${dead}` } }],
    ['/user/get', { method: 'POST', body: new URLSearchParams({ access_token: dead }) }],
    ['/optional?access_token=x'],
  ]
  for (const [path, options] of refused) {
    const { call, owners, redis } = await startGateway(t, { LIMIT_FACTOR: '0.05' })
    const live = owners.signIn(alice)
    await owners.copy(redis, live)
    const answers: number[] = []
    for (let n = 0; n < 15; n++) answers.push((await call(path, options)).resultCode)
    t.ok(answers.indexOf(codes.rateLimited) >= 10, `${path} counts once`)
    t.equal(answers.at(-1), codes.rateLimited, `${path} is limited`)
    t.equal((await call(`/user/get?access_token=${live}`)).resultCode, codes.success)
    t.equal((await call('/user/get', { headers: { authorization: `Bearer ${live}` } })).resultCode, codes.success)
  }
})

test('a refused call counts for what it cost, and is not read any more at the limit', async (t) => {
  const { call } = await startGateway(t)
  const body = JSON.stringify({ access_token: newToken(), x: 'x'.repeat(1_000_000) })
  const post = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
  const answers: number[] = []
  for (let n = 0; n < 8; n++) answers.push((await call('/tigase/encrypt', post)).resultCode)
  t.equal(answers[0], codes.tokenInvalid)
  const atOnce = await Promise.all(Array.from({ length: 20 }, () => call('/tigase/encrypt', post)))
  answers.push(...atOnce.map(({ resultCode }) => resultCode))
  const passed = answers.filter((code) => code === codes.tokenInvalid).length
  t.ok(passed <= 8, `${passed} megabytes were read for nothing`)
})

test('a long body with a live token counts for its token only', async (t) => {
  const { call, owners } = await startGateway(t)
  const body = JSON.stringify({ access_token: owners.signIn(alice), x: 'x'.repeat(1_000_000) })
  const post = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
  for (let n = 0; n < 12; n++)
    t.equal((await call('/tigase/encrypt', post)).resultCode, codes.unknown, 'the stub does not know it')
})

test('a body that can not be read shows no token, and counts', async (t) => {
  const { call } = await startGateway(t, { LIMIT_FACTOR: '0.02' })
  const post = { method: 'POST', body: '{"access_token"', headers: { 'content-type': 'application/json' } }
  const answers: number[] = []
  for (let n = 0; n < 8; n++) answers.push((await call('/user/get', post)).resultCode)
  t.equal(answers[0], codes.tokenMissing)
  t.equal(answers.at(-1), codes.rateLimited)
})

test('a call with a wrong signature counts, for its token or its address, and a long body before it is read', async (t) => {
  const signed = { API_KEY: 'test-api-key', LIMIT_FACTOR: '0.02' }
  const answersOf = async (count: number, ask: () => Promise<{ resultCode: number }>) => {
    const answers: number[] = []
    for (let n = 0; n < count; n++) answers.push((await ask()).resultCode)
    return answers
  }
  const { call, owners, setAuthApi } = await startGateway(t, signed)
  await setAuthApi(1)
  const token = owners.signIn(alice)
  const unsigned = await answersOf(8, () => call(`/user/get?access_token=${token}`))
  t.equal(unsigned[0], codes.signature)
  t.equal(unsigned.at(-1), codes.rateLimited)
  const wrong = { method: 'POST', body: new URLSearchParams({ secret: 'wrong' }) }
  const unreadable = { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } }
  t.equal((await call('/user/login', wrong)).resultCode, codes.signature)
  t.equal((await call('/user/login', unreadable)).resultCode, codes.invalidParams)
  t.equal((await answersOf(6, () => call('/user/login', wrong))).at(-1), codes.rateLimited)

  const others = await startGateway(t, { ...signed, LIMIT_FACTOR: '0.2' })
  await others.setAuthApi(1)
  const long = { method: 'POST', body: `secret=wrong&x=${'x'.repeat(60_000)}` }
  const read = (await answersOf(20, () => others.call('/user/login', long))).filter((code) => code === codes.signature)
  t.ok(read.length >= 10 && read.length < 16, `${read.length} long bodies were read`)
})

test('LIMIT_FACTOR multiplies the limits, 0 switches them off', async (t) => {
  const half = await startGateway(t, { LIMIT_FACTOR: '0.5' })
  const passed = await burst(150, () => half.call('/config'))
  t.ok(passed >= 100 && passed <= 120, `${passed} of 150`)
  const none = await startGateway(t, { LIMIT_FACTOR: '0' })
  t.equal(await burst(450, () => none.call('/config')), 450)
})

test('two gateways share the limits, but for a block of each', async (t) => {
  const namespace = `t${newToken().slice(0, 8)}`
  const one = await startGateway(t, { NAMESPACE: namespace, LIMIT_FACTOR: '0.5' })
  const two = await startGateway(t, { NAMESPACE: namespace, LIMIT_FACTOR: '0.5' })
  const startedAt = Date.now()
  const passed = (await burst(90, () => one.call('/config'))) + (await burst(90, () => two.call('/config')))
  const windows = 1 + Math.floor((Date.now() - startedAt) / 2000)
  t.ok(passed >= 100 && passed <= windows * 100 + 20, `${passed} of 180`)
})

test('an IPv6 client is its /64', async (t) => {
  t.equal(limitAddress('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(limitAddress('2001:db8:1:2::9'), '2001:db8:1:2::/64')
  t.equal(limitAddress('192.0.2.1'), '192.0.2.1')
  t.equal(limitAddress('::ffff:192.0.2.1'), '192.0.2.1')
})

test('without Redis calls go on, sessions come from the user service and limits are counted in process', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const { call, owners, gateway } = await startGateway(t, { REDIS_URL: server.url, LIMIT_FACTOR: '0.5' })
  const token = owners.signIn(alice)
  t.equal((await call(`/user/get?access_token=${token}`)).resultCode, codes.success)
  await server.kill()

  t.equal((await call(`/user/get?access_token=${owners.signIn(bob)}`)).resultCode, codes.success)
  const passed = await burst(150, () => call('/config'))
  t.ok(passed >= 100 && passed < 150, `${passed} of 150`)
  t.equal((await fetch(`${gateway.operationsUrl}/readyz`)).status, 503)
  t.match(await (await fetch(`${gateway.operationsUrl}/metrics`)).text(), /^im_without_redis_total\S* [1-9]/m)

  await server.start()
  await eventually(async () => (await fetch(`${gateway.operationsUrl}/readyz`)).status === 200)
})

test('a gateway starts while Redis is away', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  await server.kill()
  const { call, owners, gateway } = await startGateway(t, { REDIS_URL: server.url })
  t.equal((await call(`/user/get?access_token=${owners.signIn(alice)}`)).resultCode, codes.success)
  await server.start()
  await eventually(async () => (await fetch(`${gateway.operationsUrl}/readyz`)).status === 200)
})
