import { once } from 'node:events'
import { createServer } from 'node:http'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, codes, form, startGateway } from './stage.ts'

test('slashes are forgiven, letters are not', async (t) => {
  const { call } = await startGateway(t)
  for (const path of ['/config', '//config', '/config/', '///config//?a=1', '/co%6Efig'])
    t.equal((await call(path)).resultCode, codes.success, path)
  for (const path of ['/Config', '/config/x', '/', '/nothing', '/%zz', '/internal/users/seed', '/../config%00'])
    t.equal((await call(path)).resultCode, codes.unknown, path)
})

test('an address of a form that no file has is not taken for a file', async (t) => {
  const { call } = await startGateway(t)
  const paths = [
    '/u/1',
    '/u/1/1/202611/o/x/y',
    '/avatar/o',
    '//u/%zz',
    '/u/1/1/202611/..%2f/x',
    `/u/${'x'.repeat(2000)}/1/1/o/x`,
  ]
  for (const path of paths) {
    const { http, resultCode } = await call(path)
    const head = await call(path, { method: 'HEAD' })
    t.strictSame([http.status, resultCode, head.http.status], [404, codes.unknown, 404], path.slice(0, 40))
  }
  for (const path of ['/u', '/user/x', '/avatars/o']) t.equal((await call(path)).http.status, 200, path)
})

test('only the methods of the contract are served', async (t) => {
  const { call, gateway } = await startGateway(t)
  for (const method of ['PUT', 'DELETE', 'PATCH'])
    t.equal((await call('/config', { method })).resultCode, codes.unknown, method)
  t.equal((await call('/oauth2/token')).resultCode, codes.unknown)
  const head = await fetch(`${gateway.url}/config`, { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(head.headers.get('content-length') === null, false)
})

test('the clock is the gateway itself', async (t) => {
  const { call } = await startGateway(t)
  const answer = await call('/getCurrentTime', form({}))
  t.equal(answer.resultCode, codes.success)
  t.ok(Math.abs((answer.data as unknown as number) - Date.now()) < 5000)
})

test('answers carry the request id and may be read by any web page', async (t) => {
  const { call, gateway } = await startGateway(t)
  for (const path of ['/config', '/user/get', '/nothing', '/getCurrentTime', '/%zz']) {
    const { http, currentTime } = await call(path, { headers: { 'x-request-id': 'my-id.1' } })
    t.equal(http.status, 200, path)
    t.equal(http.headers.get('x-request-id'), 'my-id.1', path)
    t.equal(http.headers.get('access-control-allow-origin'), '*', path)
    t.equal(http.headers.get('content-type'), 'application/json;charset=UTF-8', path)
    t.ok(currentTime > 0)
  }
  const made = await call('/config', { headers: { 'x-request-id': 'not allowed!' } })
  t.match(made.http.headers.get('x-request-id') ?? '', /^[A-Za-z0-9._-]{1,64}$/)
  t.equal(made.data.requestId, made.http.headers.get('x-request-id'))

  const preflight = await fetch(`${gateway.url}/user/get`, { method: 'OPTIONS' })
  t.equal(preflight.status, 204)
  t.equal(preflight.headers.get('access-control-allow-methods'), 'GET, POST, OPTIONS')
  t.equal(preflight.headers.get('access-control-max-age'), '3600')
  for (const path of [
    '/console/login',
    '/mp/login',
    '/config/set',
    '/%63onsole/login',
    '//mp//x',
    '/config/%73et?a=/',
  ]) {
    const answer = await fetch(gateway.url + path, { method: 'OPTIONS' })
    t.equal(answer.headers.get('access-control-allow-origin'), null, path)
    t.equal(answer.status, 200)
  }
})

test('a request has at most 1 MiB', async (t) => {
  const { call } = await startGateway(t)
  const post = (path: string, bytes: number) => call(path, { method: 'POST', body: Buffer.alloc(bytes, 'a') })
  t.equal((await post('/tigase/encrypt', 1024 * 1024)).resultCode, codes.tokenMissing)
  t.equal(
    (await post('/user/get', 64 * 1024 + 1)).resultCode,
    codes.tooLarge,
    'or less, where nothing long is expected',
  )
  const large = await post('/tigase/encrypt', 1024 * 1024 + 1)
  t.equal(large.resultCode, codes.tooLarge)
  t.equal(large.http.headers.get('access-control-allow-origin'), '*')
  t.equal((await post('/nothing', 1024 * 1024 + 1)).resultCode, codes.unknown)
  // A body in chunks does not tell its length before.
  const inChunks = (bytes: number) =>
    call('/user/get', { method: 'POST', body: new Blob([Buffer.alloc(bytes, 'a')]).stream(), duplex: 'half' })
  t.equal((await inChunks(64 * 1024)).resultCode, codes.tokenMissing)
  t.equal((await inChunks(64 * 1024 + 1)).resultCode, codes.tooLarge)
})

test('a long query in percent-encoded UTF-8 reaches the service', async (t) => {
  const { call } = await startGateway(t)
  t.equal((await call(`/config?text=${'%E4%BD%A0'.repeat(20_000)}`)).resultCode, codes.success)
})

test('a service that is down is ServiceUnavailable, and served again when it is back', async (t) => {
  const { call, owners, gateway } = await startGateway(t)
  const token = owners.signIn(alice)
  t.equal((await call(`/user/get?access_token=${token}`)).resultCode, codes.success)
  await owners.stop()
  const down = await call(`/user/get?access_token=${token}`)
  t.equal(down.resultCode, codes.unavailable)
  t.equal(down.http.status, 200)
  const notReady = await fetch(`${gateway.operationsUrl}/readyz`)
  t.equal(notReady.status, 503)
  t.match(await notReady.text(), /127\.0\.0\.1/)
  t.equal((await fetch(`${gateway.operationsUrl}/startedz`)).status, 200, 'a pod stays in service')
  for (const path of ['/healthz', '/startedz', '/readyz', '/metrics'])
    t.equal((await call(path)).resultCode, codes.unknown, `${path} is the operator’s`)
  t.equal((await call('/getCurrentTime')).resultCode, codes.success)
  await owners.start()
  t.equal((await call(`/user/get?access_token=${token}`)).resultCode, codes.success)
  await eventually(async () => (await fetch(`${gateway.operationsUrl}/readyz`)).status === 200)
})

test('a service that restarts under load loses no call that it had not begun', async (t) => {
  const { call, owners } = await startGateway(t, { LIMIT_FACTOR: '0' })
  const outcomes = new Map<number, number>()
  let running = true
  const load = Array.from({ length: 8 }, async () => {
    while (running) {
      const { resultCode } = await call('/config')
      outcomes.set(resultCode, (outcomes.get(resultCode) ?? 0) + 1)
    }
  })
  await eventually(() => (outcomes.get(codes.success) ?? 0) > 100)
  await owners.stop()
  await owners.start()
  const before = outcomes.get(codes.success) ?? 0
  await eventually(() => (outcomes.get(codes.success) ?? 0) > before + 100)
  running = false
  await Promise.all(load)
  t.strictSame(
    [...outcomes.keys()].filter((code) => code !== codes.success && code !== codes.unavailable),
    [],
  )
})

test('a service that does not answer in time is ServiceUnavailable', async (t) => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.after(() => silent.close().closeAllConnections())
  const { port } = silent.address() as { port: number }
  const { call, gateway } = await startGateway(t, { USER_URL: `http://127.0.0.1:${port}`, SERVICE_TIMEOUT_MS: '300' })
  const started = Date.now()
  t.equal((await call('/config')).resultCode, codes.unavailable)
  t.ok(Date.now() - started < 2000)
  t.equal((await call('/user/get?access_token=abc')).resultCode, codes.unavailable)
  const told = await fetch(`${gateway.url}/pay/callback/wechat`, { method: 'POST', body: '{}' })
  t.equal(told.status, 503, 'a provider would take 200 for "received"')
})

test('OAuth clients are refused in their own form', async (t) => {
  const { gateway, owners } = await startGateway(t, { LIMIT_FACTOR: '0.01' })
  const token = async (body: RequestInit['body'] = new URLSearchParams({ grant_type: 'password' })) => {
    const answer = await fetch(`${gateway.url}/oauth2/token`, { method: 'POST', body })
    const { error, ...rest } = (await answer.json()) as { error?: string }
    t.strictSame(Object.keys(rest), ['error_description'])
    t.equal(answer.headers.get('cache-control'), 'no-store')
    t.equal(answer.headers.get('access-control-allow-origin'), '*')
    return { status: answer.status, error, retryAfter: answer.headers.get('retry-after') }
  }
  t.strictSame(await token(Buffer.alloc(1024 * 1024 + 1, 'a')), {
    status: 400,
    error: 'invalid_request',
    retryAfter: null,
  })
  await owners.stop()
  t.strictSame(await token(), { status: 503, error: 'temporarily_unavailable', retryAfter: null })
  await token()
  t.strictSame(await token(), { status: 429, error: 'slow_down', retryAfter: '2' })
})

test('metrics are on a port of their own', async (t) => {
  const { call, gateway } = await startGateway(t)
  await call('/config')
  t.equal((await call('/metrics')).resultCode, codes.unknown)
  t.match(await (await fetch(`${gateway.operationsUrl}/metrics`)).text(), /im_gateway_answer_seconds_count\{[^}]*\} 1/)
})

test('the API page needs nothing from outside, keeps no token and stands in no frame', async (t) => {
  const { gateway } = await startGateway(t)
  const page = await fetch(`${gateway.url}/docs`)
  const policy = page.headers.get('content-security-policy') ?? ''
  for (const rule of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"])
    t.ok(policy.includes(rule), rule)
  t.equal(page.headers.get('x-content-type-options'), 'nosniff')
  const html = await page.text()
  const parts = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path ?? '')
  t.ok(parts.length >= 3)
  const sources: string[] = []
  for (const path of parts) {
    t.ok(path.startsWith('/docs/'), path)
    const part = await fetch(gateway.url + path)
    t.equal(part.status, 200, path)
    sources.push(await part.text())
  }
  t.match(sources.join('\n'), /"persistAuthorization":false/)
  t.notMatch(html, /<script>/)
})

test('the API document shows each path once, in both languages, and nothing internal', async (t) => {
  const { gateway } = await startGateway(t)
  const { paths } = (await (await fetch(`${gateway.url}/docs/json`)).json()) as {
    paths: Record<string, Record<string, { summary: string }>>
  }
  t.same(Object.keys(paths['/user/login'] ?? {}), ['post'])
  t.match(paths['/user/login']?.['post']?.summary, /^\p{Script=Han}+ \/ \w+/u)
  t.notOk(Object.keys(paths).some((path) => path.startsWith('/internal')))
})

test('in production the API page is served only when it is wanted', async (t) => {
  const off = await startGateway(t, { API_PAGE: 'off' })
  t.equal((await off.call('/docs')).resultCode, codes.unknown)
  t.equal((await off.call('/docs/json')).resultCode, codes.unknown)
})
