import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { contract, Entity, endpoints, Ids, Maybe, Nothing, openApiDocument, Text, Time } from '@im/contracts'
import { test } from 'tap'
import { Type } from 'typebox'

type Json = { [key: string]: Json } & { name: string }
const documentOf = (...args: Parameters<typeof openApiDocument>) => openApiDocument(...args) as Json
const at = (value: unknown, ...keys: string[]) => keys.reduce<unknown>((found, key) => (found as Json)?.[key], value)

const rooms = contract('room', {
  addRoom: {
    path: '/room/add',
    aliases: ['/room/create'],
    summary: { zh: '创建群组', en: 'Make a room' },
    auth: 'user',
    params: Type.Object({
      jid: Text(),
      ids: Type.Optional(Ids({ aliases: ['idList'] })),
      room: Type.Optional(Entity({ name: Type.Optional(Text()), createTime: Type.Optional(Time()) })),
    }),
    result: Nothing,
    errors: ['RoomFull'],
  },
})
const document = documentOf([rooms.addRoom])

test('parameters stand as the wire takes them', async (t) => {
  for (const path of ['/room/add', '/room/create']) {
    t.strictSame(Object.keys(at(document, 'paths', path) as Json), ['post'], 'once, whatever methods it takes')
    const body = at(document, 'paths', path, 'post', 'requestBody', 'content')
    t.strictSame(Object.keys(body as Json), [
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/json',
    ])
  }
  const schema = at(document, 'components', 'schemas', 'room_add') as Json
  const names = Object.keys(schema['properties'] as Json)
  t.strictSame(names, ['jid', 'ids', 'idList', 'name', 'createTime', 'room'])
  t.strictSame(schema['required'] as unknown, ['jid'])
  t.match(String(at(schema, 'properties', 'createTime', 'description')), /milliseconds from 10\^11/)
  t.match(String(at(schema, 'properties', 'ids', 'description')), /comma list/)
})

test('GET and POST of one path may be two endpoints, paths hold parameters, answers have members', async (t) => {
  const summary = { zh: '登录', en: 'Log in' }
  const result = Type.Object({ url: Type.String() })
  const pages = contract('user', {
    show: {
      path: '/console/x',
      methods: ['GET'],
      site: 'console',
      summary,
      auth: 'none',
      params: Type.Object({}),
      result,
    },
    send: {
      ...{ path: '/console/x', methods: ['POST'], site: 'console', page: '/console/y', summary, auth: { console: 5 } },
      ...{ params: Type.Object({ a: Text() }), result, members: Type.Object({ total: Type.Integer() }) },
    },
    menu: {
      path: '/mp/menu/:op',
      summary,
      auth: 'mp',
      site: 'mp',
      params: Type.Object({ op: Text() }),
      result: Nothing,
    },
    strict: {
      path: '/strict',
      methods: ['POST'],
      body: 'form',
      summary,
      auth: 'none',
      params: Type.Object({ a: Text() }),
      result,
    },
  })
  const shown = documentOf(Object.values(pages))
  t.strictSame(Object.keys(at(shown, 'paths', '/console/x') as Json), ['get', 'post'])
  t.strictSame(at(shown, 'paths', '/console/x', 'post', 'security'), [
    { bearer: [] },
    { accessToken: [] },
    { consoleCookie: [] },
  ])
  t.match(String(at(shown, 'paths', '/console/x', 'post', 'responses', '303', 'description')), /\/console\/y/)
  t.equal(at(shown, 'paths', '/console/x', 'get', 'summary'), '登录 / Log in')
  const [success] = at(
    shown,
    'components',
    'responses',
    'console_x',
    'content',
    'application/json',
    'schema',
    'oneOf',
  ) as unknown as Json[]
  t.strictSame(Object.keys(at(success, 'properties') as Json), [
    'currentTime',
    'data',
    'total',
    'resultCode',
    'resultMsg',
  ])
  const [op] = at(shown, 'paths', '/mp/menu/{op}', 'post', 'parameters') as unknown as Json[]
  t.match(op, { name: 'op', in: 'path', required: true })
  t.strictSame(Object.keys(at(shown, 'paths', '/strict', 'post', 'requestBody', 'content') as Json), [
    'application/x-www-form-urlencoded',
  ])
})

test('the answer is the envelope, with the errors and their texts', async (t) => {
  const answer = at(document, 'components', 'responses', 'room_add')
  t.match(String(at(answer, 'description')), /1200105 RoomFull: .+ \/ The room is full/)
  const names = at(answer, 'x-errors') as unknown as string[]
  for (const name of ['RoomFull', 'TokenMissing', 'TokenInvalid', 'MissingParam']) t.ok(names.includes(name), name)
  const [success] = at(answer, 'content', 'application/json', 'schema', 'oneOf') as unknown as Json[]
  t.equal(at(success, 'properties', 'data'), undefined, 'nothing has no data')
})

test('every reference leads somewhere and every operation has its own id', async (t) => {
  const whole = documentOf(endpoints)
  const ids: string[] = []
  JSON.stringify(whole, (key, value) => {
    if (key === 'operationId') ids.push(value)
    if (key === '$ref') t.ok(at(whole, ...String(value).slice(2).split('/')), value)
    return value
  })
  t.equal(new Set(ids).size, ids.length)
  const paths = new Set(endpoints.flatMap(({ path, aliases }) => [path, ...(aliases ?? [])]))
  t.equal(Object.keys(whole['paths'] as Json).length, paths.size)
})

test('calls between services can be left out', async (t) => {
  const paths = Object.keys(documentOf(endpoints, { internal: false })['paths'] as Json)
  t.ok(paths.includes('/user/login'))
  t.strictSame(
    paths.filter((path) => path.startsWith('/internal/')),
    [],
  )
})

test('the generated documents are up to date', async (t) => {
  const generator = join(import.meta.dirname, '..', '..', '..', 'docs', 'generate.ts')
  const { status, stderr } = spawnSync(process.execPath, [generator, '--check'], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
})

test('an answer is a success or a failure, and may have no data where there is none', async (t) => {
  const own = contract('user', {
    getKey: {
      ...{ path: '/key', summary: { zh: '密钥', en: 'Key' }, auth: 'user', params: Type.Object({}) },
      result: Maybe(Type.Object({ key: Type.String() })),
    },
  })
  const made = documentOf([own.getKey])
  const content = at(made, 'components', 'responses', 'key', 'content', 'application/json')
  const [success] = at(content, 'schema', 'oneOf') as Json[]
  t.strictSame(success?.['required'] as unknown, ['currentTime', 'resultCode'])
  t.strictSame(at(success, 'properties', 'data', 'maybe'), undefined)
  const failed = at(made, 'components', 'schemas', 'Failure', 'properties', 'resultCode', 'not')
  t.strictSame(failed, { const: 1 }, 'a success with a text is no failure')
})
