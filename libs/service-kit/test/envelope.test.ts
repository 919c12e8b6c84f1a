import { type Endpoint, WrittenRows } from '@im/contracts'
import { test } from 'tap'
import { Type } from 'typebox'
import { compileRowWriter, compileWriter } from '../src/http/envelope.ts'

test('a long list is written as a short one is: all rows, no field that is not declared, whatever the characters', (t) => {
  const result = Type.Array(
    Type.Object({ id: Type.Integer(), name: Type.String(), nick: Type.Optional(Type.String()) }),
  )
  const write = compileWriter({ result })
  const rows = (count: number) =>
    Array.from({ length: count }, (_, id) => ({
      ...{ id, name: `${'用户😀é"\\'.repeat(20)}${id}`, secret: 'x' },
      ...(id % 2 ? { nick: '' } : {}),
    }))
  for (const count of [0, 1, 99, 100, 101, 5000]) {
    const written = JSON.parse(write(rows(count), 'done', undefined).toString())
    t.match(written, { resultCode: 1, resultMsg: 'done', currentTime: Number })
    t.strictSame(
      written.data,
      rows(count).map(({ secret: _, ...row }) => row),
      `${count} rows`,
    )
  }
  t.end()
})

test('rows that are written before stand in the envelope as they are', (t) => {
  const result = Type.Array(Type.Object({ id: Type.Integer(), name: Type.String() }))
  const endpoint = { path: '/x', result } as unknown as Endpoint<{ result: typeof result } & Endpoint>
  const [write, writeRow] = [compileWriter(endpoint), compileRowWriter(endpoint)]
  const rows = [1, 2].map((id) => ({ id, name: `用户 "${id}"`, secret: 'x' }))
  for (const some of [[], rows]) {
    const written = new WrittenRows(Buffer.from(some.map((row) => writeRow(row)).join()))
    const text = write(written, 'done').toString()
    t.match(JSON.parse(text), { resultCode: 1, resultMsg: 'done', currentTime: Number })
    t.strictSame(
      JSON.parse(text).data,
      some.map(({ secret: _, ...row }) => row),
    )
  }
  t.throws(() => compileRowWriter({ ...endpoint, result: Type.Void() } as never), /does not answer a list/)
  t.end()
})
