import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { EventEnvelope, Payload } from '@im/contracts'
import { userUpdated } from '@im/contracts/user'
import { ensureIndexes, handleOnce, isDuplicateKey, on } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import type { IndexDescription } from 'mongodb'
import { test } from 'tap'
import { ownNamespace, startRuntime } from './runtime.ts'

const update = (userId: number, nickname: string): Payload<typeof userUpdated> => ({
  userId,
  nickname,
  account: '',
  updatedAt: 1,
})

test('a unique index refuses doubles by name, and making indexes again changes nothing', async (t) => {
  const { db } = await startRuntime(t)
  const people = db.collection('people')
  const indexes: IndexDescription[] = [{ key: { telephone: 1 }, unique: true }, { key: { nickname: 1 } }]
  await ensureIndexes(people, indexes)
  await ensureIndexes(people, indexes)
  await people.insertOne({ telephone: '8613', nickname: 'alice' })
  const error = await people.insertOne({ telephone: '8613', nickname: 'bob' }).catch((thrown) => thrown)
  t.ok(isDuplicateKey(error))
  t.ok(isDuplicateKey(error, 'telephone'))
  t.ok(!isDuplicateKey(error, 'nickname'))
  t.ok(!isDuplicateKey(new Error('other')))
})

test('a change and its event become visible together', async (t) => {
  const { db, outbox, bus } = await startRuntime(t)
  const people = db.collection('people')
  const heard: EventEnvelope[] = []
  await bus.subscribe([on(userUpdated, async (_payload, envelope) => void heard.push(envelope))])
  const result = await outbox.commit(async (change) => {
    await people.insertOne({ userId: 7, nickname: 'alice' }, { session: change.session })
    change.announce(userUpdated, '7', update(7, 'alice'))
    return 'done'
  })
  t.equal(result, 'done')
  await eventually(() => heard.length === 1)
  t.strictSame(heard[0]?.data, update(7, 'alice'))
  t.equal(heard[0]?.aggregate, '7')
  t.match(heard[0]?.id ?? '', /^[0-9a-f]{32}$/)
  t.ok(await people.findOne({ userId: 7 }))
  await eventually(async () => (await db.collection('outbox').countDocuments()) === 0)
})

test('a failed change leaves neither document nor event', async (t) => {
  const { db, outbox } = await startRuntime(t)
  const people = db.collection('people')
  const failing = outbox.commit(async (change) => {
    await people.insertOne({ userId: 8 }, { session: change.session })
    change.announce(userUpdated, '8', update(8, 'bob'))
    throw new Error('no')
  })
  await t.rejects(failing, /^no$/)
  t.equal(await people.countDocuments(), 0)
  t.equal(await db.collection('outbox').countDocuments(), 0)
})

test('an event that does not fit its schema stops the change', async (t) => {
  const { db, outbox } = await startRuntime(t)
  const failing = outbox.commit(async (change) => {
    await db.collection('people').insertOne({ userId: 8 }, { session: change.session })
    change.announce(userUpdated, '8', { userId: 'x' } as never)
  })
  await t.rejects(failing, /user\.updated\.v1 does not fit its schema/)
  t.equal(await db.collection('people').countDocuments(), 0)
})

test('changes of the same document at the same time are tried again until each is done', async (t) => {
  const { db, outbox } = await startRuntime(t)
  const counters = db.collection<{ _id: string; value: number }>('counters')
  await counters.insertOne({ _id: 'a', value: 0 })
  const one = () =>
    outbox.commit(async ({ session }) => {
      const { value = 0 } = (await counters.findOne({ _id: 'a' }, { session })) ?? {}
      await counters.updateOne({ _id: 'a' }, { $set: { value: value + 1 } }, { session })
    })
  await Promise.all(Array.from({ length: 20 }, one))
  t.equal((await counters.findOne({ _id: 'a' }))?.value, 20)
})

test('an event is handled once, however often and however parallel it is delivered', async (t) => {
  const { db, outbox } = await startRuntime(t)
  const tallies = db.collection<{ _id: string; value: number }>('tallies')
  await tallies.insertOne({ _id: 'a', value: 0 })
  const handle = handleOnce<Payload<typeof userUpdated>>(outbox, async (payload, change) => {
    await tallies.updateOne({ _id: 'a' }, { $inc: { value: payload.userId } }, { session: change.session })
  })
  const envelope = { id: 'e1', name: userUpdated.name, at: 1, aggregate: '5', data: update(5, 'carol') }
  await Promise.all(Array.from({ length: 8 }, () => handle(envelope.data, envelope)))
  await handle(envelope.data, envelope)
  t.equal((await tallies.findOne({ _id: 'a' }))?.value, 5)
  await t.rejects(outbox.once('e2', () => Promise.reject(new Error('not yet'))))
  t.equal(await outbox.once('e2', async () => {}), true, 'a failed handling is not remembered')
  t.equal(await outbox.once('e2', async () => {}), false)
})

test('events of one aggregate keep their order, whoever commits them', async (t) => {
  const env = ownNamespace(t)
  const [first, second] = [await startRuntime(t, env), await startRuntime(t, env)]
  const heard = new Map<number, string[]>()
  await first.bus.subscribe([
    on(userUpdated, async ({ userId, nickname }) => heard.set(userId, [...(heard.get(userId) ?? []), nickname])),
  ])
  const people = [1, 2, 3, 4]
  await Promise.all(
    people.map(async (userId) => {
      for (let n = 0; n < 10; n++) {
        const replica = n % 2 ? first : second
        await replica.outbox.commit(async (change) => {
          await replica.db.collection('writes').insertOne({ userId, n }, { session: change.session })
          change.announce(userUpdated, String(userId), update(userId, String(n)))
        })
      }
    }),
  )
  const inOrder = Array.from({ length: 10 }, (_, n) => String(n))
  await eventually(() => people.every((userId) => heard.get(userId)?.length === 10))
  for (const userId of people) t.strictSame(heard.get(userId), inOrder)
})

test('a relay killed in the middle loses nothing and stores no event twice', async (t) => {
  const env = ownNamespace(t)
  const count = 300
  const child = spawn(process.execPath, [join(import.meta.dirname, 'announcing-process.ts'), String(count)], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const { bus, db } = await startRuntime(t, env)
  const committed = await db.collection('people').countDocuments()
  const ids = new Set<string>()
  const seen: number[] = []
  await bus.subscribe([
    on(userUpdated, async ({ userId }, { id }) => {
      t.ok(!ids.has(id), 'the same event was stored twice')
      ids.add(id)
      seen.push(userId)
    }),
  ])
  await eventually(() => seen.length >= committed, 20_000)
  await eventually(async () => (await db.collection('outbox').countDocuments()) === 0)
  t.ok(committed > 0)
  t.equal(new Set(seen).size, committed)
  t.equal(seen.length, committed)
})
