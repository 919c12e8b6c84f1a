import { test } from 'tap'
import { Type } from 'typebox'
import { compileWriter } from '../src/http/envelope.ts'

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
