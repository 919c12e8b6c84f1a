import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createLogger } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { Upstream } from '../src/calls/upstream.ts'
import { outerServices } from '../src/outer-endpoints.ts'
import { codes, everyServiceAt, startGateway } from './stage.ts'
import { oneAddress, stubService, success } from './stub-replicas.ts'

const post = { method: 'POST' }

/** A gateway that sends the calls of apps to `url`. What it asks the user service itself goes elsewhere. */
function startGatewayBefore(t: Test, url: string, connections?: number) {
  const log = createLogger({ service: 'gateway', level: 'silent', format: 'json' })
  const service = new Upstream({
    name: 'user',
    url,
    connectTimeoutMs: 5000,
    log,
    ...(connections ? { connections } : {}),
  })
  return startGateway(t, {}, { upstreams: new Map(outerServices.map((name) => [name, service])) })
}

test('a call that changes something is done once, also when its service dies with it', async (t) => {
  let dies = false
  const user = await stubService(t, (request, response) => {
    if (dies) request.socket.destroy()
    else response.end(success)
  })
  const { call } = await startGatewayBefore(t, user.url)
  dies = true
  t.equal((await call('/user/register', post)).resultCode, codes.unavailable, 'on a new connection')
  dies = false
  t.equal((await call('/user/register', post)).resultCode, codes.success)
  dies = true
  t.equal((await call('/user/register', post)).resultCode, codes.unavailable, 'on a connection that has served before')
  t.equal(user.paths.length, 3)
})

test('nor is it given to another replica', async (t) => {
  const dying = await stubService(t, (request) => request.socket.destroy())
  const living = await stubService(t, (_request, response) => response.end(success))
  const { call } = await startGatewayBefore(t, await oneAddress(t, [dying.port, living.port]))
  const answers = [await call('/user/register', post), await call('/user/register', post)]
  t.same(
    answers.map(({ resultCode }) => resultCode),
    [codes.unavailable, codes.success],
  )
  t.equal(dying.paths.length + living.paths.length, 2)
})

test('a call that only reads is sent once more', async (t) => {
  const dying = await stubService(t, (request) => request.socket.destroy())
  const living = await stubService(t, (_request, response) => response.end(success))
  const { call } = await startGatewayBefore(t, await oneAddress(t, [dying.port, living.port]))
  t.equal((await call('/config')).resultCode, codes.success)
  t.same([dying.paths, living.paths], [['/config'], ['/config']])
  const dead = await startGatewayBefore(t, dying.url)
  t.equal((await dead.call('/config')).resultCode, codes.unavailable)
  t.equal(dying.paths.length, 3, 'and not for ever')
})

test('an answer that breaks off is not taken for a whole one', async (t) => {
  const user = await stubService(t, (request, response) => {
    response.writeHead(200, { 'content-length': '1000' })
    if (request.url === '/config') response.write('{"currentTime":1')
    else response.flushHeaders()
    setTimeout(() => request.socket.destroy(), 50)
  })
  const { call } = await startGatewayBefore(t, user.url)
  await t.rejects(call('/config'))
  t.equal((await call('/config?head')).resultCode, codes.unavailable, 'after its head')
  t.equal(user.paths.length, 2, 'nor is it asked for again')
})

test('a call whose app leaves is given up at its service', async (t) => {
  let isGivenUp = false
  const user = await stubService(t, (_request, response) =>
    response.once('close', () => {
      isGivenUp = true
    }),
  )
  const { call } = await startGatewayBefore(t, user.url)
  const leaving = new AbortController()
  const left = t.rejects(call('/config', { signal: leaving.signal }))
  await eventually(() => user.paths.length === 1)
  leaving.abort()
  await left
  await eventually(() => isGivenUp, 3000)
  t.ok(isGivenUp, 'before its time was over')
})

test('apps that read nothing of long answers leave connections to others', async (t) => {
  const long = JSON.stringify({ currentTime: 1, resultCode: 1, data: 'x'.repeat(10_000_000) })
  const user = await stubService(t, (request, response) => response.end(request.url === '/config' ? success : long))
  const { call, gateway } = await startGatewayBefore(t, user.url, 8)
  const { hostname, port } = new URL(gateway.url)
  const idle = Array.from({ length: 16 }, () =>
    connect(Number(port), hostname)
      .on('error', () => {})
      .pause(),
  )
  for (const socket of idle) socket.write('GET /config?long HTTP/1.1\r\nHost: a\r\n\r\n')
  await eventually(() => user.paths.length === 16)
  t.equal((await call('/config')).resultCode, codes.success)
  t.equal((await call('/config?long')).resultCode, codes.success, 'who reads gets a long one, too')
  for (const socket of idle) socket.destroy()
})

test('what fails inside is told by the request id only', async (t) => {
  const { call } = await startGateway(t, { USER_URL: 'http://127.0.0.1:1' })
  const answer = await call('/config', { headers: { 'x-request-id': 'mine' } })
  t.equal(answer.resultCode, codes.unavailable)
  t.equal(answer.detailMsg, 'mine')
})

test('what only the gateway may say is passed on from nobody else', async (t) => {
  const keys: unknown[] = []
  const user = await stubService(t, (request, response) => {
    keys.push(request.headers['x-service-key'])
    response.setHeader('access-control-allow-origin', 'http://evil.test')
    response.setHeader('access-control-allow-credentials', 'true')
    response.setHeader('x-request-id', 'other')
    response.setHeader('x-im-outcome', 'Success')
    response.setHeader('x-im-ended-sessions', 'aa')
    response.end(success)
  })
  const { call } = await startGatewayBefore(t, user.url)
  const sent = { 'x-request-id': 'mine', 'x-service-key': 'guessed' }
  const { headers } = (await call('/config', { headers: sent })).http
  t.strictSame(keys, [undefined])
  const names = [
    'access-control-allow-origin',
    'access-control-allow-credentials',
    'x-request-id',
    'x-im-outcome',
    'x-im-ended-sessions',
  ]
  t.strictSame(
    names.map((name) => headers.get(name)),
    ['*', null, 'mine', null, null],
  )
})

test('new replicas get calls although the old ones keep their connections', async (t) => {
  const [old, added] = await Promise.all(
    [1, 2].map(() => stubService(t, (_request, response) => response.end(success))),
  )
  const ports = [old?.port ?? 0]
  const url = await oneAddress(t, ports)
  const log = createLogger({ service: 'gateway', level: 'error', format: 'json' })
  const service = new Upstream({ name: 'both', url, connectTimeoutMs: 1000, lifetime: 200, log })
  t.after(() => service.close())
  const upstreams = new Map(outerServices.map((name) => [name, service]))
  const { call } = await startGateway(t, {}, { upstreams })
  await call('/config')
  ports.push(added?.port ?? 0)
  await eventually(async () => {
    await call('/config')
    await delay(50)
    return (added?.paths.length ?? 0) > 0
  })
  t.ok((added?.paths.length ?? 0) > 0, 'the new one was asked')
})

test('a service that is slow, but ready, does not make the gateway unready', async (t) => {
  const user = await stubService(t, (request, response) => {
    if (request.url === '/readyz') response.end('ready')
    else setTimeout(() => response.end(success), 3000)
  })
  const { call, gateway } = await startGateway(t, {
    ...everyServiceAt(user.url),
    SERVICE_TIMEOUT_MS: '10000',
    LIMIT_FACTOR: '0',
  })
  const slow = Array.from({ length: 520 }, () => call('/config'))
  await eventually(() => user.paths.length >= 256)
  const startedAt = performance.now()
  t.equal((await fetch(`${gateway.operationsUrl}/readyz`)).status, 200)
  t.ok(performance.now() - startedAt < 1000)
  for (const { resultCode } of await Promise.all(slow)) t.equal(resultCode, codes.success)
})

test('the end of the gateway waits for calls under way, and not for those that hang', async (t) => {
  const user = await stubService(t, (_request, response) => setTimeout(() => response.end(success), 500))
  const { call, gateway } = await startGateway(t, { USER_URL: user.url, SHUTDOWN_SECONDS: '4' })
  const underWay = call('/config')
  await eventually(() => user.paths.length === 1)
  const { hostname, port } = new URL(gateway.url)
  const hanging = connect(Number(port), hostname)
  hanging.on('error', () => {})
  hanging.write('POST /config HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc')
  await delay(100)
  const startedAt = performance.now()
  const [answer] = await Promise.all([underWay, gateway.close()])
  t.equal(answer.resultCode, codes.success)
  t.ok(performance.now() - startedAt < 3000)
})
