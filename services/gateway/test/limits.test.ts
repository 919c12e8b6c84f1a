import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { limitAddress } from '@im/service-kit'
import { eventually, freePort } from '@im/service-kit/testing'
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
  t.match(seconds, /^[12]$/)
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
  const { call, owners } = await startGateway(t, { LIMIT_FACTOR: '0.01' })
  const answers: number[] = []
  for (let guess = 0; guess < 10; guess++) answers.push((await call(`/user/get?access_token=${newToken()}`)).resultCode)
  t.equal(answers[0], codes.tokenInvalid)
  t.equal(answers.at(-1), codes.rateLimited)
  t.ok(owners.lookups < 6, `${owners.lookups} lookups`)
})

test('the limit of one endpoint is exact', async (t) => {
  const { call } = await startGateway(t)
  const answers = await Promise.all(Array.from({ length: 12 }, () => call('/user/register')))
  t.equal(answers.filter(({ resultCode }) => resultCode === codes.success).length, 10)
  const refused = answers.find(({ resultCode }) => resultCode === codes.rateLimited)
  t.equal(refused?.http.headers.get('retry-after'), '360')
  t.match(refused?.resultMsg ?? '', /360/)
})

test('the limit of one endpoint is counted by user where there is one', async (t) => {
  const { call, owners } = await startGateway(t)
  const [first, second] = [owners.signIn(alice), owners.signIn(bob)]
  const ask = (token: string) => call(`/user/getByAccount?access_token=${token}`)
  t.equal(await burst(40, () => ask(first)), 30)
  t.equal((await ask(second)).resultCode, codes.success)
  t.equal((await ask(owners.signIn(alice))).resultCode, codes.rateLimited)
})

test('LIMIT_FACTOR multiplies every limit, 0 switches them off', async (t) => {
  const many = await startGateway(t, { LIMIT_FACTOR: '2' })
  t.equal(await burst(30, () => many.call('/user/register')), 20)
  const none = await startGateway(t, { LIMIT_FACTOR: '0' })
  t.equal(await burst(450, () => none.call('/config')), 450)
})

test('two gateways share the limits', async (t) => {
  const namespace = `t${newToken().slice(0, 8)}`
  const one = await startGateway(t, { NAMESPACE: namespace })
  const two = await startGateway(t, { NAMESPACE: namespace })
  const passed = (await burst(8, () => one.call('/user/register'))) + (await burst(8, () => two.call('/user/register')))
  t.equal(passed, 10)
})

test('an IPv6 client is its /64', async (t) => {
  t.equal(limitAddress('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(limitAddress('2001:db8:1:2::9'), '2001:db8:1:2::/64')
  t.equal(limitAddress('192.0.2.1'), '192.0.2.1')
  t.equal(limitAddress('::ffff:192.0.2.1'), '192.0.2.1')
})

test('without Redis calls go on, sessions come from the user service and limits are counted in process', async (t) => {
  const port = await freePort()
  let redis = await startRedis(port)
  t.after(() => redis.kill('SIGKILL'))
  const { call, owners, gateway } = await startGateway(t, { REDIS_URL: `redis://127.0.0.1:${port}` })
  const token = owners.signIn(alice)
  t.equal((await call(`/user/get?access_token=${token}`)).resultCode, codes.success)
  redis.kill('SIGKILL')
  await once(redis, 'exit')

  t.equal((await call(`/user/get?access_token=${owners.signIn(bob)}`)).resultCode, codes.success)
  t.equal(await burst(12, () => call('/user/register')), 10)
  t.equal((await fetch(`${gateway.operationsUrl}/readyz`)).status, 503)
  t.match(await (await fetch(`${gateway.operationsUrl}/metrics`)).text(), /^im_gateway_without_redis_total [1-9]/m)

  redis = await startRedis(port)
  await eventually(async () => (await fetch(`${gateway.operationsUrl}/readyz`)).status === 200)
})

async function startRedis(port: number) {
  const child = spawn('redis-server', [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
  ])
  let text = ''
  for await (const chunk of child.stdout) {
    text += chunk
    if (/Ready to accept connections/.test(text)) break
  }
  return child
}
