import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { contract, Entity, endpoints, Ids, Nothing, openApiDocument, Text, Time } from '@im/contracts'
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

test('parameters stand as the wire takes them, in query and body', async (t) => {
  for (const path of ['/room/add', '/room/create']) {
    const parameters = at(document, 'paths', path, 'get', 'parameters') as unknown as Json[]
    const names = parameters.map(({ name, $ref }) => name ?? String($ref).split('/').at(-1))
    t.strictSame(names, ['jid', 'ids', 'idList', 'name', 'createTime', 'room', 'language'])
    const body = at(document, 'paths', path, 'post', 'requestBody', 'content')
    t.strictSame(Object.keys(body as Json), [
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/json',
    ])
  }
  const schema = at(document, 'components', 'schemas', 'room_add') as Json
  t.strictSame(schema['required'] as unknown, ['jid'])
  t.match(String(at(schema, 'properties', 'createTime', 'description')), /milliseconds from 10\^11/)
  t.match(String(at(schema, 'properties', 'ids', 'description')), /comma list/)
})

test('the answer is the envelope, with the errors and their texts', async (t) => {
  const answer = at(document, 'components', 'responses', 'room_add')
  t.match(String(at(answer, 'description')), /1200105 RoomFull: .+ \/ The room is full/)
  const names = (at(answer, 'x-errors') as unknown as Json[]).map(({ name }) => name)
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
  const paths = endpoints.flatMap(({ path, aliases }) => [path, ...(aliases ?? [])])
  t.equal(Object.keys(whole['paths'] as Json).length, paths.length)
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
