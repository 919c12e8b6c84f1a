import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  ContractError,
  Days,
  Double,
  Entity,
  type ErrorName,
  Flag,
  FlagOrUnchanged,
  Ids,
  Ignored,
  Int,
  Int32,
  Json,
  JsonOf,
  List,
  LongId,
  Oid,
  PageIndex,
  PageSize,
  PageSizeOrAll,
  Pwd,
  RoomRef,
  Self,
  Text,
  Time,
  UserId,
  UserRef,
} from '@im/contracts'
import { compileDecoder, readParams } from '@im/service-kit'
import { failure } from '@im/service-kit/testing'
import fc from 'fast-check'
import { type Test, test } from 'tap'
import { type TProperties, Type } from 'typebox'

const boundary = '----WebKitFormBoundary7MA4YWxkTrZu0gW'
const form = 'application/x-www-form-urlencoded'
const bytes = (text: string) => new TextEncoder().encode(text)
const decoderOf = (fields: TProperties) => compileDecoder({ path: '/test', params: Type.Object(fields) })

interface Sent {
  query?: string
  type?: string
  body?: string
}

async function decode(fields: TProperties, { query = '', type = form, body = '' }: Sent) {
  return decoderOf(fields)(await readParams(query, type, bytes(body)))
}

async function fails(t: Test, fields: TProperties, sent: Sent, name: ErrorName, detail = /^/) {
  const error = await t.rejects(decode(fields, sent), failure(name))
  t.match(error, { constructor: ContractError, detail }, `${name} of ${JSON.stringify(sent)}`)
}

/** One value, as each of the four ways an app can send it. */
function everyWay(name: string, value: unknown): Sent[] {
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  const encoded = new URLSearchParams({ [name]: text }).toString()
  const part = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n--${boundary}--\r\n`
  return [
    { query: encoded },
    { body: encoded },
    { type: `multipart/form-data; boundary=${boundary}`, body: part },
    { type: 'application/json; charset=utf-8', body: JSON.stringify({ [name]: value }) },
  ]
}

async function everyWayGives(t: Test, fields: TProperties, value: unknown, expected: unknown) {
  for (const sent of everyWay('a', value))
    t.strictSame(await decode(fields, sent), { a: expected }, `${sent.type ?? 'query or form'}: ${value}`)
}

test('numbers are read from text and JSON', async (t) => {
  await everyWayGives(t, { a: Int() }, -12, -12)
  await everyWayGives(t, { a: Int() }, '12.0', 12)
  await everyWayGives(t, { a: Int() }, ' 7 ', 7)
  await everyWayGives(t, { a: Double() }, 1.5, 1.5)
  await everyWayGives(t, { a: Double() }, '+0.25', 0.25)
  t.strictSame(await decode({ a: Double() }, { type: 'application/json', body: '{"a":1e-7}' }), { a: 1e-7 })
  for (const bad of ['1.5', 'x', '1e3', '0x10', '9007199254740993', '1,2', 'NaN', 'Infinity', '１'])
    for (const sent of everyWay('a', bad)) await fails(t, { a: Int() }, sent, 'InvalidParams', /^a: /)
  for (const body of ['{"a":1e400}', '{"a":{}}', '{"a":[1]}', '{"a":{"$ne":1}}'])
    await fails(t, { a: Int() }, { type: 'application/json', body }, 'InvalidParams', /^a: /)
  await fails(t, { a: Int({ minimum: 1 }) }, { query: 'a=0' }, 'InvalidParams', /^a: /)
})

test('flags are 0, 1, true or false', async (t) => {
  for (const [sent, read] of [
    [1, 1],
    [0, 0],
    ['true', 1],
    ['False', 0],
    [true, 1],
  ] as const)
    await everyWayGives(t, { a: Flag() }, sent, read)
  await fails(t, { a: Flag() }, { query: 'a=2' }, 'InvalidParams')
})

test('times from 10^11 on are milliseconds, days may carry their word', async (t) => {
  await everyWayGives(t, { a: Time() }, 1_559_788_026, 1_559_788_026)
  await everyWayGives(t, { a: Time() }, 1_559_788_026_732, 1_559_788_026)
  await everyWayGives(t, { a: Time({ fraction: true }) }, 1_559_788_026_732, 1_559_788_026.732)
  await everyWayGives(t, { a: Time() }, -1, -1)
  await everyWayGives(t, { a: Days() }, '7天', 7)
  await everyWayGives(t, { a: Days() }, 0.04, 0.04)
  const [zero] = Object.values(await decode({ a: Time() }, { query: 'a=-0.5' }))
  t.ok(Object.is(zero, 0))
})

test('ids: users, objects, rooms, 64 bit', async (t) => {
  await everyWayGives(t, { a: UserId() }, 10_000_001, 10_000_001)
  await fails(t, { a: UserId() }, { query: 'a=2147483648' }, 'InvalidParams', /^a: /)
  t.strictSame(await decode({ a: Type.Optional(UserId()) }, { query: 'a=0' }), {})
  t.strictSame(await decode({ a: Self() }, { query: 'a=0' }), {})
  await everyWayGives(t, { a: Oid() }, '5CF77F8E2B4B5F0006C6A0A1', '5cf77f8e2b4b5f0006c6a0a1')
  await fails(t, { a: Oid({ notFound: 'RoomNotFound' }) }, { query: 'a=zz' }, 'RoomNotFound')
  await everyWayGives(t, { a: RoomRef() }, 'ABCDEF0123456789ABCDEF01', 'abcdef0123456789abcdef01')
  await everyWayGives(t, { a: LongId() }, '-9223372036854775808', '-9223372036854775808')
  const big = { type: 'application/json', body: '{"a":9223372036854775807}' }
  t.strictSame(await decode({ a: LongId() }, big), { a: '9223372036854775807' })
  await fails(t, { a: LongId() }, { query: 'a=9223372036854775808' }, 'InvalidParams')
})

test('lists: JSON array, comma list, one value, repeated parameter', async (t) => {
  const fields = { a: Ids() }
  for (const query of ['a=1,2', 'a=["1","2"]', 'a=[1,2,2]', 'a=1&a=2', 'a=1,%202,,1', 'a=1&a=[2]', 'a=null&a=1,2'])
    t.strictSame(await decode(fields, { query }), { a: [1, 2] }, query)
  for (const body of ['{"a":[1,"2",null,1]}', '{"a":"1,2"}', '{"a":"[1,2]"}'])
    t.strictSame(await decode(fields, { type: 'application/json', body }), { a: [1, 2] }, body)
  const many = Array.from({ length: 1001 }, (_, index) => index + 1)
  t.equal((await decode(fields, { body: `a=${many.slice(1)}` }))['a']?.toString().split(',').length, 1000)
  await fails(t, fields, { body: `a=${many}` }, 'InvalidParams', /^a: /)
  await fails(t, fields, { type: 'application/json', body: '{"a":[{"$ne":1}]}' }, 'InvalidParams')
  await fails(t, fields, { query: 'a=[1' }, 'InvalidParams')
  await fails(t, fields, { query: 'a=1,x' }, 'InvalidParams')
  t.strictSame(await decode({ a: List() }, { query: 'a=x,y&a=z' }), { a: ['x', 'y', 'z'] })
  const big = { type: 'application/json', body: '{"a":[9007199254740993]}' }
  t.strictSame(await decode({ a: List() }, big), { a: ['9007199254740993'] })
  t.strictSame(await decode({ a: List() }, { query: 'a=[9007199254740993]' }), { a: ['9007199254740993'] })
  await fails(t, { a: List() }, { type: 'application/json', body: '{"a":["x\\u0000"]}' }, 'InvalidParams', /NUL/)
})

test('lists may keep commas and doubles, and hold other kinds', async (t) => {
  const titles = { a: List({ unique: false, commas: false }) }
  t.strictSame(await decode(titles, { query: 'a=x,y&a=x,y&a=[z]%20u' }), { a: ['x,y', 'x,y', '[z] u'] })
  t.strictSame(await decode(titles, { query: 'a=["x,y","x,y"]' }), { a: ['x,y', 'x,y'] })
  const column = { a: List({ unique: false, commas: false, empty: 'kept', maxItems: 4 }) }
  for (const query of ['a=&a=x&a=%20&a=x', 'a=["","x"," ","x"]', 'a=[null,"x","",%20"x"]'])
    t.strictSame(await decode(column, { query }), { a: ['', 'x', '', 'x'] }, query)
  await fails(t, column, { query: 'a=&a=&a=&a=&a=' }, 'InvalidParams', /^a: more than 4/)
  await fails(t, column, {}, 'MissingParam', /^a/)
  t.strictSame(await decode({ a: List({ unique: false }) }, { query: 'a=1,1,1' }), { a: ['1', '1', '1'] })
  t.strictSame(await decode({ a: List({ unique: false, item: Int() }) }, { query: 'a=1,null,1.0' }), { a: [1, 1] })
  t.strictSame(await decode({ a: List({ item: Oid() }) }, { query: `a=${'A'.repeat(24)}` }), { a: ['a'.repeat(24)] })
  await fails(t, { a: List({ item: Int({ maximum: 3 }) }) }, { query: 'a=1,4' }, 'InvalidParams', /^a: /)
  await fails(t, { a: List({ item: Text({ maxLength: 2 }) }) }, { query: 'a=xx,yyy' }, 'InvalidParams', /^a: /)
  await fails(t, { a: List({ maxItems: 2 }) }, { query: 'a=1,2,3' }, 'InvalidParams', /^a: more than 2/)
  await fails(t, { a: List() }, { query: `a=${'1,'.repeat(6000)}` }, 'InvalidParams', /^a: more than 5000/)
})

test('JSON with a schema is checked and loses what the schema does not name', async (t) => {
  const fields = { a: JsonOf(Type.Array(Type.Object({ type: Type.Integer(), url: Type.Optional(Type.String()) }))) }
  const sent = [{ type: 6, url: 'u', $where: 1, more: { deep: 1 } }, { type: 1 }]
  const kept = [{ type: 6, url: 'u' }, { type: 1 }]
  for (const way of everyWay('a', sent).slice(0, 2)) await fails(t, fields, way, 'InvalidParams', /^a: has a key/)
  await everyWayGives(t, fields, [{ type: 6, url: 'u', more: { deep: 1 } }, { type: 1 }], kept)
  await fails(t, fields, { query: 'a=[{"url":"u"}]' }, 'InvalidParams', /^a: /)
  for (const body of ['{"$ne":1}', '[{"b":{"$gt":""}}]', '{"__proto__":1}'])
    for (const way of everyWay('a', JSON.parse(body))) await fails(t, { a: Json() }, way, 'InvalidParams', /^a: has a/)
  t.strictSame(await decode({ a: Json() }, { query: 'a={"price":"$1"}' }), { a: { price: '$1' } })
})

test('passwords become md5, JSON is handed on parsed, pages take their default', async (t) => {
  const md5 = createHash('md5').update('密码').digest('hex')
  await everyWayGives(t, { a: Pwd() }, '密码', md5)
  await everyWayGives(t, { a: Pwd() }, md5.toUpperCase(), md5)
  await everyWayGives(t, { a: Json() }, { b: [1, 'x'] }, { b: [1, 'x'] })
  await fails(t, { a: Json() }, { query: 'a={' }, 'InvalidParams', /^a: /)
  for (const bad of ['-1', 'x', '', 'null'])
    t.strictSame(await decode({ a: PageIndex(), b: PageSize(20) }, { query: `a=${bad}&b=${bad}` }), { a: 0, b: 20 })
  t.strictSame(await decode({ a: PageSize(20) }, { query: 'a=99999999999999999999' }), { a: 1000 })
  t.strictSame(await decode({ a: PageSizeOrAll() }, {}), {})
})

test('texts: kept as sent, trimmed where said, not longer than 64 KiB', async (t) => {
  await everyWayGives(t, { a: Text() }, ' 你好 & = % + ', ' 你好 & = % + ')
  await everyWayGives(t, { a: Text({ trim: true }) }, ' x ', 'x')
  await everyWayGives(t, { a: Text() }, 'null', 'null')
  await everyWayGives(t, { a: Text() }, 'x'.repeat(65_536), 'x'.repeat(65_536))
  for (const sent of everyWay('a', 'x'.repeat(65_537))) await fails(t, { a: Text() }, sent, 'RequestTooLarge', /^a$/)
  await fails(t, { a: Text() }, { query: 'a=x%00y' }, 'InvalidParams', /NUL/)
  t.strictSame(await decode({ a: Text() }, { type: 'application/json', body: '{"a":"\\ud800"}' }), { a: '\ufffd' })
  t.strictSame(await decode({ a: Text({ empty: 'kept' }) }, { query: 'a=' }), { a: '' })
  t.strictSame(await decode({ a: Text({ empty: 'blank-kept' }) }, { query: 'a=%20' }), { a: ' ' })
  t.strictSame(await decode({ a: Text({ empty: 'blank-clears' }) }, { query: 'a=%20%20' }), { a: '' })
})

test('a text is one text, and what no store or XML can hold is replaced', async (t) => {
  for (const schema of [Text(), Pwd(), RoomRef()])
    for (const body of ['{"a":{"$ne":1}}', '{"a":["x"]}', '{"a":[]}', '{"a":{}}'])
      await fails(t, { a: schema }, { type: 'application/json', body }, 'InvalidParams', /^a: not a text$/)
  await everyWayGives(t, { a: Text() }, 'x\uffff\ufffey', 'x\ufffd\ufffdy')
})

test('a user is meant by id or account, and by 0 or a word for nothing nobody is', async (t) => {
  const fields = { a: Type.Optional(UserRef()) }
  for (const word of ['0', ' 0 ', '', 'null', 'undefined', '(null)'])
    for (const sent of everyWay('a', word)) t.strictSame(await decode(fields, sent), {}, word)
  t.strictSame(await decode(fields, { type: 'application/json', body: '{"a":0}' }), {})
  for (const [sent, given] of [
    ['10000001', '10000001'],
    [' ann_01 ', 'ann_01'],
  ] as const)
    await everyWayGives(t, fields, sent, given)
})

test('what is ignored is not even looked at', async (t) => {
  for (const value of ['x\0', 'x'.repeat(70_000), { $ne: 1 }, [1]])
    for (const sent of everyWay('a', value)) t.strictSame(await decode({ a: Ignored() }, sent), {})
})

test('numbers that no app and no clock can hold are refused', async (t) => {
  await everyWayGives(t, { a: Int32() }, -2_147_483_648, -2_147_483_648)
  await everyWayGives(t, { a: FlagOrUnchanged() }, -1, -1)
  await everyWayGives(t, { a: FlagOrUnchanged() }, 'true', 1)
  for (const [schema, bad] of [
    [Int32(), '2147483648'],
    [FlagOrUnchanged(), '-2'],
    [Time(), '99999999999999999999'],
    [Time({ fraction: true }), '-9'.padEnd(300, '9')],
    [Days(), '1000001'],
  ] as const)
    await fails(t, { a: schema }, { query: `a=${bad}` }, 'InvalidParams', /^a: /)
})

test('what is sloppy is taken literally', async (t) => {
  const fields = { a: Type.Optional(Text()), b: Type.Optional(Text()) }
  t.strictSame(await decode(fields, { body: 'a=100%&b=%zz' }), { a: '100%', b: '%zz' })
  t.strictSame(await decode(fields, { body: 'a=你好&b=x' }), { a: '你好', b: 'x' })
  t.strictSame(await decode(fields, { body: 'a=1+1' }), { a: '1 1' })
  t.strictSame(await decode(fields, { type: '', body: 'a=1' }), { a: '1' }, 'no content type')
  t.strictSame(await decode(fields, { type: 'text/plain', body: 'a=1' }), { a: '1' })
  t.strictSame(await decode(fields, { body: '&&=x&a&b=1' }), { b: '1' })
  t.strictSame(await decode(fields, { type: 'application/json', body: '\ufeff{"a":"1"}' }), { a: '1' })
})

test('the first non-empty value wins, query before body, the name before its aliases', async (t) => {
  const fields = { a: Type.Optional(Text({ aliases: ['A', 'old'] })) }
  t.strictSame(await decode(fields, { query: 'a=&a=1&a=2', body: 'a=3' }), { a: '1' })
  t.strictSame(await decode(fields, { query: 'a=%20', body: 'a=3' }), { a: '3' })
  t.strictSame(await decode(fields, { query: 'old=2' }), { a: '2' })
  t.strictSame(await decode(fields, { query: 'old=2', body: 'a=1' }), { a: '1' })
})

test('empty, and for numbers and ids null, undefined and (null), mean absent', async (t) => {
  for (const word of ['', ' ', 'null', 'undefined', '(null)'])
    for (const schema of [Int(), Double(), Flag(), Time(), Days(), UserId(), Oid(), RoomRef(), Ids(), LongId()]) {
      const query = new URLSearchParams({ a: word }).toString()
      t.strictSame(await decode({ a: Type.Optional(schema) }, { query }), {}, `${JSON.stringify(schema)} ${word}`)
      await fails(t, { a: schema }, { query }, 'MissingParam', /^a$/)
    }
  t.strictSame(await decode({ a: Type.Optional(Text()) }, { type: 'application/json', body: '{"a":null}' }), {})
})

test('missing parameters are told in the order of the contract, before wrong ones', async (t) => {
  const fields = { a: Int(), b: Text(), c: Text() }
  await fails(t, fields, { query: 'a=x' }, 'MissingParam', /^b$/)
  await fails(t, fields, { query: 'a=x&b=1' }, 'MissingParam', /^c$/)
  await fails(t, fields, { query: 'a=x&b=1&c=1' }, 'InvalidParams', /^a: /)
})

test('entities: flat, JSON text or nested; flat fields win', async (t) => {
  const fields = { room: Entity({ name: Type.Optional(Text()), max: Type.Optional(Int({ maximum: 10 })) }) }
  const both = { room: { name: 'x', max: 3 } }
  t.strictSame(await decode(fields, { query: 'name=x&max=3' }), both)
  t.strictSame(await decode(fields, { query: 'room={"name":"x","max":"3"}' }), both)
  t.strictSame(await decode(fields, { type: 'application/json', body: '{"room":{"name":"x","max":3}}' }), both)
  t.strictSame(await decode(fields, { query: 'room={"name":"y","max":3}&name=x' }), both)
  await fails(t, fields, { query: 'room={"max":11}' }, 'InvalidParams', /^max: /)
  await fails(t, fields, { query: 'room=[1]' }, 'InvalidParams', /^room: /)
  await fails(t, fields, { query: 'room={' }, 'InvalidParams', /^room: /)
  const many = JSON.stringify(Object.fromEntries(Array.from({ length: 5001 }, (_, n) => [n, 1])))
  await fails(t, fields, { query: `room=${many}` }, 'RequestTooLarge', /^room$/)
  await fails(t, fields, {}, 'MissingParam', /^room$/)
  const strict = Entity({ name: Text(), userId: UserId(), desc: Text({ default: '' }) })
  await fails(t, { room: strict }, {}, 'MissingParam', /^name$/)
  await fails(t, { room: strict }, { query: 'room={"name":"x"}' }, 'MissingParam', /^userId$/)
  await fails(t, { room: Type.Optional(strict) }, { query: 'name=x' }, 'MissingParam', /^userId$/)
  t.strictSame(await decode({ room: Type.Optional(strict) }, { query: 'desc2=x' }), {})
  t.strictSame(await decode({ room: strict }, { query: 'room={"userId":7}&name=x' }), {
    room: { name: 'x', userId: 7, desc: '' },
  })
})

test('names of operators and prototypes are unknown parameters', async (t) => {
  const fields = { a: Type.Optional(Text()), e: Type.Optional(Entity({ b: Type.Optional(Text()) })) }
  const bodies = [
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    '{"e":{"__proto__":{"b":"x","polluted":1}}}',
    '{"a[$ne]":"1","$where":"1"}',
  ]
  for (const body of bodies) t.strictSame(await decode(fields, { type: 'application/json', body }), {}, body)
  t.strictSame(await decode(fields, { query: 'a[$ne]=1&__proto__=x&constructor=y&toString=z' }), {})
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
})

test('bodies that are no object, nested without end or made of nothing are refused quickly', async (t) => {
  const fields = { a: Type.Optional(Json()) }
  for (const body of ['[1]', '1', 'null', '{', '{"a":1}x', `{"a":${'['.repeat(200_000)}`])
    await fails(t, fields, { type: 'application/json', body }, 'InvalidParams')
  await fails(t, fields, { query: `a=${'['.repeat(1000)}${']'.repeat(1000)}` }, 'InvalidParams')
  await fails(t, fields, { body: 'a&'.repeat(500_000) }, 'RequestTooLarge')
  await fails(t, fields, { type: 'multipart/form-data; boundary=x', body: 'nothing' }, 'InvalidParams')
})

const anything = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('null', '-1', '0', '1e9', '[', '{}', '[1,2]', '__proto__', '{"$gt":""}', '%', '\0', '9'.repeat(40)),
  fc.double().map(String),
)

test('whatever is sent, the decoder gives values of the schema or a ContractError', async (t) => {
  const fields = {
    text: Type.Optional(Text({ maxLength: 20 })),
    int: Type.Optional(Int()),
    double: Type.Optional(Double()),
    flag: Type.Optional(Flag()),
    time: Type.Optional(Time()),
    days: Type.Optional(Days()),
    userId: Type.Optional(UserId()),
    self: Self(),
    oid: Type.Optional(Oid()),
    room: Type.Optional(RoomRef()),
    ids: Type.Optional(Ids()),
    list: Type.Optional(List()),
    json: Type.Optional(Json()),
    pwd: Type.Optional(Pwd()),
    long: Type.Optional(LongId()),
    page: PageIndex(),
    entity: Type.Optional(Entity({ name: Type.Optional(Text()), max: Type.Optional(Int()) })),
  }
  const run = decoderOf(fields)
  const names = fc.constantFrom(...Object.keys(fields), 'name', 'max', '__proto__', 'other')
  const pairs = fc.array(fc.tuple(names, anything), { maxLength: 6 })
  const attempt = async (query: string, type: string | undefined, body: string) => {
    try {
      const decoded = run(await readParams(query, type, bytes(body)))
      t.ok(Object.keys(decoded).every((name) => name in fields))
    } catch (error) {
      t.ok(error instanceof ContractError, `${(error as Error).stack}`)
    }
  }
  await t.resolves(
    fc.assert(
      fc.asyncProperty(pairs, pairs, async (query, body) => {
        await attempt(new URLSearchParams(query).toString(), form, new URLSearchParams(body).toString())
      }),
      { numRuns: 300 },
    ),
  )
  await t.resolves(
    fc.assert(
      fc.asyncProperty(fc.dictionary(names, fc.jsonValue()), async (body) => {
        await attempt('', 'application/json', JSON.stringify(body))
      }),
      { numRuns: 300 },
    ),
  )
  await t.resolves(
    fc.assert(
      fc.asyncProperty(
        anything,
        fc.constantFrom(form, 'application/json', 'multipart/form-data; boundary=x', undefined),
        (raw, type) => attempt(raw, type, raw),
      ),
      { numRuns: 300 },
    ),
  )
})

test('lists, 64-bit ids, times and flags survive the way there', async (t) => {
  const id = fc.integer({ min: 1, max: 2147483647 })
  await t.resolves(
    fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(id, { minLength: 1, maxLength: 30 }),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.integer({ min: -99_999_999_999, max: 99_999_999_999 }),
        fc.constantFrom(0, 1),
        async (ids, long, seconds, flag) => {
          const fields = { ids: Ids(), long: LongId(), time: Time(), flag: Flag() }
          const expected = { ids, long: String(long), time: seconds, flag }
          const text = new URLSearchParams({
            ids: ids.join(','),
            long: String(long),
            time: String(seconds),
            flag: String(flag),
          }).toString()
          const json = `{"ids":${JSON.stringify(ids)},"long":${long},"time":${seconds},"flag":${flag === 1}}`
          assert.deepEqual(await decode(fields, { query: text }), expected)
          assert.deepEqual(await decode(fields, { body: text }), expected)
          assert.deepEqual(await decode(fields, { type: 'application/json', body: json }), expected)
        },
      ),
      { numRuns: 100 },
    ),
  )
})
