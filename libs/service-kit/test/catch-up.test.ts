import { setTimeout as delay } from 'node:timers/promises'
import { ContractError, type ReplayPage, streams } from '@im/contracts'
import { userLocked, userUpdated } from '@im/contracts/user'
import { catchUp, exactlyOnce, inTransaction, on, type Runtime } from '@im/service-kit'
import { eventually, ownServer } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { CatchUps } from '../src/events/catch-ups.ts'
import { handle, ownNamespace, startRuntime, update } from './runtime.ts'

interface Name {
  _id: number
  nickname: string
}

/** The service that owns the names, and how its pages are read. */
function owner({ db, outbox, mongoClient }: Runtime) {
  const names = db.collection<Name>('names')
  return {
    names,
    async rename(userId: number, nickname: string) {
      await outbox.commit(async (change) => {
        await names.updateOne({ _id: userId }, { $set: { nickname } }, { session: change.session, upsert: true })
        change.announce(userUpdated, String(userId), update(userId, nickname))
      })
    },
    async page(after: string | undefined, pageSize: number): Promise<ReplayPage<Name>> {
      return await inTransaction(mongoClient, async (session) => {
        const filter = { _id: { $gt: Number(after ?? 0) } }
        const rows = await names.find(filter, { session }).sort({ _id: 1 }).limit(pageSize).toArray()
        const ids = rows.map(({ _id }) => String(_id))
        const sequences = await outbox.lastSequences('user', ids, session)
        return {
          rows: rows.map((data, n) => ({ aggregate: ids[n]!, sequence: sequences.get(ids[n]!) ?? 0, data })),
          next: rows.length === pageSize ? ids.at(-1) : undefined,
        }
      })
    },
  }
}

/** A service that keeps the names. `page` may do something before it returns one. */
async function keeper(
  t: Test,
  env: Record<string, string>,
  page: (after: string | undefined) => Promise<ReplayPage<Name>>,
) {
  const runtime = await startRuntime(t, env, 'social')
  const projection = { name: 'names', stream: streams.user }
  const copies = runtime.db.collection<Name & { from: string }>('copies')
  const handling = handle(t, runtime, [
    exactlyOnce(
      userUpdated,
      async ({ userId, nickname }, { session }) => {
        await copies.updateOne({ _id: userId }, { $set: { nickname } }, { session, upsert: true })
      },
      { projection },
    ),
  ])
  const catching = catchUp<Name>(runtime, {
    projection,
    page,
    apply: (rows, { session }) =>
      copies.bulkWrite(
        rows.map(({ _id, nickname }) => ({
          updateOne: { filter: { _id }, update: { $set: { nickname, from: 'page' } }, upsert: true },
        })),
        { session },
      ),
  })
  t.after(() => catching.close())
  return {
    runtime,
    copies: async () =>
      (await copies.find().sort({ _id: 1 }).toArray()).map(({ _id, nickname }) => `${_id} ${nickname}`),
    complete: () => copies.countDocuments({ from: 'page' }),
    isFinished: async () => Boolean((await runtime.db.collection('catch_ups').findOne())?.['finishedAt']),
    async close() {
      await catching.close()
      await handling.close()
      await runtime.close()
    },
  }
}

test('what changes between the reading and the storing of a page is not lost, and rows are complete', async (t) => {
  const env = ownNamespace(t)
  const user = owner(await startRuntime(t, env))
  await user.names.insertMany([1, 2, 3, 4, 5].map((_id) => ({ _id, nickname: 'old' })))
  await user.rename(2, 'before')
  let pages = 0
  const social = await keeper(t, env, async (after) => {
    const page = await user.page(after, 2)
    // While the page is on its way, one of its users is renamed, and the event is handled.
    if (++pages <= 2) {
      const userId = page.rows[0]!.data._id
      await user.rename(userId, `overtaken ${pages}`)
      await eventually(async () => (await social.copies()).includes(`${userId} overtaken ${pages}`))
    }
    return page
  })
  await eventually(social.isFinished)
  t.strictSame(await social.copies(), ['1 overtaken 2', '2 before', '3 old', '4 old', '5 old'])
  t.equal(await social.complete(), 5)
  await user.rename(5, 'after')
  t.ok(await eventually(async () => (await social.copies()).includes('5 after')))
})

test('while the owner is away catching up waits, and what was read stays', async (t) => {
  const env = ownNamespace(t)
  const user = owner(await startRuntime(t, env))
  await user.names.insertMany([1, 2, 3].map((_id) => ({ _id, nickname: 'x' })))
  let tries = 0
  const asked: (string | undefined)[] = []
  const social = await keeper(t, env, async (after) => {
    if (++tries === 2 || tries === 3) throw new Error('away')
    asked.push(after)
    return user.page(after, 2)
  })
  await eventually(social.isFinished)
  t.strictSame(asked, [undefined, '2'])
  t.equal((await social.copies()).length, 3)
})

test('when the stream has lost events that were not handled everything is read again', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const env = ownNamespace(t, { NATS_URL: server.url })
  const runtime = await startRuntime(t, env)
  const user = owner(runtime)
  await user.rename(1, 'a')
  const page = (after: string | undefined) => user.page(after, 10)
  const first = await keeper(t, env, page)
  await eventually(first.isFinished)
  await eventually(async () => (await first.copies()).includes('1 a'))
  await first.close()
  await user.rename(1, 'lost')
  await eventually(async () => (await runtime.db.collection('outbox').countDocuments()) === 0)
  await server.kill()
  await server.erase()
  await server.start()
  await eventually(() => user.rename(2, 'b').then(() => true), 20_000)
  const second = await keeper(t, env, page)
  await eventually(async () => (await second.copies()).join() === '1 lost,2 b', 20_000)
  t.match(await second.runtime.metrics.metrics(), /im_events_lost_total\{shard="user\/\d",service="social"\} 1/)
  await eventually(second.isFinished)
  await second.close()
  const third = await keeper(t, env, page)
  await eventually(
    async () =>
      (await third.runtime.db.collection('event_shards').countDocuments({ owner: third.runtime.replicas.id })) === 8,
  )
  await user.rename(3, 'c')
  await eventually(async () => (await third.copies()).includes('3 c'))
  t.notMatch(await third.runtime.metrics.metrics(), /im_events_lost_total\{shard/, 'a loss is told once')
})

test('after a rest for longer than the stream keeps its events everything is read again', async (t) => {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  const user = owner(runtime)
  const page = (after: string | undefined) => user.page(after, 10)
  await user.rename(1, 'a')
  const first = await keeper(t, env, page)
  await eventually(first.isFinished)
  const shards = runtime.mongoClient.db(first.runtime.db.databaseName).collection('event_shards')
  await eventually(async () => (await shards.countDocuments({ readAt: { $exists: true } })) === 8)
  await first.close()
  // Its event has expired by now: no gap of the stream tells of it.
  await user.names.updateOne({ _id: 1 }, { $set: { nickname: 'expired' } })
  const restSince = async (seconds: number) =>
    shards.updateMany({}, { $set: { readAt: new Date(Date.now() - seconds * 1000) } })
  await restSince(streams.user.maxAgeSeconds - 60)
  const second = await keeper(t, env, page)
  await eventually(
    async () =>
      (await shards.countDocuments({
        owner: second.runtime.replicas.id,
        readAt: { $gt: new Date(Date.now() - 60_000) },
      })) === 8,
  )
  t.strictSame(await second.copies(), ['1 a'], 'the stream still has all since then')
  await second.close()
  await restSince(streams.user.maxAgeSeconds + 60)
  const third = await keeper(t, env, page)
  await eventually(async () => (await third.copies()).join() === '1 expired', 20_000)
})

test('rows that come into a page while it is read again are stored, too', async (t) => {
  const env = ownNamespace(t)
  const user = owner(await startRuntime(t, env))
  await user.names.insertMany([1, 2, 3, 4, 5].map((_id) => ({ _id, nickname: 'old' })))
  let pages = 0
  const social = await keeper(t, env, async (after) => {
    const page = await user.page(after, 3)
    if (++pages === 1) {
      await user.names.deleteOne({ _id: 1 })
      await user.rename(2, 'new')
      await eventually(async () => (await social.copies()).includes('2 new'))
    }
    return page
  })
  await eventually(social.isFinished)
  t.strictSame(await social.copies(), ['1 old', '2 new', '3 old', '4 old', '5 old'])
})

test('the rows of an owner that was restored from a backup count, and it is not asked all the time', async (t) => {
  const env = ownNamespace(t)
  const user = owner(await startRuntime(t, env))
  await user.rename(1, 'a')
  await user.rename(2, 'kept')
  const backup = await user.page(undefined, 10)
  await user.rename(1, 'b')
  let pages = 0
  const social = await keeper(t, env, async () => {
    await eventually(async () => (await social.copies()).includes('1 b'))
    pages++
    return backup
  })
  await eventually(social.isFinished)
  t.strictSame(await social.copies(), ['1 a', '2 kept'])
  t.equal(pages, 2)
  await user.rename(1, 'c')
  t.ok(await eventually(async () => (await social.copies()).includes('1 c')))
})

test('handlers of the projection skip what a row contained already, those with effects of their own do not', async (t) => {
  const env = ownNamespace(t)
  const user = owner(await startRuntime(t, env))
  for (const nickname of ['a', 'b']) await user.rename(1, nickname)
  const social = await startRuntime(t, env, 'social')
  const projection = { name: 'names', stream: streams.user }
  const told: string[] = []
  const effects: string[] = []
  let isCaughtUp = false
  handle(t, social, [
    exactlyOnce(
      userUpdated,
      async ({ nickname }) => {
        if (!isCaughtUp) throw new ContractError('ServiceUnavailable')
        told.push(nickname)
      },
      { projection },
    ),
    exactlyOnce(userUpdated, async ({ nickname }) => effects.push(nickname)),
  ])
  const catching = catchUp<Name>(social, {
    projection,
    page: (after) => user.page(after, 10),
    apply: async (rows) => told.push(...rows.map(({ nickname }) => `row ${nickname}`)),
  })
  t.after(() => catching.close())
  await eventually(async () => (await social.db.collection('catch_ups').findOne())?.['finishedAt'])
  isCaughtUp = true
  await user.rename(1, 'c')
  await eventually(() => told.includes('c'))
  // What runs again after a conflict tells the same again.
  t.strictSame([...new Set(told)], ['row b', 'c'])
  t.strictSame([...new Set(effects)], ['a', 'b', 'c'])
})

test('what is read while the stream turns out to have lost events is read again', async (t) => {
  const env = ownNamespace(t)
  const user = owner(await startRuntime(t, env))
  await user.names.insertOne({ _id: 1, nickname: 'old' })
  let pages = 0
  const social = await keeper(t, env, async (after) => {
    const page = await user.page(after, 10)
    if (++pages === 1) {
      // Its event is among those that were lost.
      await user.names.updateOne({ _id: 1 }, { $set: { nickname: 'new' } })
      await new CatchUps(social.runtime.db).beginAnew('user')
    }
    return page
  })
  await eventually(social.isFinished)
  t.strictSame(await social.copies(), ['1 new'])
})

test('nothing is lost while replicas run that do not know the projection', async (t) => {
  const env = ownNamespace(t)
  const user = owner(await startRuntime(t, env))
  await user.names.insertOne({ _id: 1, nickname: 'x' })
  const old = await startRuntime(t, env, 'social')
  const handling = handle(t, old, [on(userLocked, async () => {})])
  const shards = old.db.collection('event_shards')
  await eventually(async () => (await shards.countDocuments({ owner: { $exists: true } })) === 8)
  const social = await keeper(t, env, (after) => user.page(after, 10))
  await eventually(async () => (await shards.distinct('owner')).length === 2)
  // The old build passes over what it has no handler for.
  const renamed = [2, 3, 4, 5, 6, 7, 8, 9]
  for (const userId of renamed) await user.rename(userId, 'y')
  await eventually(async () => (await social.copies()).length > 1)
  await delay(1000)
  t.notOk(await social.isFinished())
  await handling.close()
  await old.close()
  await eventually(social.isFinished)
  t.strictSame(await social.copies(), ['1 x', ...renamed.map((userId) => `${userId} y`)])
})
