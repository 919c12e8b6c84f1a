import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  ContractError,
  contract,
  type Endpoint,
  Entity,
  errors,
  type Handlers,
  Json,
  List,
  LongId,
  LongIdResult,
  Nothing,
  Pwd,
  RawAnswer,
  Reply,
  redirect,
  type SessionKind,
  Text,
  UserId,
} from '@im/contracts'
import { internalSessions } from '@im/contracts/user'
import {
  bindHandlers,
  csrfTokenOf,
  defineService,
  type Runtime,
  sessionCookie,
  tellEndedSessions,
} from '@im/service-kit'
import { eventually, startService } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { Type } from 'typebox'
import { plainPage, readPage } from '../src/pages/page.ts'
import { service as gateway } from '../src/service.ts'

// What a contract can say, said by a service behind a real gateway.

const summary = { zh: '试', en: 'A test' }
const Who = Type.Object({ userId: Type.Integer(), kind: Type.String(), role: Type.Optional(Type.Integer()) })
const none = { summary, auth: 'none', params: Type.Object({}), result: Nothing } as const
const whoCalls = { summary, params: Type.Object({}), result: Who, safe: true } as const
const page = { ...none, site: 'console' } as const

const things = contract('user', {
  showLogin: { ...page, path: '/console/login', methods: ['GET'] },
  login: {
    ...{ ...page, path: '/console/login', methods: ['POST'], page: '/console/start' },
    params: Type.Object({ telephone: Text(), password: Pwd() }),
    result: Type.Object({ access_token: Type.String(), csrfToken: Type.String() }),
    errors: ['WrongPassword', 'LoginTooOften'],
    limits: [{ by: 'param:telephone', max: 3, seconds: 900, counts: 'failures', error: 'LoginTooOften' }],
  },
  start: { ...whoCalls, path: '/console/start', site: 'console', auth: { console: 4 } },
  lists: { ...whoCalls, path: '/console/lists', site: 'console', auth: { console: 6 } },
  change: {
    ...{ ...page, path: '/console/change', auth: { console: 5 }, audit: true },
    page: '/console/roomUserManager?id=:roomId&pageIndex=:pageIndex',
    params: Type.Object({ roomId: Text(), pageIndex: Type.Optional(Text()) }),
    errors: ['RoomNotFound'],
  },
  fans: { ...whoCalls, path: '/mp/fans', site: 'mp', auth: 'mp' },
  menu: {
    ...{ ...none, path: '/mp/menu/:op', site: 'mp', auth: 'mp', safe: true },
    params: Type.Object({
      op: Text(),
      titles: List({ unique: false, commas: false }),
      id: LongId(),
      room: Entity({ name: Text(), userId: UserId() }),
    }),
    result: Type.Object({
      op: Type.String(),
      titles: Type.Array(Type.String()),
      id: LongIdResult(),
      owner: Type.Integer(),
    }),
  },
  figures: { ...whoCalls, path: '/user/figures', auth: { role: 4 } },
  notify: { ...whoCalls, path: '/tigase/test', auth: { anyOf: ['internal', { role: 5 }] }, result: Json() },
  mine: { ...whoCalls, path: '/user/mine', auth: 'user' },
  upload: {
    ...{ ...none, path: '/upload/test', body: 'stream', maxBytes: 8_000_000, timeoutMs: 10_000, auth: 'optional' },
    result: Type.Object({ bytes: Type.Integer(), userId: Type.Integer() }),
    members: Type.Object({ total: Type.Integer(), success: Type.Integer() }),
  },
  callback: { ...none, path: '/pay/callback/test', body: 'raw', headers: ['x-provider-signature'], result: Json() },
  token: {
    ...{ ...none, path: '/oauth2/test', methods: ['POST'], body: 'form', answer: 'oauth' },
    ...{ auth: { anyOf: ['internal', { console: 6 }] }, signature: 'none', params: Type.Object({ token: Text() }) },
    result: Json(),
  },
  slow: { ...none, path: '/slow', timeoutMs: 400 },
  wait: { ...none, path: '/wait', timeoutMs: 20_000 },
  leave: { ...none, path: '/user/leave', auth: 'user' },
  leaveByFile: { ...none, path: '/upload/leave', auth: 'user', body: 'stream' },
  leaveByForm: { ...page, path: '/console/leave', params: Type.Object({ token: Text() }) },
  move: { ...none, path: '/move', params: Type.Object({ how: Text() }), result: Type.String() },
})

class State {
  readonly sessions = new Map<string, { userId: number; kind: SessionKind; role: number }>()
  seen = { bytes: 0, began: 0, aborted: 0, timeLeft: 0 }
}
interface Deps extends Runtime {
  state: State
}

const told = (caller: { userId: number; kind: string; role?: number } | undefined) =>
  caller as { userId: number; kind: string; role?: number }

const handlers: Handlers<typeof things, Deps> = {
  showLogin: () => undefined as never,
  login({ state }, { params, request }) {
    if (params.telephone !== 'alice') throw new ContractError('WrongPassword')
    const token = signIn(state, { userId: 1, kind: 'console', role: 5 })
    const headers = { 'set-cookie': sessionCookie('console', token, request) }
    return new Reply({ access_token: token, csrfToken: csrfTokenOf(token) }, { headers })
  },
  start: (_deps, { caller }) => told(caller),
  lists: (_deps, { caller }) => told(caller),
  change(_deps, { params, note }) {
    note({ members: 3 })
    if (params.roomId === 'gone') throw new ContractError('RoomNotFound')
    return undefined as never
  },
  fans: (_deps, { caller }) => told(caller),
  menu: (_deps, { params: { op, titles, id, room } }) => ({ op, titles, id: BigInt(id), owner: room.userId }),
  figures: (_deps, { caller }) => told(caller),
  notify: (_deps, { caller, request }) => ({ userId: caller?.userId, isInternal: request.isInternal }),
  mine: (_deps, { caller }) => told(caller),
  async upload({ state }, { body, caller }) {
    for await (const chunk of body) state.seen.bytes += chunk.length
    const data = { bytes: state.seen.bytes, userId: caller?.userId ?? 0 }
    return new Reply(data, { members: { total: 1, success: 1 } })
  },
  callback: (_deps, { body, request }) => ({
    hex: Buffer.from(body).toString('hex'),
    signature: request.headers['x-provider-signature'],
    other: request.headers['x-other'],
  }),
  token: () => new RawAnswer('{"active":false}', { headers: { 'content-type': 'application/json' } }),
  async slow({ state }, { deadline, signal }) {
    state.seen.timeLeft = deadline - Date.now()
    await delay(5000, undefined, { signal })
    return undefined as never
  },
  async wait({ state }, { signal }) {
    state.seen.began++
    signal.addEventListener('abort', () => state.seen.aborted++)
    await delay(20_000, undefined, { signal })
    return undefined as never
  },
  leave: (_deps, { caller }) => tellEndedSessions([caller.sessionId, ...manySessions]),
  leaveByFile: (_deps, { caller }) => tellEndedSessions([caller.sessionId]),
  leaveByForm: (_deps, { params }) => tellEndedSessions([sessionIdOf(params.token), sessionIdOf('another')]),
  move: (_deps, { params }) =>
    params.how === 'image'
      ? new RawAnswer(new Uint8Array([1, 2]), { headers: { 'content-type': 'image/png' } })
      : redirect('https://example.com/'),
}

const sessionIdOf = (token: string) => createHash('sha256').update(token).digest('hex')
const manySessions = Array.from({ length: 2000 }, (_, n) => sessionIdOf(String(n)))

function signIn(state: State, session: { userId: number; kind: SessionKind; role: number }): string {
  const token = randomBytes(16).toString('hex')
  state.sessions.set(sessionIdOf(token), session)
  return token
}

const settings = {}
const owner = defineService<typeof settings, Deps>({
  name: 'user',
  settings,
  createDeps: () => ({ state: new State() }),
  handlers: [
    bindHandlers(things, handlers),
    bindHandlers(internalSessions, {
      resolveSession({ state }: Deps, { params }) {
        const session = state.sessions.get(params.sessionId)
        if (!session) return { exists: 0 }
        const { role, ...rest } = { ...session, device: 'web', expiresAt: Date.now() + 60_000 }
        return { exists: 1, session: params.fresh ? { ...rest, role } : rest }
      },
    }),
  ],
})

const html = '<!doctype html><html><head><title>x</title></head><body></body></html>'

async function start(t: Test, env: Record<string, string> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'page-'))
  t.after(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'index.html'), html)
  const behind = await startService(t, owner, { env })
  const front = await startService(t, gateway, {
    env: { USER_URL: behind.url, CONSOLE_PAGE: join(folder, 'index.html'), ...env },
    overrides: { endpoints: Object.values(things) as Endpoint[] },
  })
  const call = async (path: string, options: RequestInit = {}) => {
    const http = await fetch(front.url + path, { redirect: 'manual', ...options })
    const text = await http.text()
    const answer = (text.startsWith('{') ? JSON.parse(text) : {}) as { resultCode: number; data?: unknown }
    return { ...answer, http, text }
  }
  const { state } = behind.deps
  return {
    behind,
    front,
    call,
    state,
    signIn: (kind: SessionKind, role = 0, userId = 1) => signIn(state, { userId, kind, role }),
  }
}

const code = errors
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const form = (fields: Record<string, string>, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body: new URLSearchParams(fields),
  headers,
})

test('who may call is what the contract says, and roles are read at each call', async (t) => {
  const { call, state, signIn } = await start(t)
  const [app, staff, mp] = [signIn('user', 4), signIn('console', 4), signIn('mp')]
  const codes = async (path: string) => [
    (await call(path)).resultCode,
    (await call(path, { headers: bearer('f'.repeat(32)) })).resultCode,
    ...(await Promise.all([app, staff, mp].map((token) => call(path, { headers: bearer(token) })))).map(
      ({ resultCode }) => resultCode,
    ),
  ]
  const [missing, invalid, denied] = [code.TokenMissing.code, code.TokenInvalid.code, code.PermissionDenied.code]
  t.strictSame(await codes('/console/start'), [missing, invalid, denied, 1, denied])
  t.strictSame(await codes('/console/lists'), [missing, invalid, denied, denied, denied])
  t.strictSame(await codes('/mp/fans'), [missing, invalid, denied, denied, 1])
  t.strictSame(await codes('/user/figures'), [missing, invalid, 1, 1, denied])
  t.strictSame(await codes('/user/mine'), [missing, invalid, 1, denied, denied])
  t.match(await call('/user/figures', { headers: bearer(app) }), { data: { userId: 1, kind: 'user', role: 4 } })
  t.equal((await call('/tigase/test')).resultCode, missing)
  t.match(await call('/tigase/test', { headers: { 'x-service-key': 'test-service-key' } }), {
    data: { isInternal: true },
  })

  state.sessions.set(sessionIdOf(staff), { userId: 1, kind: 'console', role: 0 })
  t.equal((await call('/console/start', { headers: bearer(staff) })).resultCode, denied, 'the role was taken away')
})

test('a cookie is a session of our own pages, and changes something by POST with a CSRF token only', async (t) => {
  const { call, signIn, behind } = await start(t)
  const token = signIn('console', 5)
  const cookie = { cookie: `other=1; console_token=${token}` }
  const csrf = { 'x-csrf-token': csrfTokenOf(token) }
  t.match(await call('/console/start', { headers: cookie }), { resultCode: 1, data: { kind: 'console', role: 5 } })
  t.equal((await call('/user/figures', { headers: cookie })).resultCode, code.TokenMissing.code, 'no cookie elsewhere')
  t.equal((await call('/mp/fans', { headers: cookie })).resultCode, code.TokenMissing.code, 'nor on another site')

  const denied = code.PermissionDenied.code
  const post = (headers: Record<string, string>) => call('/console/change', form({ roomId: 'a' }, headers))
  t.equal((await post(cookie)).resultCode, denied)
  t.equal((await post({ ...cookie, 'x-csrf-token': csrfTokenOf('x') })).resultCode, denied)
  t.equal((await call('/console/change?roomId=a', { headers: { ...cookie, ...csrf } })).resultCode, denied)
  t.equal((await post({ ...cookie, ...csrf })).resultCode, 1)
  t.equal(
    (await call(`/console/change?roomId=b&access_token=${token}`)).resultCode,
    1,
    'a shown token works by GET, too',
  )
  const entries = await behind.deps.db.collection('audit').find().sort({ _id: 1 }).toArray()
  t.match(entries, [
    { userId: 1, call: 'POST /console/change', params: { roomId: 'a' }, notes: { members: 3 }, outcome: 'Success' },
    { userId: 1, call: 'GET /console/change', params: { roomId: 'b' } },
  ])
  t.equal(entries.length, 2, 'nothing that was refused')
  const preflight = await call('/console/change', { method: 'OPTIONS', headers: { origin: 'https://evil.example' } })
  t.equal(preflight.http.headers.get('access-control-allow-origin'), null)
})

const browser = { accept: 'text/html,application/xhtml+xml' }

test('a browser is shown the page, without a session the login, and what it sends leads to the next page', async (t) => {
  const { call, signIn, state } = await start(t)
  const opened = await call('/console/login', { headers: browser })
  t.equal(opened.text, html)
  t.equal(opened.http.headers.get('content-type'), 'text/html; charset=utf-8')
  t.match(opened.http.headers.get('content-security-policy'), /frame-ancestors 'none'/)
  t.equal((await call('/console/login')).resultCode, 1, 'everybody else gets JSON')

  const wrong = await call('/console/login', form({ telephone: 'b', password: 'x', language: 'en' }, browser))
  t.equal(wrong.http.status, 200)
  t.match(wrong.text, /<meta name="error" content="Wrong account or password">/)
  const right = await call('/console/login', form({ telephone: 'alice', password: 'x' }, browser))
  t.strictSame([right.http.status, right.http.headers.get('location')], [303, '/console/start'])
  const [cookie = ''] = right.http.headers.getSetCookie()
  t.match(cookie, /^console_token=[0-9a-f]{32}; Path=\/; HttpOnly; SameSite=Strict$/)

  const session = { ...browser, cookie: cookie.split(';')[0] ?? '' }
  const start_ = await call('/console/start', { headers: session })
  const [, csrfToken = ''] = /<meta name="csrf-token" content="(\w+)">/.exec(start_.text) ?? []
  t.match(csrfToken, /^[0-9a-f]{64}$/)
  const changed = await call(
    '/console/change',
    form({ roomId: 'a b', pageIndex: '2', 'X-CSRF-Token': csrfToken }, session),
  )
  t.strictSame(
    [changed.http.status, changed.http.headers.get('location')],
    [303, '/console/roomUserManager?id=a+b&pageIndex=2'],
  )
  const gone = await call('/console/change', form({ roomId: 'gone', 'X-CSRF-Token': csrfToken }, session))
  t.match(gone.text, /<meta name="error" content="群组不存在或已解散!">/)
  const forged = await call('/console/change', form({ roomId: 'a' }, session))
  t.match(forged.text, /<meta name="error" content="权限不足">/)
  const openedChange = await call('/console/change?roomId=a', { headers: session })
  t.notMatch(openedChange.text, /name="error"/, 'to open a page does nothing')

  state.sessions.clear()
  for (const path of ['/console/start', '/console/change'])
    t.strictSame((await call(path, { headers: session })).http.headers.get('location'), '/console/login')
  const late = await call('/console/change', form({ roomId: 'a', 'X-CSRF-Token': csrfToken }, session))
  t.strictSame([late.http.status, late.http.headers.get('location')], [303, '/console/login'])
  t.equal((await call('/mp/fans', { headers: browser })).http.headers.get('location'), '/mp/login')
  const token = signIn('console', 4)
  t.equal((await call(`/console/start?access_token=${token}`, { headers: browser })).resultCode, 1, 'JSON for a token')
})

test('what a page shows of an error is no markup', async (t) => {
  const shown = readPage(plainPage).show({ error: `"><script>'&` })
  t.match(shown, '<meta name="error" content="&#34;&#62;&#60;script&#62;&#39;&#38;">')
})

test('a session that an answer says has ended is dead with it, whichever way the answer takes', async (t) => {
  const { call, signIn } = await start(t)
  const ways: Record<string, (token: string) => ReturnType<typeof call>> = {
    whole: (token) => call('/user/leave', { headers: bearer(token) }),
    streamed: (token) => call('/upload/leave', { method: 'POST', body: 'x', headers: bearer(token) }),
    'of a form': (token) => call('/console/leave', form({ token }, browser)),
  }
  for (const [way, leave] of Object.entries(ways)) {
    const token = signIn('user')
    t.equal((await call('/user/mine', { headers: bearer(token) })).resultCode, 1)
    const { http } = await leave(token)
    t.equal((await call('/user/mine', { headers: bearer(token) })).resultCode, code.TokenInvalid.code, way)
    t.strictSame(
      [...http.headers.keys()].filter((name) => name.startsWith('x-im')),
      [],
      'clients are not told which',
    )
  }
})

test('paths hold parameters, lists keep doubles and commas, ids keep their digits, entities have required fields', async (t) => {
  const { call, signIn } = await start(t)
  const headers = bearer(signIn('mp'))
  const query = 'titles=a,b&titles=a,b&id=9223372036854775807&name=n'
  const flat = await call(`//mp/menu/s%61ve%20x/?${query}&userId=7`, { headers })
  t.match(flat.text, /"data":\{"id":9223372036854775807,"op":"save x","owner":7,"titles":\["a,b","a,b"\]\}/)
  const body = '{"titles":["x"],"id":-9223372036854775808,"room":{"name":"n","userId":8}}'
  const type = { 'content-type': 'application/json' }
  const nested = await call('/mp/menu/delete', { method: 'POST', body, headers: { ...headers, ...type } })
  t.match(nested.text, /"data":\{"id":-9223372036854775808,"op":"delete","owner":8,"titles":\["x"\]\}/)
  t.match(await call(`/mp/menu/save?${query}`, { headers }), {
    resultCode: code.MissingParam.code,
    detailMsg: 'userId',
  })
  t.equal((await call('/mp/menu/', { headers })).resultCode, code.UnknownEndpoint.code)
})

test('an upload streams through, and its answer has members beside the data', async (t) => {
  const { front, call, state, signIn } = await start(t)
  const upload = httpRequest(`${front.url}/upload/test?access_token=${signIn('user', 0, 7)}`, { method: 'POST' })
  upload.write(Buffer.alloc(100_000))
  await eventually(() => state.seen.bytes === 100_000)
  upload.end(Buffer.alloc(5_000_000))
  const [answer] = await once(upload, 'response')
  t.match(JSON.parse((await answer.toArray()).join('')), {
    ...{ resultCode: 1, total: 1, success: 1 },
    data: { bytes: 5_100_000, userId: 7 },
  })
  const long = await call('/upload/test', { method: 'POST', body: Buffer.alloc(8_000_001) }).catch(() => undefined)
  t.ok(!long || long.resultCode === code.RequestTooLarge.code)
})

test('a callback comes byte for byte, with the headers the contract names', async (t) => {
  const { call } = await start(t)
  const headers = { 'content-type': 'application/json', 'x-provider-signature': 's', 'x-other': 'o' }
  const { data } = await call('/pay/callback/test', { method: 'POST', body: Buffer.from('7b2000ff', 'hex'), headers })
  t.strictSame(data, { hex: '7b2000ff', signature: 's' })
})

test('an OAuth endpoint is strict, and names a challenge', async (t) => {
  const { call, signIn } = await start(t)
  const headers = bearer(signIn('console', 6))
  t.equal((await call('/oauth2/test', form({ token: 'x' }, headers))).http.status, 200)
  t.equal((await call('/oauth2/test', form({ token: 'x' }, { 'x-service-key': 'test-service-key' }))).http.status, 200)
  for (const bad of [
    call('/oauth2/test?token=x', form({ token: 'x' }, headers)),
    call('/oauth2/test', form({}, headers)),
  ])
    t.equal((await bad).http.status, 400)
  const refused = await call('/oauth2/test', form({ token: 'x' }, bearer(signIn('user', 6))))
  t.strictSame([refused.http.status, refused.http.headers.get('www-authenticate')], [401, 'Bearer realm="im"'])
})

test('deadline and end of a call reach the handler', async (t) => {
  const { call, state, front } = await start(t)
  t.equal((await call('/slow')).resultCode, code.ServiceUnavailable.code)
  t.ok(state.seen.timeLeft > 200 && state.seen.timeLeft <= 400, `${state.seen.timeLeft}`)
  const leaving = new AbortController()
  const waiting = fetch(`${front.url}/wait`, { signal: leaving.signal }).catch(() => {})
  await eventually(() => state.seen.began === 1)
  leaving.abort()
  await waiting
  await eventually(() => state.seen.aborted === 1, 5000)
})

test('limits are counted by the service, failures alone where the contract says so', async (t) => {
  const { call } = await start(t, { LIMIT_FACTOR: '1' })
  const login = async (telephone: string) =>
    (await call('/console/login', form({ telephone, password: 'x' }))).resultCode
  for (let n = 0; n < 5; n++) t.equal(await login('alice'), 1)
  for (let n = 0; n < 3; n++) t.equal(await login('bob'), code.WrongPassword.code)
  t.equal(await login('bob'), code.LoginTooOften.code)
  t.equal(await login('carol'), code.WrongPassword.code)
})

test('any handler may answer with something of its own', async (t) => {
  const { call } = await start(t)
  const moved = await call('/move?how=away')
  t.strictSame([moved.http.status, moved.http.headers.get('location')], [303, 'https://example.com/'])
  t.equal((await call('/move?how=image')).http.headers.get('content-type'), 'image/png')
})
