import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { ContractError, contract, errors, type Handlers, List, Text, UserId } from '@im/contracts'
import {
  bindHandlers,
  createLogger,
  createMetrics,
  createServiceApp,
  createServiceClient,
  currentRequestId,
  tellEndedSessions,
} from '@im/service-kit'
import { eventually, failure, freePort } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { Type } from 'typebox'

const summary = { zh: '试', en: 'A test' }
const inner = contract('user', {
  card: {
    ...{ path: '/internal/card', summary, auth: 'internal', safe: true },
    params: Type.Object({ userId: UserId(), names: List({ commas: false }) }),
    result: Type.Object({ names: Type.Array(Type.String()), requestId: Type.String(), timeLeft: Type.Number() }),
    errors: ['UserNotFound'],
  },
  slow: {
    ...{ path: '/internal/slow', summary, auth: 'internal' },
    params: Type.Object({ how: Text() }),
    result: Type.Object({}),
  },
})

const log = createLogger({ service: 'test', level: 'silent', format: 'json' })
const keys = { serviceKeys: ['service key'], callerKeys: ['caller key'] }

async function startOwner(t: Test) {
  const seen = { began: 0, aborted: 0 }
  const handlers: Handlers<typeof inner, object> = {
    card: (_deps, { params, deadline }) => {
      if (params.userId === 410) tellEndedSessions(params.names)
      if (params.userId === 404) throw new ContractError('UserNotFound')
      if (params.userId === 500) throw new TypeError('a fault')
      return { names: params.names, requestId: currentRequestId() ?? '', timeLeft: deadline - Date.now() }
    },
    async slow(_deps, { signal }) {
      seen.began++
      signal.addEventListener('abort', () => seen.aborted++)
      await delay(10_000, undefined, { signal })
      return {}
    },
  }
  const bound = bindHandlers(inner, handlers)
  const app = createServiceApp({ handlers: bound, deps: {}, config: keys, log, metrics: createMetrics('test') })
  const baseUrl = await app.listen({ port: 0, host: '127.0.0.1' })
  t.after(async () => {
    app.server.closeAllConnections()
    await app.close()
  })
  return { baseUrl, seen }
}

function clientOf(t: Test, baseUrl: string, options: { key?: string; timeoutMs?: number } = {}) {
  const { key = 'service key', timeoutMs = 2000 } = options
  const client = createServiceClient({ baseUrl, serviceKeys: [key], timeoutMs })
  t.after(() => client.close())
  return client
}

test('a service calls another by contract, and its calls carry the request and the time that is left', async (t) => {
  const { baseUrl } = await startOwner(t)
  const client = clientOf(t, baseUrl)
  const outer = contract('room', {
    ask: { path: '/ask', summary, auth: 'none', params: Type.Object({}), result: Type.Unsafe<object>({}) },
  })
  const app = createServiceApp({
    handlers: bindHandlers(outer, {
      ask: (_deps: object, call) => client.call(inner.card, { userId: 7, names: ['a,b', ' c '] }, call),
    }),
    ...{ deps: {}, config: keys, log, metrics: createMetrics('test') },
  })
  t.after(() => app.close())
  const answer = await app.inject({
    url: '/ask',
    headers: { 'x-request-id': 'id-1', 'x-service-key': 'service key', 'x-im-timeout-ms': '700' },
  })
  t.match(answer.json(), { data: { names: ['a,b', 'c'], requestId: 'id-1' } })
  const { timeLeft } = answer.json().data
  t.ok(timeLeft > 300 && timeLeft <= 700, `${timeLeft}`)
})

test('sessions that ended in a call to another service are told by the answer of the one that called it', async (t) => {
  const client = clientOf(t, (await startOwner(t)).baseUrl)
  const outer = contract('room', {
    end: { path: '/end', summary, auth: 'none', params: Type.Object({}), result: Type.Unsafe<object>({}) },
  })
  const app = createServiceApp({
    handlers: bindHandlers(outer, {
      end: async (_deps: object) => {
        tellEndedSessions(['a'])
        await client.call(inner.card, { userId: 410, names: ['b', 'c'] })
        await client.call(inner.card, { userId: 410, names: ['c'] })
        throw new ContractError('InternalError')
      },
    }),
    ...{ deps: {}, config: keys, log, metrics: createMetrics('test') },
  })
  t.after(() => app.close())
  const { headers } = await app.inject({ url: '/end' })
  t.equal(headers['x-im-ended-sessions'], 'a,b,c')
})

test('what fits into a request of a client can be passed on, although JSON makes it longer', async (t) => {
  const { baseUrl } = await startOwner(t)
  const client = clientOf(t, baseUrl)
  // 1 MiB as a form has it, 6 MiB here.
  const names = Array.from({ length: 1000 }, (_, n) => `${n}${'\u0001'.repeat(1040)}`)
  t.strictSame((await client.call(inner.card, { userId: 1, names })).names, names)
})

test('calls between services are typed', async (t) => {
  const client = clientOf(t, (await startOwner(t)).baseUrl)
  const wrong = [
    // @ts-expect-error what is required must be given
    () => client.call(inner.card, {}),
    // @ts-expect-error and be of its type
    () => client.call(inner.card, { userId: 'abc', names: ['a'] }),
  ]
  for (const call of wrong) await t.rejects(call(), { message: /MissingParam|InvalidParams/ })
})

test('errors the endpoint declares are thrown by name, all others are faults between the two', async (t) => {
  const { baseUrl } = await startOwner(t)
  const client = clientOf(t, baseUrl)
  const ask = (userId: number) => client.call(inner.card, { userId, names: ['a'] })
  await t.rejects(ask(404), failure('UserNotFound'))
  for (const [call, told] of [
    [ask(500), /InternalError/],
    [ask(-1), /InvalidParams/],
    [clientOf(t, baseUrl, { key: 'wrong' }).call(inner.card, { userId: 1, names: ['a'] }), /PermissionDenied/],
  ] as const) {
    const error = await call.catch((thrown: unknown) => thrown)
    t.notOk(error instanceof ContractError, 'no error of the table')
    t.match(error, { message: told })
  }
})

test('a token error of an inner call logs nobody out', async (t) => {
  const stub = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ currentTime: 1, resultCode: errors.TokenInvalid.code, resultMsg: 'x' }))
  })
  const client = clientOf(t, await listen(t, stub))
  const error = await client.call(inner.card, { userId: 1, names: [] }).catch((thrown: unknown) => thrown)
  t.notOk(error instanceof ContractError)
})

test('a service that is away, slow or no service of ours is told as unavailable', async (t) => {
  const { baseUrl, seen } = await startOwner(t)
  const nobody = clientOf(t, `http://127.0.0.1:${await freePort()}`)
  await t.rejects(nobody.call(inner.card, { userId: 1, names: [] }), failure('ServiceUnavailable'))
  const impatient = clientOf(t, baseUrl, { timeoutMs: 100 })
  await t.rejects(impatient.call(inner.slow, { how: 'x' }), failure('ServiceUnavailable'))
  await eventually(() => seen.aborted === 1)
  let pages = 0
  const page = createServer((_request, response) => {
    pages++
    response.writeHead(502).end('<html>')
  })
  const proxy = clientOf(t, await listen(t, page))
  await t.rejects(proxy.call(inner.card, { userId: 1, names: [] }), failure('ServiceUnavailable'))
  t.equal(pages, 1, 'whoever answers is not asked again')
})

test('an inner call ends with the call it is made for', async (t) => {
  const { baseUrl, seen } = await startOwner(t)
  const client = clientOf(t, baseUrl, { timeoutMs: 8000 })
  const waiting = new AbortController()
  const call = client.call(inner.slow, { how: 'x' }, { signal: waiting.signal })
  await eventually(() => seen.began === 1)
  waiting.abort()
  await t.rejects(call, failure('ServiceUnavailable'))
  await eventually(() => seen.aborted === 1)
  const late = client.call(inner.slow, { how: 'x' }, { deadline: Date.now() - 1 })
  await t.rejects(late, failure('ServiceUnavailable'))
  t.equal(seen.began, 1, 'nothing is asked for nobody')
})

test('what only reads is asked again when the connection is lost, what changes something is not', async (t) => {
  let calls = 0
  const stub = createServer((request, response) => {
    if (++calls % 2) return void request.socket.destroy()
    response.end(JSON.stringify({ currentTime: 1, resultCode: 1, data: {} }))
  })
  const client = clientOf(t, await listen(t, stub))
  await t.resolves(client.call(inner.card, { userId: 1, names: [] }))
  t.equal(calls, 2)
  await t.rejects(client.call(inner.slow, { how: 'x' }), failure('ServiceUnavailable'))
  t.equal(calls, 3)
})

async function listen(t: Test, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
