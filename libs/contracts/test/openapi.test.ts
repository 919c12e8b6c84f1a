import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { contract, Entity, endpoints, Ids, Nothing, openApiDocument, Text, Time } from '@im/contracts'
import { Type } from 'typebox'

type Json = { [key: string]: Json } & { name: string }
const documentOf = (...args: Parameters<typeof openApiDocument>) => openApiDocument(...args) as Json
const at = (value: unknown, ...keys: string[]) => keys.reduce<unknown>((found, key) => (found as Json)?.[key], value)

const rooms = contract('room', {
  addRoom: {
    path: '/room/add',
    aliases: ['/room/create'],
    summary: '创建群组',
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

test('parameters stand as the wire takes them, in query and body', () => {
  for (const path of ['/room/add', '/room/create']) {
    const parameters = at(document, 'paths', path, 'get', 'parameters') as unknown as Json[]
    const names = parameters.map(({ name, $ref }) => name ?? String($ref).split('/').at(-1))
    assert.deepEqual(names, ['jid', 'ids', 'idList', 'name', 'createTime', 'room', 'language'])
    const body = at(document, 'paths', path, 'post', 'requestBody', 'content')
    assert.deepEqual(Object.keys(body as Json), [
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/json',
    ])
  }
  const schema = at(document, 'components', 'schemas', 'room_add') as Json
  assert.deepEqual(schema['required'] as unknown, ['jid'])
  assert.match(String(at(schema, 'properties', 'createTime', 'description')), /milliseconds from 10\^11/)
  assert.match(String(at(schema, 'properties', 'ids', 'description')), /comma list/)
})

test('the answer is the envelope, with the errors and their texts', () => {
  const answer = at(document, 'components', 'responses', 'room_add')
  assert.match(String(at(answer, 'description')), /1200105 RoomFull: .+ \/ The room is full/)
  const names = (at(answer, 'x-errors') as unknown as Json[]).map(({ name }) => name)
  for (const name of ['RoomFull', 'TokenMissing', 'TokenInvalid', 'MissingParam']) assert.ok(names.includes(name), name)
  const [success] = at(answer, 'content', 'application/json', 'schema', 'oneOf') as unknown as Json[]
  assert.equal(at(success, 'properties', 'data'), undefined, 'nothing has no data')
})

test('every reference leads somewhere and every operation has its own id', () => {
  const whole = documentOf(endpoints)
  const ids: string[] = []
  JSON.stringify(whole, (key, value) => {
    if (key === 'operationId') ids.push(value)
    if (key === '$ref') assert.ok(at(whole, ...String(value).slice(2).split('/')), value)
    return value
  })
  assert.equal(new Set(ids).size, ids.length)
  const paths = endpoints.flatMap(({ path, aliases }) => [path, ...(aliases ?? [])])
  assert.equal(Object.keys(whole['paths'] as Json).length, paths.length)
})

test('calls between services can be left out', () => {
  const paths = Object.keys(documentOf(endpoints, { internal: false })['paths'] as Json)
  assert.ok(paths.includes('/user/login'))
  assert.deepEqual(
    paths.filter((path) => path.startsWith('/internal/')),
    [],
  )
})

test('the generated documents are up to date', () => {
  const generator = join(import.meta.dirname, '..', '..', '..', 'docs', 'generate.ts')
  try {
    execFileSync(process.execPath, [generator, '--check'], { stdio: 'pipe' })
  } catch (error) {
    assert.fail(String((error as { stderr: Buffer }).stderr))
  }
})
