import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Caller,
  ContractError,
  contract,
  Entity,
  type ErrorName,
  errors,
  type Handlers,
  Json,
  LongText,
  Nothing,
  Pwd,
  RawAnswer,
  Reply,
  redirect,
  Text,
  UserId,
} from '@im/contracts'
import {
  AuditLog,
  bindHandlers,
  createLogger,
  createMetrics,
  createServiceApp,
  sessionCookie,
  timeoutHeader,
} from '@im/service-kit'
import { createTestClient, eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { Type } from 'typebox'
import { startRuntime } from './runtime.ts'

const summary = { zh: '试', en: 'A test' }
const none = { summary, auth: 'none', params: Type.Object({}), result: Nothing } as const
const how = Type.Object({ how: Type.Optional(Text()) })

const things = contract('room', {
  menu: { ...none, path: '/menu/:op/of/:name', params: Type.Object({ op: Text(), name: Text() }), result: Json() },
  show: { ...none, path: '/page', methods: ['GET'], result: Type.String() },
  send: { ...none, path: '/page', methods: ['POST'], result: Type.String() },
  upload: {
    ...none,
    path: '/upload',
    result: Type.Object({ url: Type.String() }),
    members: Type.Object({ total: Type.Integer(), failure: Type.Integer() }),
  },
  move: { ...none, path: '/move', params: how, result: Type.String() },
  callback: { ...none, path: '/callback', body: 'raw', params: Type.Object({ id: Text() }), result: Json() },
  stream: { ...none, path: '/stream', body: 'stream', maxBytes: 100_000, timeoutMs: 3000, params: how, result: Json() },
  wait: { ...none, path: '/wait', params: how },
  fail: { ...none, path: '/fail', params: Type.Object({ name: Text() }), errors: ['RoomFull'] },
  strict: {
    ...none,
    path: '/oauth2/strict',
    auth: { anyOf: ['internal', { console: 6 }] },
    ...{ body: 'form', answer: 'oauth', methods: ['POST'] },
    params: Type.Object({ token: Text() }),
    result: Json(),
  },
  short: { ...none, path: '/short', params: Type.Object({ text: Type.Optional(Text()) }) },
  long: { ...none, path: '/long', params: Type.Object({ text: Type.Optional(LongText()) }) },
})

const limited = contract('room', {
  successes: {
    ...none,
    path: '/successes',
    params: Type.Object({ serial: Type.Optional(Text()), how: Text() }),
    errors: ['RoomFull'],
    limits: [
      { by: 'ip', max: 5, seconds: 60, counts: 'successes' },
      { by: 'param:serial', max: 2, seconds: 60, counts: 'successes' },
    ],
  },
  failures: {
    ...none,
    path: '/failures',
    params: Type.Object({ how: Text(), account: Type.Optional(Text()) }),
    errors: ['WrongPassword', 'LoginTooOften'],
    limits: [
      { by: 'user-or-ip', max: 3, seconds: 900, counts: 'failures', error: 'LoginTooOften' },
      { by: 'param:account', max: 1, seconds: 900, counts: 'failures', error: 'LoginTooOften' },
    ],
  },
  targets: {
    ...none,
    path: '/targets',
    auth: 'user',
    params: Type.Object({ toUserId: UserId() }),
    limits: [{ by: ['user', 'param:toUserId'], max: 2, seconds: 86_400, group: 'greetings' }],
  },
  others: {
    ...none,
    path: '/others',
    auth: { anyOf: ['user', 'internal'] },
    params: Type.Object({ toUserId: UserId() }),
    limits: [{ by: ['user', 'param:toUserId'], max: 2, seconds: 86_400, group: 'greetings' }],
  },
})

/** What handlers saw, for the test that caused it. */
class Seen {
  aborted = false
  began = 0
  chunks: number[] = []
}

const bodyText = async (body: AsyncIterable<Uint8Array>, seen: Seen) => {
  for await (const chunk of body) seen.chunks.push(chunk.length)
  return seen.chunks.reduce((sum, length) => sum + length, 0)
}

const handlers: Handlers<typeof things, Seen> = {
  menu: (_seen, { params }) => params,
  show: () => 'page',
  send: () => 'sent',
  upload: () =>
    new Reply(
      { url: 'u' },
      { members: { total: 2, failure: 1, secret: 1 } as never, headers: { 'set-cookie': ['a=1', 'b=2'] } },
    ),
  move: (_seen, { params, request }) =>
    params.how === 'cookie'
      ? new Reply('x', { headers: { 'set-cookie': sessionCookie('console', 't', request) } })
      : redirect('/console/login'),
  callback: (_seen, { body, params, request }) => ({
    hex: Buffer.from(body).toString('hex'),
    id: params.id,
    signature: request.headers['x-signature'],
  }),
  async stream(seen, { body, params }) {
    seen.began++
    return params.how === 'unread' ? {} : { bytes: await bodyText(body, seen) }
  },
  async wait(seen, { signal, deadline }) {
    seen.began++
    if (deadline - Date.now() > 5000) throw new Error('too much time')
    signal.addEventListener('abort', () => {
      seen.aborted = true
    })
    await delay(20_000, undefined, { signal })
    return undefined as never
  },
  fail(_seen, { params }) {
    throw new ContractError(params.name as ErrorName)
  },
  strict: () => new RawAnswer('{}'),
  short: () => undefined as never,
  long: () => undefined as never,
}

const outcome = (wanted: string) => {
  if (wanted === 'crash') throw new Error('a fault')
  if (wanted !== 'well') throw new ContractError(wanted as ErrorName)
  return undefined as never
}
const limitedHandlers: Handlers<typeof limited, Seen> = {
  successes: (_seen, { params }) => outcome(params.how),
  failures: (_seen, { params }) => outcome(params.how),
  targets: () => undefined as never,
  others: () => undefined as never,
}

async function startEdge(t: Test, options: { nodeEnv?: string; limits?: boolean; logged?: string[] } = {}) {
  const runtime = options.limits ? await startRuntime(t) : undefined
  const seen = new Seen()
  const log = createLogger({ service: 'test', level: options.logged ? 'info' : 'silent', format: 'json' })
  if (options.logged) log.error = ((about: object) => options.logged?.push(JSON.stringify(about))) as never
  const app = createServiceApp({
    handlers: [...bindHandlers(things, handlers), ...bindHandlers(limited, limitedHandlers)],
    deps: seen,
    config: { serviceKeys: ['service key'], callerKeys: ['caller key'], nodeEnv: options.nodeEnv ?? 'test' },
    log,
    metrics: createMetrics('test'),
    limits: runtime?.rateCounters,
  })
  const baseUrl = await app.listen({ port: 0, host: '127.0.0.1' })
  const api = createTestClient({ baseUrl, callerKey: 'caller key' })
  const internal = createTestClient({ baseUrl, serviceKey: 'service key' })
  t.after(async () => {
    await Promise.all([api.close(), internal.close()])
    app.server.closeAllConnections()
    await app.close()
  })
  return { baseUrl, seen, api, internal }
}

test('parameters of the path are decoded and win over query and body', async (t) => {
  const { baseUrl } = await startEdge(t)
  const get = async (path: string) =>
    (await (await fetch(baseUrl + path)).json()) as { data?: object; resultCode: number }
  t.strictSame((await get('/menu/save/of/%E4%BD%A0%2F%20a?op=delete&name=x')).data, { op: 'save', name: '你/ a' })
  t.equal((await get('/menu/save/of/%zz')).resultCode, errors.UnknownEndpoint.code)
  t.equal((await get('/menu/save/of')).resultCode, errors.UnknownEndpoint.code)
})

test('GET and POST of one path are two endpoints', async (t) => {
  const { api } = await startEdge(t)
  t.equal(await api.call(things.show, {}, { method: 'GET' }), 'page')
  t.equal(await api.call(things.send, {}, { method: 'POST' }), 'sent')
})

test('an answer has members beside its data, and headers', async (t) => {
  const { baseUrl } = await startEdge(t)
  const answer = await fetch(`${baseUrl}/upload`)
  const { currentTime, ...rest } = (await answer.json()) as Record<string, unknown>
  t.ok(currentTime)
  t.strictSame(rest, { data: { url: 'u' }, resultCode: 1, total: 2, failure: 1 })
  t.strictSame(answer.headers.getSetCookie(), ['a=1', 'b=2'])
})

test('any handler may redirect, and set the cookie of a session', async (t) => {
  const { baseUrl } = await startEdge(t)
  const moved = await fetch(`${baseUrl}/move`, { redirect: 'manual' })
  t.strictSame([moved.status, moved.headers.get('location')], [303, '/console/login'])
  const [cookie] = (await fetch(`${baseUrl}/move?how=cookie`)).headers.getSetCookie()
  t.equal(cookie, 'console_token=t; Path=/; HttpOnly; SameSite=Strict')
  t.match(sessionCookie('mp', undefined, { proto: 'https' }), /^mp_token=; .*Secure; Max-Age=0$/)
})

test('a raw body reaches the handler byte for byte', async (t) => {
  const { baseUrl } = await startEdge(t)
  const body = Buffer.from('7b00ff2c', 'hex')
  for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/xml']) {
    const headers = { 'content-type': type, 'x-signature': 's' }
    const answer = await fetch(`${baseUrl}/callback?id=7`, { method: 'POST', body, headers })
    t.match(await answer.json(), { data: { hex: '7b00ff2c', id: '7', signature: 's' } }, type)
  }
})

test('a stream is read while it arrives, and cut where it is too long', async (t) => {
  const { baseUrl, seen } = await startEdge(t)
  const upload = httpRequest(`${baseUrl}/stream`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data' },
  })
  upload.write(Buffer.alloc(1000))
  await eventually(() => seen.chunks.length > 0)
  upload.end(Buffer.alloc(500))
  const [answer] = await once(upload, 'response')
  t.match(JSON.parse((await answer.toArray()).join('')), { data: { bytes: 1500 } })

  const long = await fetch(`${baseUrl}/stream`, { method: 'POST', body: Buffer.alloc(200_000) })
  t.match(await long.json(), { resultCode: errors.RequestTooLarge.code })
  const unread = await fetch(`${baseUrl}/stream?how=unread`, { method: 'POST', body: Buffer.alloc(90_000) })
  t.match(await unread.json(), { resultCode: 1 })
})

test('a handler learns that nobody waits any more', async (t) => {
  const { baseUrl, seen, internal } = await startEdge(t)
  const leaving = new AbortController()
  const call = fetch(`${baseUrl}/wait`, { signal: leaving.signal }).catch(() => {})
  await eventually(() => seen.began === 1)
  t.notOk(seen.aborted)
  leaving.abort()
  await call
  await eventually(() => seen.aborted, 2000)

  seen.aborted = false
  const startedAt = performance.now()
  const late = await internal.envelope(things.wait, {}, { headers: { [timeoutHeader]: '100' } })
  t.equal(late.resultCode, errors.ServiceUnavailable.code)
  t.ok(performance.now() - startedAt < 2000)
  t.ok(seen.aborted)
})

test('only the gateway and other services say how long somebody waits', async (t) => {
  const { baseUrl, seen } = await startEdge(t)
  const call = fetch(`${baseUrl}/wait`, { headers: { [timeoutHeader]: '50' }, signal: AbortSignal.timeout(500) })
  await t.rejects(call, { name: 'TimeoutError' })
  t.equal(seen.began, 1)
})

test('an error that the contract does not declare fails a test, and is told to the operator', async (t) => {
  const logged: string[] = []
  const { api } = await startEdge(t, { logged })
  t.equal((await api.envelope(things.fail, { name: 'RoomFull' })).resultCode, errors.RoomFull.code)
  t.equal((await api.envelope(things.fail, { name: 'PermissionDenied' })).resultCode, errors.InternalError.code)
  t.equal(logged.length, 1)
  t.match(logged[0], /PermissionDenied/)
  const production = await startEdge(t, { nodeEnv: 'production', logged })
  const answer = await production.api.envelope(things.fail, { name: 'PermissionDenied' })
  t.equal(answer.resultCode, errors.PermissionDenied.code)
  t.equal(logged.length, 2)
})

test('an OAuth endpoint takes its parameters from a form only, each once', async (t) => {
  const { baseUrl } = await startEdge(t)
  const post = (
    body: string,
    type = 'application/x-www-form-urlencoded',
    query = '',
    more: Record<string, string> = {},
  ) =>
    fetch(`${baseUrl}/oauth2/strict${query}`, {
      method: 'POST',
      body,
      headers: { 'content-type': type, 'x-service-key': 'service key', ...more },
    })
  t.equal((await post('token=a')).status, 200)
  t.equal((await post('token=a', 'application/x-www-form-urlencoded; charset=UTF-8')).status, 200)
  const refusals = [
    post('', undefined, '?token=a'),
    post('token=a', undefined, '?other=1'),
    post('{"token":"a"}', 'application/json'),
    post('token=a&token=a'),
    post('token=a&x=&x='),
    post('x=1'),
  ]
  for (const refusal of refusals) {
    const { status, headers, body } = await refusal.then(async (answer) => ({
      ...{ status: answer.status, headers: answer.headers },
      body: (await answer.json()) as object,
    }))
    t.equal(status, 400)
    t.match(body, { error: 'invalid_request' })
    t.equal(headers.get('cache-control'), 'no-store')
  }
  const basic = await post('token=a', undefined, '', { 'x-service-key': '', authorization: 'Basic eDp5' })
  t.strictSame([basic.status, basic.headers.get('www-authenticate')], [401, 'Basic realm="im"'])
  const bearer = await post('token=a', undefined, '', { 'x-service-key': 'wrong' })
  t.strictSame([bearer.status, bearer.headers.get('www-authenticate')], [401, 'Bearer realm="im"'])
})

test('a body is short where no parameter is long', async (t) => {
  const { api, baseUrl } = await startEdge(t)
  const text = (bytes: number) => `text=&x=${'a'.repeat(bytes - 8)}`
  const post = async (path: string, bytes: number) => {
    const answer = await fetch(baseUrl + path, { method: 'POST', body: text(bytes) })
    return ((await answer.json()) as { resultCode: number }).resultCode
  }
  t.equal(await post('/short', 65_536), 1)
  t.equal(await post('/short', 65_537), errors.RequestTooLarge.code)
  t.equal(await post('/long', 1_048_576), 1)
  t.equal(await post('/long', 1_048_577), errors.RequestTooLarge.code)
  t.equal((await api.envelope(things.short, {})).resultCode, 1)
})

test('a limit counts successes: what fails is given back, for the address and for a parameter', async (t) => {
  const { api } = await startEdge(t, { limits: true })
  const call = async (params: { how?: string; serial?: string }, ip = '192.0.2.1') =>
    (await api.envelope(limited.successes, params, { ip })).resultCode
  for (let n = 0; n < 7; n++) t.equal(await call({ how: 'RoomFull', serial: 'a' }), errors.RoomFull.code)
  for (let n = 0; n < 7; n++) t.equal(await call({ serial: 'a' }), errors.MissingParam.code)
  t.equal(await call({ how: 'crash', serial: 'a' }), errors.InternalError.code)
  for (let n = 0; n < 2; n++) t.equal(await call({ how: 'well', serial: 'a' }), 1)
  t.equal(await call({ how: 'well', serial: 'a' }), errors.RateLimited.code)
  t.equal(await call({ how: 'well', serial: 'a' }, '192.0.2.9'), errors.RateLimited.code, 'of whatever address')
  for (let n = 0; n < 3; n++) t.equal(await call({ how: 'well' }), 1, 'without the parameter nothing is counted for it')
  const full = await api.envelope(limited.successes, { how: 'well', language: 'en' }, { ip: '192.0.2.1' })
  t.match(full, { resultCode: errors.RateLimited.code, resultMsg: /in (60|59) seconds/ })
  t.equal(await call({ how: 'well' }, '192.0.2.2'), 1)
})

test('a limit counts failures, also those under way at the same time', async (t) => {
  const { api } = await startEdge(t, { limits: true })
  const call = async (wanted: string, ip = '2001:db8::1') =>
    (await api.envelope(limited.failures, { how: wanted }, { ip })).resultCode
  for (let n = 0; n < 9; n++) t.equal(await call('well'), 1)
  t.equal(await call('crash'), errors.InternalError.code)
  const burst = await Promise.all(Array.from({ length: 20 }, () => call('WrongPassword')))
  t.equal(burst.filter((code) => code === errors.WrongPassword.code).length, 3)
  t.equal(await call('well', '2001:db8::2'), errors.LoginTooOften.code, 'an IPv6 client is its network')
  t.equal(await call('well', '2001:db8:1::1'), 1)
})

test('a refusal counts for none of the limits', async (t) => {
  const { api } = await startEdge(t, { limits: true })
  const call = async (params: { how: string; account?: string }) =>
    (await api.envelope(limited.failures, params, { ip: '192.0.2.1' })).resultCode
  t.equal(await call({ how: 'WrongPassword', account: 'a' }), errors.WrongPassword.code)
  for (let n = 0; n < 5; n++) t.equal(await call({ how: 'WrongPassword', account: 'a' }), errors.LoginTooOften.code)
  for (let n = 0; n < 2; n++) t.equal(await call({ how: 'WrongPassword' }), errors.WrongPassword.code)
  t.equal(await call({ how: 'WrongPassword' }), errors.LoginTooOften.code)
})

test('a limit counts user and target together, over the endpoints of a group; services have none', async (t) => {
  const { api, internal } = await startEdge(t, { limits: true })
  const [alice, bob] = [10_000_001, 10_000_002]
  const greet = async (as: number, toUserId: number, endpoint = limited.targets) =>
    (await api.envelope(endpoint, { toUserId }, { as })).resultCode
  t.equal(await greet(alice, 1), 1)
  t.equal(await greet(alice, 1, limited.others as never), 1)
  t.equal(await greet(alice, 1), errors.RateLimited.code)
  t.equal(await greet(alice, 2), 1)
  t.equal(await greet(bob, 1), 1)
  for (let n = 0; n < 7; n++) t.equal((await internal.envelope(limited.successes, { how: 'well' })).resultCode, 1)
})

const audited = contract('room', {
  change: {
    ...none,
    path: '/console/change',
    auth: { console: 5 },
    audit: true,
    params: Type.Object({
      roomId: Text(),
      password: Pwd(),
      example: Entity({ name: Text(), password: Type.Optional(Pwd()) }),
      how: Type.Optional(Text()),
    }),
    errors: ['RoomNotFound'],
  },
})

test('what the console changes is written down before it is done', async (t) => {
  const { db, now, log } = await startRuntime(t)
  const audit = new AuditLog({ db, now, log })
  await audit.createIndexes()
  const entries = db.collection('audit')
  const atStart: unknown[] = []
  const app = createServiceApp({
    handlers: bindHandlers(audited, {
      async change(_deps: object, { params, note }) {
        atStart.push(await entries.findOne({ 'params.roomId': params.roomId }))
        note({ before: 1 })
        note({ after: 2 })
        if (params.how) throw new ContractError('RoomNotFound')
        return undefined as never
      },
    }),
    deps: {},
    config: { serviceKeys: [], callerKeys: ['caller key'] },
    log,
    metrics: createMetrics('test'),
    audit,
  })
  t.after(() => app.close())
  const baseUrl = await app.listen({ port: 0, host: '127.0.0.1' })
  const api = createTestClient({ baseUrl, callerKey: 'caller key' })
  t.after(() => api.close())
  const staff: Caller = { userId: 10_000_001, sessionId: 's', device: 'web', kind: 'console', role: 5 }
  const params = { roomId: 'a', name: 'n', password: 'secret' }

  t.equal((await api.envelope(audited.change, params, { as: staff, ip: '192.0.2.7' })).resultCode, 1)
  await api.envelope(audited.change, { ...params, roomId: 'b', how: 'badly' }, { as: staff })
  await api.envelope(audited.change, { ...params, roomId: 'c' }, { as: { ...staff, role: 4 } })
  await api.envelope(audited.change, { roomId: 'd', password: 'x' }, { as: staff })

  t.match(atStart[0], { call: 'POST /console/change', outcome: undefined })
  const written = await entries
    .find({}, { projection: { _id: 0, at: 0 } })
    .sort({ _id: 1 })
    .toArray()
  t.strictSame(written, [
    {
      ...{ userId: staff.userId, ip: '192.0.2.7', requestId: 'test', call: 'POST /console/change' },
      ...{ params: { roomId: 'a', example: { name: 'n' } }, notes: { before: 1, after: 2 }, outcome: 'Success' },
    },
    {
      ...{ userId: staff.userId, ip: '127.0.0.1', requestId: 'test', call: 'POST /console/change' },
      ...{ params: { roomId: 'b', example: { name: 'n' }, how: 'badly' }, notes: { before: 1, after: 2 } },
      outcome: 'RoomNotFound',
    },
  ])

  const begin = audit.begin
  audit.begin = () => Promise.reject(new Error('no room on the disk'))
  t.equal((await api.envelope(audited.change, params, { as: staff })).resultCode, errors.InternalError.code)
  audit.begin = begin
  t.equal(atStart.length, 2, 'what can not be written down is not done')
})

test('a service without a database has no endpoint that is audited', async (t) => {
  const start = () =>
    createServiceApp({
      handlers: bindHandlers(audited, { change: () => undefined as never }),
      deps: {},
      config: { serviceKeys: [], callerKeys: [] },
      log: createLogger({ service: 'test', level: 'silent', format: 'json' }),
      metrics: createMetrics('test'),
    })
  t.throws(start, /audited/)
})

test('a request that is cut off in the middle reaches no handler', async (t) => {
  const { baseUrl, seen } = await startEdge(t)
  const { port } = new URL(baseUrl)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write('POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhow=')
  await delay(100)
  socket.destroy()
  await delay(100)
  t.equal(seen.began, 0)
})
