import type { ReplayPage } from '@im/contracts'
import { streams } from '@im/contracts'
import { userUpdated } from '@im/contracts/user'
import { catchUp, exactlyOnce, inTransaction, type Runtime } from '@im/service-kit'
import { eventually, ownServer } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
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
  const copies = runtime.db.collection<Name & { from: string }>('copies')
  const handling = handle(t, runtime, [
    exactlyOnce(userUpdated, async ({ userId, nickname }, { session }) => {
      await copies.updateOne({ _id: userId }, { $set: { nickname } }, { session, upsert: true })
    }),
  ])
  const catching = catchUp<Name>(runtime, {
    name: 'names',
    stream: streams.user,
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
})
