import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Test, test } from 'tap'
import { connectMongo } from '../src/mongo.ts'
import { findFirst, findNewest, isStandIn } from '../src/stand-in.ts'
import { dropNamespace, standInFaults, testEnv } from '../src/testing/index.ts'

/** In a namespace of its own. */
async function openMongo(t: Test) {
  const env = testEnv()
  const mongo = await connectMongo({
    url: env['MONGODB_URL']!,
    namespace: env['NAMESPACE']!,
    service: 'kit',
    monitorCommands: true,
  })
  t.after(async () => {
    await mongo.close()
    await dropNamespace(env)
  })
  return mongo
}

test('the newest of a range are found, however far apart they stand and wherever they are looked for first', async (t) => {
  const mongo = await openMongo(t)
  const buildInfo = await mongo.db.admin().command({ buildInfo: 1 })
  t.equal(await isStandIn(mongo.db), 'secantusVersion' in buildInfo)

  const rows = mongo.db.collection<{ _id: number; chat: string; at: number }>('rows')
  await rows.createIndex({ chat: 1, at: -1, _id: -1 })
  const day = 86_400
  const place = fc.integer({ min: 0, max: 3000 * day })
  const property = fc.asyncProperty(
    fc.array(fc.oneof(place, fc.integer({ min: 0, max: 5 * day })), { maxLength: 30 }),
    fc.record({
      from: fc.option(place),
      before: fc.option(place),
      near: place,
      limit: fc.integer({ min: 1, max: 12 }),
    }),
    async (times, { from, before, near, limit }) => {
      await rows.deleteMany({})
      const all = times.map((at, _id) => ({ _id, chat: 'a', at }))
      if (all.length) await rows.insertMany([...all, { _id: -1, chat: 'b', at: 1 }])
      const found = await findNewest(
        rows,
        {
          ...{ equal: { chat: 'a' }, field: 'at', sort: { at: -1, _id: -1 }, limit },
          ...{ from: from ?? undefined, before: before ?? undefined },
        },
        // About where the newest one is, or beyond it.
        Math.max(near, ...times),
      )
      const expected = all
        .filter(({ at }) => (from === null || at >= from) && (before === null || at < before))
        .sort((a, b) => b.at - a.at || b._id - a._id)
        .slice(0, limit)
      assert.deepEqual(
        found.map(({ _id }) => _id),
        expected.map(({ _id }) => _id),
      )
    },
  )
  await t.resolves(fc.assert(property, { numRuns: 60 }))
})

test('where documents lie close together, little is read for the newest ones once that is known', async (t) => {
  const mongo = await openMongo(t)
  if (!(await isStandIn(mongo.db))) return t.pass('MongoDB stops at the limit')
  const rows = mongo.db.collection<{ _id: number; chat: string; at: number }>('rows')
  await rows.insertMany(Array.from({ length: 3000 }, (_, at) => ({ _id: at, chat: 'a', at })))
  const lowest: number[] = []
  mongo.client.on('commandStarted', ({ command }) => lowest.push(command['filter']?.at?.$gte ?? 0))
  const find = async (before: number) => {
    lowest.length = 0
    const range = { equal: { chat: 'a' }, field: 'at', before, sort: { at: -1, _id: -1 } as const, limit: 10 }
    return (await findNewest(rows, range, 3000)).map(({ at }) => at)
  }
  await find(3000)
  t.strictSame(
    await find(1000),
    Array.from({ length: 10 }, (_, n) => 999 - n),
  )
  t.equal(lowest.length, 1)
  t.ok(lowest[0]! > 900, `from ${lowest[0]} on`)

  // After a year of silence one more came.
  await rows.insertOne({ _id: 3000, chat: 'a', at: 3000 + 365 * 86_400 })
  await find(4e9)
  await find(1000)
  t.ok(lowest.at(-1)! > 900, `from ${lowest.at(-1)} on after a silence`)
})

test('the first in the order of ids are found by three queries at most, wherever they lie', async (t) => {
  const mongo = await openMongo(t)
  const rows = mongo.db.collection<{ _id: number; kind: string }>('rows')
  await rows.createIndex({ kind: 1, _id: 1 })
  const last = 20_000
  const kindOf = (id: number) =>
    id === 19_998 ? 'rare' : id < 5000 && id % 700 === 0 ? 'early' : id % 3 ? 'frequent' : 'usual'
  const all = Array.from({ length: last }, (_, n) => ({ _id: n + 1, kind: kindOf(n + 1) }))
  await rows.insertMany(all)
  let queries = 0
  mongo.client.on('commandStarted', ({ commandName }) => {
    if (commandName === 'find') queries++
  })
  const property = fc.asyncProperty(
    fc.constantFrom('rare', 'early', 'frequent', 'usual', 'none'),
    fc.constantFrom(1 as const, -1 as const),
    fc.integer({ min: 1, max: last }),
    fc.integer({ min: 1, max: 30 }),
    fc.boolean(),
    async (kind, order, from, limit, isEndKnown) => {
      queries = 0
      const end = order === 1 ? 2 ** 31 : 1
      const found = await findFirst(rows, {
        ...{ filter: { kind }, order, from: order === 1 || !isEndKnown ? from : 2 ** 31, to: end, limit },
        ...(isEndKnown ? { highest: async () => last } : {}),
      })
      const expected = all.filter(
        ({ _id, kind: has }) => has === kind && (order === 1 ? _id >= from : isEndKnown || _id <= from),
      )
      assert.deepEqual(
        found.map(({ _id }) => _id),
        (order === 1 ? expected : expected.reverse()).slice(0, limit).map(({ _id }) => _id),
      )
      assert.ok(queries <= 3, `${queries} queries`)
    },
  )
  await t.resolves(fc.assert(property, { numRuns: 60 }))
})

test('the stand-in has every fault that is made up for, MongoDB has none', async (t) => {
  const mongo = await openMongo(t)
  const expected = await isStandIn(mongo.db)
  for (const { name, workaround, isThere } of standInFaults)
    t.equal(
      await isThere(mongo.db),
      expected,
      `${name}: ${expected ? `if it is gone, remove ${workaround}` : 'MongoDB must not have it'}`,
    )
})
