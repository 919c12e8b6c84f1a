import assert from 'node:assert/strict'
import {
  type Caller,
  ContractError,
  contract,
  Flag,
  FlagResult,
  type Handlers,
  LongIdResult,
  Nothing,
  OAuthError,
  Oid,
  Raw,
  RawAnswer,
  Reply,
  Self,
  Text,
  UserId,
} from '@im/contracts'
import {
  bindHandlers,
  callerHeader,
  createLogger,
  createMetrics,
  createServiceApp,
  StoreAwayError,
  signCaller,
} from '@im/service-kit'
import fc from 'fast-check'
import { type Test, test } from 'tap'
import { Type } from 'typebox'

const config = { serviceKeys: ['service key', 'former service key'], callerKeys: ['caller key'], nodeEnv: 'test' }
const alice = { userId: 10_000_001, sessionId: 's', device: 'ios', kind: 'user' } as const

const things = contract('user', {
  echo: {
    path: '/echo',
    aliases: ['/old/echo'],
    summary: { zh: 'x', en: 'x' },
    auth: 'none',
    params: Type.Object({ text: Text(), flag: Flag({ default: 0 }) }),
    result: Type.Object({
      zebra: Type.String(),
      apple: Type.Integer(),
      list: Type.Array(Type.Object({ b: Type.Integer(), a: Type.String() })),
      unset: Type.Optional(Type.String()),
      big: LongIdResult(),
    }),
  },
  mine: {
    path: '/mine',
    summary: { zh: 'x', en: 'x' },
    auth: 'user',
    params: Type.Object({ userId: Self(), other: Type.Optional(UserId()) }),
    result: Type.Integer(),
    successText: { zh: '好', en: 'Good' },
  },
  maybe: {
    path: '/maybe',
    summary: { zh: 'x', en: 'x' },
    auth: 'optional',
    params: Type.Object({}),
    result: Type.Integer(),
  },
  inner: {
    path: '/internal/x',
    summary: { zh: 'x', en: 'x' },
    auth: 'internal',
    params: Type.Object({}),
    result: FlagResult(),
  },
  nothing: {
    path: '/nothing',
    summary: { zh: 'x', en: 'x' },
    auth: 'none',
    methods: ['POST'],
    params: Type.Object({ how: Text({ default: 'well' }) }),
    result: Nothing,
  },
  picture: {
    path: '/picture',
    summary: { zh: 'x', en: 'x' },
    auth: 'none',
    params: Type.Object({}),
    result: Raw('image/png'),
  },
  token: {
    path: '/oauth2/token',
    summary: { zh: 'x', en: 'x' },
    auth: 'none',
    answer: 'oauth',
    methods: ['POST'],
    params: Type.Object({ how: Text() }),
    result: Raw('application/json'),
  },
  room: {
    path: '/room',
    summary: { zh: 'x', en: 'x' },
    auth: 'none',
    params: Type.Object({ id: Oid({ notFound: 'RoomNotFound' }) }),
    result: Type.Union([
      Type.Object({ type: Type.Literal(1), one: Type.String() }),
      Type.Object({ type: Type.Literal(2), two: Type.Integer() }),
    ]),
    errors: ['RoomNotFound'],
  },
})

const storeAway = new StoreAwayError('mongo.internal', 'connection refused')

const handlers: Handlers<typeof things, object> = {
  echo: (_deps, { params }) =>
    ({
      zebra: params.text,
      apple: params.flag,
      list: [{ b: 1, a: 'x', secret: 'y' }],
      unset: undefined,
      big: 9007199254740993n,
      password: 'secret',
    }) as never,
  mine: (_deps, { caller }) => caller.userId,
  maybe: (_deps, { caller }) => caller?.userId ?? 0,
  inner: () => 1,
  nothing(_deps, { params: { how } }) {
    if (how === 'badly') throw new ContractError('RateLimited', { args: [3], retryAfter: 2.5 })
    if (how === 'crash') throw new TypeError('secret detail of the code')
    if (how === 'away') throw storeAway
    if (how === 'unavailable') throw new ContractError('ServiceUnavailable', { detail: 'mongo.internal' })
    if (how === 'text') throw 'only a text'
    if (how === 'reply') return new Reply(undefined, { text: { zh: '成', en: 'Done' } }) as never
    return undefined as never
  },
  picture: () => new RawAnswer(new Uint8Array([1, 2, 3]), { headers: { 'content-type': 'image/png' } }),
  token(_deps, { params: { how } }) {
    if (how === 'refused') throw new OAuthError(400, 'invalid_grant', 'no')
    if (how === 'away') throw storeAway
    return new RawAnswer('{"access_token":"x"}', { headers: { 'content-type': 'application/json' } })
  },
  room: (_deps, { params }) => (params.id.startsWith('1') ? { type: 1, one: 'x', x: 1 } : { type: 2, two: 2 }) as never,
}

const form = { 'content-type': 'application/x-www-form-urlencoded' }

const seen = { ip: '1.2.3.4', requestId: 'r', proto: 'https', host: 'im.test' } as const

function startEdge(t: Test) {
  const app = createServiceApp({
    handlers: bindHandlers(things, handlers),
    deps: {},
    config,
    log: createLogger({ service: 'test', level: 'silent', format: 'json' }),
    metrics: createMetrics('test'),
    ready: async () => {},
  })
  t.after(() => app.close())
  const call = async (path: string, body?: string, headers: Record<string, string> = {}, caller?: Caller) => {
    const method = body === undefined ? 'GET' : 'POST'
    const signed = caller
      ? { [callerHeader]: signCaller(config.callerKeys, { ...seen, caller }, { method, url: path }) }
      : {}
    const answer = await (body === undefined
      ? app.inject({ method, url: path, headers: { ...signed, ...headers } })
      : app.inject({ method, url: path, payload: body, headers: { ...form, ...signed, ...headers } }))
    return {
      status: answer.statusCode,
      headers: answer.headers,
      text: answer.body,
      json: () => JSON.parse(answer.body),
    }
  }
  return { app, call }
}

test('an answer is alphabetical, without nulls and without what the contract does not name', async (t) => {
  const { call } = startEdge(t)
  const { status, headers, text } = await call('/echo?text=%E4%BD%A0&flag=true')
  t.equal(status, 200)
  t.equal(headers['content-type'], 'application/json;charset=UTF-8')
  t.match(
    text,
    /^\{"currentTime":\d{13},"data":\{"apple":1,"big":9007199254740993,"list":\[\{"a":"x","b":1\}\],"zebra":"你"\},"resultCode":1\}$/,
  )
  for (const path of ['//echo/', '/old/echo']) t.equal((await call(path, 'text=x')).json().resultCode, 1)
})

test('a union answers with the form that fits, and drops what it does not name', async (t) => {
  const { call } = startEdge(t)
  t.strictSame((await call(`/room?id=${'1'.repeat(24)}`)).json().data, { type: 1, one: 'x' })
  t.strictSame((await call(`/room?id=${'2'.repeat(24)}`)).json().data, { type: 2, two: 2 })
  t.equal((await call('/room?id=x')).json().resultCode, 1200101)
})

test('errors have status 200, a text in the language of the request and a detail', async (t) => {
  const { call } = startEdge(t)
  const missing = await call('/echo', 'language=en')
  t.equal(missing.status, 200)
  const { currentTime, ...rest } = missing.json()
  t.ok(currentTime > 0)
  t.strictSame(rest, { detailMsg: 'text', resultCode: 1010102, resultMsg: 'A required parameter is missing' })
  for (const [language, text] of [
    ['eg', /^A required/],
    ['big5', /^缺少/],
    ['', /^缺少/],
  ] as const)
    t.match((await call('/echo', `language=${language}`)).json().resultMsg, text)
  const limited = await call('/nothing', 'how=badly&language=en')
  t.equal(limited.headers['retry-after'], '3')
  t.match(limited.json().resultMsg, /in 3 seconds/)
})

test('what is unexpected shows nothing but the request id; a store that is away is told as such', async (t) => {
  const { call } = startEdge(t)
  for (const how of ['crash', 'text']) {
    const crash = await call('/nothing', `how=${how}`, { 'x-request-id': 'my-id.1' })
    t.strictSame([crash.status, crash.json().resultCode, crash.json().detailMsg], [200, 1020101, 'my-id.1'])
    t.notMatch(crash.text, /secret|text/)
  }
  for (const how of ['away', 'unavailable']) {
    const away = await call('/nothing', `how=${how}`, { 'x-request-id': 'my-id.1' })
    t.strictSame([away.json().resultCode, away.json().detailMsg], [1020104, 'my-id.1'], how)
    t.notMatch(away.text, /mongo/)
  }
})

test('success texts, nothing as data, and an answer of its own form', async (t) => {
  const { call } = startEdge(t)
  t.match((await call('/nothing', '')).text, /^\{"currentTime":\d+,"resultCode":1\}$/)
  t.equal((await call('/nothing', 'how=reply&language=en')).json().resultMsg, 'Done')
  t.equal((await call('/mine?language=en', undefined, {}, alice)).json().resultMsg, 'Good')
  const picture = await call('/picture')
  t.equal(picture.headers['content-type'], 'image/png')
  t.equal(picture.text, '\u0001\u0002\u0003')
})

test('only a signed caller passes where a user is needed', async (t) => {
  const { call } = startEdge(t)
  const code = async (headers: Record<string, string>, caller?: Caller) =>
    (await call('/mine', undefined, headers, caller)).json()
  t.equal((await code({})).resultCode, 1030101)
  t.equal((await code({ authorization: 'Bearer x', 'x-service-key': 'service key' })).resultCode, 1030101)
  t.equal((await code({}, alice)).data, alice.userId)
  t.equal((await code({}, { ...alice, kind: 'console', role: 6 })).resultCode, 1030201, 'a session of another kind')
  const broken = await call('/mine', '{', { 'content-type': 'application/json' })
  t.equal(broken.json().resultCode, 1030101, 'the token is checked before the parameters')
  t.equal((await call('/maybe')).json().data, 0)
  t.equal((await call('/maybe', undefined, {}, alice)).json().data, alice.userId)
})

test('a caller header that says nothing to believe is our fault, not the token’s', async (t) => {
  const { call } = startEdge(t)
  const request = { method: 'GET', url: '/mine' }
  const claims = { ...seen, caller: alice }
  const headers = [
    signCaller(['another key'], claims, request),
    signCaller(config.callerKeys, claims, { method: 'POST', url: '/mine' }),
    signCaller(config.callerKeys, claims, { method: 'GET', url: '/mine?userId=10000001' }),
    signCaller(config.callerKeys, claims, request, Date.now() - 301_000),
    'nonsense',
    '',
  ]
  for (const header of headers) {
    t.equal((await call('/mine', undefined, { [callerHeader]: header })).json().resultCode, 1020104, header)
    t.equal((await call('/echo?text=x', undefined, { [callerHeader]: header })).json().resultCode, 1020104)
  }
})

test('a parameter that may only be the caller', async (t) => {
  const { call } = startEdge(t)
  for (const id of ['', '0', '10000001'])
    t.equal((await call(`/mine?userId=${id}`, undefined, {}, alice)).json().resultCode, 1)
  t.equal((await call('/mine?userId=10000002', undefined, {}, alice)).json().resultCode, 1030201)
  t.equal((await call('/mine?other=10000002', undefined, {}, alice)).json().resultCode, 1)
})

test('inner calls need the service key', async (t) => {
  const { call } = startEdge(t)
  t.equal((await call('/internal/x', undefined, {}, alice)).json().resultCode, 1030201)
  t.equal((await call('/internal/x', undefined, { 'x-service-key': 'service kez' })).json().resultCode, 1030201)
  t.equal((await call('/internal/x', undefined, { 'x-service-key': 'service key' })).json().data, 1)
  t.equal((await call('/internal/x', undefined, { 'x-service-key': 'former service key' })).json().data, 1)
})

test('OAuth endpoints answer with the documents and status codes of RFC 6749', async (t) => {
  const { call } = startEdge(t)
  t.strictSame((await call('/oauth2/token', 'how=well')).json(), { access_token: 'x' })
  const refused = await call('/oauth2/token', 'how=refused')
  t.strictSame([refused.status, refused.json()], [400, { error: 'invalid_grant', error_description: 'no' }])
  t.equal((await call('/oauth2/token', '')).json().error, 'invalid_request')
  t.equal((await call('/oauth2/token', 'how=away')).status, 503)
})

test('paths, methods and bodies that are not served', async (t) => {
  const { app, call } = startEdge(t)
  const unknown = [
    await call('/nowhere'),
    await call('/ECHO'),
    await call('/nothing'),
    await call('/%zz'),
    await call('/echo/x'),
  ]
  for (const answer of unknown) t.strictSame([answer.status, answer.json().resultCode], [200, 1020105])
  for (const method of ['PUT', 'DELETE', 'PATCH'] as const) {
    const answer = await app.inject({ method, url: '/echo?text=x' })
    t.strictSame([answer.statusCode, answer.json().resultCode], [200, 1020105], method)
  }
  t.equal((await call('/echo', `text=${'x'.repeat(1024 * 1024)}`)).json().resultCode, 1010103)
  const types = ['application/json', 'application/json;', 'text/plain; charset=', 'a/b;c']
  for (const type of [...types, `${form['content-type']};`, `${form['content-type']}; charset=UTF-8;`])
    t.equal((await call('/echo?text=x', '{}', { 'content-type': type })).json().resultCode, 1, type)
  for (const type of ['nonsense', ';;', '/', 'a/', ' ', 'a b/c', '\u00ff'])
    t.equal((await call('/echo', 'text=x', { 'content-type': type })).json().resultCode, 1, type)
})

test('request ids are taken when they are of the right form, and given back', async (t) => {
  const { call } = startEdge(t)
  t.equal((await call('/echo?text=x', undefined, { 'x-request-id': 'a.B-9_' })).headers['x-request-id'], 'a.B-9_')
  for (const bad of ['a b', 'x'.repeat(65), 'é'])
    t.match(
      String((await call('/nowhere', undefined, { 'x-request-id': bad })).headers['x-request-id']),
      /^[\w.-]{1,64}$/,
    )
})

test('whatever body comes, the answer is an envelope', async (t) => {
  const { call } = startEdge(t)
  const type = fc.constantFrom(form['content-type'], 'application/json', 'multipart/form-data; boundary=b', 'x/y', '')
  await t.resolves(
    fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), type, async (body, contentType) => {
        const answer = await call('/echo', body, { 'content-type': contentType })
        assert.equal(answer.status, 200)
        const { resultCode } = answer.json()
        assert.ok([1, 1010101, 1010102, 1010103].includes(resultCode), `${resultCode}`)
      }),
      { numRuns: 200 },
    ),
  )
})
