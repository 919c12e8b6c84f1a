import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { event, events, streams } from '@im/contracts'
import { test } from 'tap'
import { Type } from 'typebox'

const file = join(import.meta.dirname, 'frozen-events.json')
const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown

/** Descriptions may be improved; what travels may not change. */
function shape(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(shape)
  if (typeof schema !== 'object' || schema === null) return schema
  const isDescription = ([key, value]: [string, unknown]) => key === 'description' && typeof value === 'string'
  const rest = Object.entries(schema).filter((entry) => !isDescription(entry))
  return Object.fromEntries(rest.map(([key, value]) => [key, shape(value)]))
}

const declared = Object.fromEntries(events.map(({ name, schema }) => [name, shape(plain(schema))]))

test('published events are frozen', async (t) => {
  let frozen = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>) : {}
  if (process.env['FREEZE_EVENTS']) {
    frozen = { ...declared, ...frozen }
    writeFileSync(file, `${JSON.stringify(frozen, null, 2)}\n`)
  }
  for (const [name, schema] of Object.entries(frozen)) {
    const next = name.replace(/\d+$/, (version) => String(Number(version) + 1))
    t.ok(name in declared, `${name} was published: events of it are stored and read; keep it declared`)
    t.strictSame(
      declared[name],
      schema,
      `${name} was published and may not change. Declare '${next}' beside it, publish both until every consumer reads ` +
        `the new one, then freeze it: FREEZE_EVENTS=1 npm test -- libs/contracts/test/frozen-events.test.ts`,
    )
  }
  const unfrozen = Object.keys(declared).filter((name) => !(name in frozen))
  t.strictSame(
    unfrozen,
    [],
    `new events: FREEZE_EVENTS=1 npm test -- libs/contracts/test/frozen-events.test.ts, and commit frozen-events.json`,
  )
})

test('every event has a summary and a unique name', async (t) => {
  for (const { name, summary } of events) t.ok(summary.trim(), name)
  t.equal(new Set(events.map(({ name }) => name)).size, events.length)
  const nouns = Object.values(streams).flatMap((stream) => [...stream.nouns] as string[])
  t.equal(new Set(nouns).size, nouns.length, 'two streams may not keep the same subject')
})

test('an event name says its version, and its noun is that of a stream', async (t) => {
  t.throws(() => event('user.registered', '', Type.Object({})), /is not <noun>\.<fact>\.v<number>/)
  t.throws(() => event('nobody.came.v1', '', Type.Object({})), /no stream keeps nobody\.came\.v1/)
})
