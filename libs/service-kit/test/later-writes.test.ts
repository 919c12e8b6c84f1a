import { userUpdated } from '@im/contracts/user'
import { asConflict, isDuplicateKey } from '@im/service-kit'
import { eventually, recordEvents } from '@im/service-kit/testing'
import { BSON } from 'mongodb'
import { test } from 'tap'
import { ownNamespace, startRuntime, update } from './runtime.ts'

interface Thing {
  _id: string
  n: number
}

async function startThings(t: Parameters<typeof startRuntime>[0]) {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  const [things, others] = ['things', 'others'].map((name) => runtime.db.collection<Thing>(name)) as [
    ReturnType<typeof runtime.db.collection<Thing>>,
    ReturnType<typeof runtime.db.collection<Thing>>,
  ]
  await Promise.all([runtime.db.createCollection('things'), runtime.db.createCollection('others')])
  return { ...runtime, env, things, others }
}

test('what is written later is committed in its order, with the events, and only then', async (t) => {
  const { outbox, things, others, env } = await startThings(t)
  const announced = await recordEvents(t, env, userUpdated)
  await things.insertOne({ _id: 'old', n: 0 })
  await outbox.commit(async (change) => {
    change.later(things, { insertOne: { document: { _id: 'a', n: 1 } } })
    change.later(others, { replaceOne: { filter: { _id: 'b' }, replacement: { n: 1 }, upsert: true } })
    change.later(others, { updateOne: { filter: { _id: 'b' }, update: { $inc: { n: 1 } } } })
    change.later(things, { updateMany: { filter: {}, update: { $inc: { n: 1 } } } })
    change.later(things, { deleteOne: { filter: { _id: 'old' } } })
    change.announce(userUpdated, '1', update(1, 'alice'))
    t.equal(await things.countDocuments({}, { session: change.session }), 1, 'the change itself does not see it')
  })
  t.strictSame(await things.find().toArray(), [{ _id: 'a', n: 2 }])
  t.strictSame(await others.find().toArray(), [{ _id: 'b', n: 2 }])
  await eventually(() => announced.length === 1)

  await t.rejects(
    outbox.commit(async (change) => {
      change.later(things, { deleteMany: { filter: {} } })
      change.announce(userUpdated, '1', update(1, 'never'))
      throw new Error('no')
    }),
    { message: 'no' },
  )
  t.equal(await things.countDocuments(), 1)
  await outbox.commit(async (change) => change.later(things, { deleteMany: { filter: {} } }))
  t.equal(await things.countDocuments(), 0, 'also without an event')
  t.equal(announced.length, 1)
})

test('a key that is taken fails the whole change, by the error that the write names', async (t) => {
  const { outbox, things, others } = await startThings(t)
  await things.insertOne({ _id: 'taken', n: 0 })
  class TakenError extends Error {}
  const commit = (ifTaken?: (cause: unknown) => Error, before = 0) =>
    outbox
      .commit(async (change) => {
        change.later(others, { insertOne: { document: { _id: 'a', n: 1 } } })
        for (let n = 0; n < before; n++) change.later(things, { insertOne: { document: { _id: String(n), n } } })
        change.later(things, { insertOne: { document: { _id: 'taken', n: 1 } } }, ifTaken)
        change.announce(userUpdated, '1', update(1, 'alice'))
      })
      .catch((error) => error)
  for (const before of [0, 20]) {
    const named = await commit((cause) => new TakenError('taken', { cause }), before)
    t.type(named, TakenError)
    t.ok(isDuplicateKey(named.cause))
    t.ok(isDuplicateKey(await commit(undefined, before)))
  }
  t.equal(await others.countDocuments(), 0)

  let runs = 0
  await outbox.commit(async (change) => {
    const document = { _id: runs++ ? 'free' : 'taken', n: 1 }
    change.later(things, { insertOne: { document } }, asConflict)
  })
  t.equal(runs, 2, 'or makes it run again')
})

test('of two changes that write the same later, one runs again', async (t) => {
  const { outbox, things } = await startThings(t)
  await things.insertOne({ _id: 'count', n: 0 })
  let runs = 0
  const read = Promise.withResolvers<void>()
  const increment = () =>
    outbox.commit(async (change) => {
      const { n = 0 } = (await things.findOne({ _id: 'count' }, { session: change.session })) ?? {}
      if (++runs === 2) read.resolve()
      // Both have read before the first of them writes.
      await read.promise
      change.later(things, { updateOne: { filter: { _id: 'count' }, update: { $set: { n: n + 1 } } } })
    })
  await Promise.all([increment(), increment()])
  t.strictSame(await things.find().toArray(), [{ _id: 'count', n: 2 }])
  t.ok(runs > 2, `${runs} runs`)
  await Promise.all(
    ['a', 'a'].map((_id) =>
      outbox
        .commit(async (change) => {
          const known = await things.findOne({ _id }, { session: change.session })
          if (!known) change.later(things, { insertOne: { document: { _id, n: 1 } } })
        })
        .catch((error) => t.ok(isDuplicateKey(error))),
    ),
  )
  t.equal(await things.countDocuments({ _id: 'a' }), 1)
})

test('what can not be written at all is told as the fault of the document, however many are written', async (t) => {
  const { outbox, things, others } = await startThings(t)
  const circle: { _id: string; n: number; self?: unknown } = { _id: 'circle', n: 1 }
  circle.self = circle
  for (const count of [1, 20])
    await t.rejects(
      outbox.commit(async (change) => {
        change.later(others, { insertOne: { document: { _id: `other ${count}`, n: 1 } } })
        for (let n = 1; n < count; n++) change.later(things, { insertOne: { document: { _id: String(n), n } } })
        change.later(things, { insertOne: { document: circle } })
      }),
      BSON.BSONError,
    )
  t.equal(await things.countDocuments(), 0)
})
