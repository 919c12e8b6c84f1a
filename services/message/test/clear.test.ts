import { archive, search } from '@im/contracts/message'
import { asConflict, type Outbox } from '@im/service-kit'
import { MongoError, ObjectId } from 'mongodb'
import { test } from 'tap'
import { archiveBatch } from '../src/archive/archive-batch.ts'
import { sweepCleared, sweepExpired } from '../src/archive/sweep-messages.ts'
import { hideChat } from '../src/inbox/hide-chat.ts'
import { messageOf, startArchive } from './start-archive.ts'

test('what its readers have lost', async (t) => {
  let ahead = 0
  const im = await startArchive(t, { overrides: { now: () => Date.now() + ahead } })
  const { log, deps, placesOf } = im
  const now = () => Date.now() / 1000
  const contents = (rows: { content: string }[]) => rows.map(({ content }) => content)
  const found = async (owner: number, keyword: string) =>
    (await im.api.call(search.searchMessages, { keyword }, { as: owner })).total
  const code = async (owner: number, messageId: string) =>
    (await im.api.envelope(archive.getMessage, { messageId }, { as: owner })).resultCode
  const [ok, notFound] = [1, 1400101]
  /** As the sweeper does it minutes later. */
  async function sweepLater() {
    ahead = 130_000
    await sweepExpired(deps)
    await sweepCleared(deps)
    ahead = 0
  }

  t.test('a cleared chat is empty at once for one side in each view, and whole for the other', async (t) => {
    const [a, b] = im.pair()
    const id = await log.say(a, b, { content: '清空之前' })
    await log.say(b, a, { content: '清空之前也是' })
    await im.clear(a, b)
    t.strictSame(await im.history(a, b), [])
    t.strictSame(await im.chats(a), [])
    t.equal(await found(a, '清空之前'), 0)
    t.equal(await code(a, id), notFound)
    t.equal((await im.history(b, a)).length, 2)
    t.equal((await im.chats(b)).length, 1)
    t.equal(await found(b, '清空之前'), 2)
    t.equal(await code(b, id), ok)
    await sweepLater()
    t.equal(await found(b, '清空之前'), 2, 'the sweep takes nothing one side still has')
  })

  t.test('what comes after a clear is seen, however late its sender says it is', async (t) => {
    const [a, b] = im.pair()
    // The clock of one sender is four minutes ahead, that of the other a little behind.
    await log.say(a, b, { content: 'before', timeSend: now() + 240 })
    await im.clear(b, a)
    await log.say(b, a, { content: 'first' })
    await log.say(b, a, { content: 'second', timeSend: now() - 3600 })
    t.strictSame(contents(await im.history(b, a)), ['second', 'first'])
    t.strictSame(contents(await im.chats(b)), ['second'])
    t.strictSame(contents(await im.history(a, b)), ['second', 'first', 'before'])
    t.equal(await found(b, 'second'), 1)
    await im.clear(b, a)
    t.strictSame(await im.history(b, a), [])
    await log.say(a, b, { content: 'third' })
    t.strictSame(contents(await im.chats(b)), ['third'])
  })

  t.test(
    'a chat that is cleared while its messages wait to be stored keeps their order, behind the clear',
    async (t) => {
      const [a, b] = im.pair()
      await log.say(a, b, { content: 'before' })
      const [first, second] = [log.entry(a, b, { content: 'first' }), log.entry(a, b, { content: 'second' })]
      const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const { outbox } = im.deps
      const commit: typeof outbox.commit = async (work) => {
        asked.resolve()
        await gate.promise
        return await outbox.commit(work)
      }
      const waiting = log.archive([first, second], {
        ...im.deps,
        outbox: Object.assign(Object.create(outbox), { commit }),
      })
      await Promise.race([asked.promise, waiting])
      await im.clear(b, a)
      const copy = {
        tap: `${'c'.repeat(32)}:1`,
        store: { ...first.store, _id: new ObjectId(), tap: `${'c'.repeat(32)}:1` },
      }
      t.strictSame(await log.archive([copy]), ['new'])
      gate.resolve()
      t.strictSame(await waiting, ['resent', 'new'])
      t.strictSame(contents(await im.history(b, a)), ['second', 'first'])
      t.strictSame(contents(await im.history(a, b)), ['second', 'first', 'before'])
    },
  )

  t.test('a message that is being stored while its chat is cleared stands behind the clear', async (t) => {
    const [a, b] = im.pair()
    await log.say(a, b, { content: 'before', timeSend: now() + 240 })
    let tries = 0
    await archiveBatch(deps, [log.entry(a, b, { content: 'after' })], {
      alongside: async () => {
        if (!tries++) await im.clear(b, a)
      },
    })
    t.strictSame(contents(await im.history(b, a)), ['after'])
    t.strictSame(contents(await im.chats(b)), ['after'])
  })

  t.test('clearing all takes chats of any kind, those without a listed message too', async (t) => {
    const [a, b] = im.pair()
    const c = im.person()
    const shot = await log.say(b, a, { type: 95, content: 'screenshot' })
    await log.say(a, c)
    await im.clear(a)
    t.equal(await code(a, shot), notFound)
    t.strictSame(await im.history(a, b), [])
    t.strictSame(await im.chats(a), [])
    t.equal(await code(b, shot), ok)
    t.equal((await im.chats(c)).length, 1)
  })

  t.test('a chat of 20,000 messages is cleared without touching one of them', async (t) => {
    const [a, b] = im.pair()
    const start = now() - 40_000
    for (let n = 0; n < 20_000; n += 5000)
      await deps.messages.collection.insertMany(
        Array.from({ length: 5000 }, (_, at) => ({ ...messageOf(a, b, { timeSend: start + n + at }), content: '' })),
        { ordered: false },
      )
    await log.say(a, b)
    const { collection } = deps.messages
    const touched = () =>
      collection.countDocuments({
        conversation: `u:${a}:${b}`,
        $or: [{ 'deletedFor.0': { $exists: true } }, { gone: true }],
      })
    const began = performance.now()
    await im.clear(b, a)
    t.ok(performance.now() - began < 2000)
    t.strictSame(await im.history(b, a), [])
    t.equal(await touched(), 0)
    t.equal((await im.history(a, b)).length, 50)
    await collection.deleteMany({ conversation: `u:${a}:${b}` })
  })

  t.test('cleared or deleted by both sides, at whatever moment, a text leaves the disk and the search', async (t) => {
    const ways = ['clear', 'delete'] as const
    for (const [one, other] of ways.flatMap((way) => ways.map((another) => [way, another] as const))) {
      const [a, b] = im.pair()
      const text = `双方都没有的话${one}${other}`
      const ids: string[] = []
      for (let n = 0; n < 3; n++) ids.push(await log.say(n % 2 ? a : b, n % 2 ? b : a, { content: text }))
      const lose = async (who: number, peer: number, way: (typeof ways)[number]) => {
        if (way === 'clear') await im.clear(who, peer)
        else await im.remove(who, ids, 1)
      }
      await Promise.all([lose(a, b, one), lose(b, a, other)])
      for (const who of [a, b]) t.equal(await found(who, text), 0)
      await sweepLater()
      await im.until(async () => (await placesOf(text)).length === 0)
    }
  })

  t.test('both delete the same message at the same moment, many times', async (t) => {
    for (let round = 0; round < 20; round++) {
      const [a, b] = im.pair()
      const id = await log.say(a, b, { content: '同时删除' })
      await Promise.all([im.remove(a, [id], 1), im.remove(b, [id], 1)])
      t.equal((await deps.messages.collection.findOne({ messageId: id }))?.gone, true, `round ${round}`)
    }
    await im.until(async () => (await placesOf('同时删除')).length === 0)
  })

  t.test(
    'a chat that is taken out of lists comes back with what arrives after that, for whom it was taken out',
    async (t) => {
      const [a, b] = im.pair()
      const at = Date.now() - 60_000
      const say = (content: string, ts: number) => log.say(a, b, { content, ts })
      const listed = async () => [contents(await im.chats(a)), contents(await im.chats(b))]
      await say('first', at)
      await hideChat(deps, [a, b], [a], at - 1)
      t.strictSame(await listed(), [['first'], ['first']], 'it came later')
      await hideChat(deps, [a, b], [a], at + 2000)
      t.strictSame(await listed(), [[], ['first']])
      // The event is told again, and after it an older one.
      for (const again of [at + 2000, at + 500]) await hideChat(deps, [a, b], [a], again)
      await say('before', at + 1000)
      t.strictSame(await listed(), [[], ['before']])
      await say('after', at + 3000)
      t.strictSame(await listed(), [['after'], ['after']])
    },
  )

  t.test('an expired text leaves the disk; the message is known for a week and not told again', async (t) => {
    const [a, b] = im.pair()
    const entry = log.entry(a, b, { content: '过期的话', deleteTime: Math.floor(now()) + 60 })
    await log.archive([log.entry(a, b, { content: 'stays' }), entry])
    await sweepExpired(deps)
    t.equal((await im.history(b, a)).length, 2)
    await sweepLater()
    t.equal((await im.chats(b))[0]?.content, 'stays')
    await im.until(async () => (await placesOf('过期的话')).length === 0)
    t.strictSame(await log.archive([log.entry(a, b, { id: entry.store.messageId })]), ['gone'])
    const stone = await deps.messages.collection.findOne({ messageId: entry.store.messageId })
    const days = (stone!.removeAt!.getTime() - Date.now()) / 86_400_000
    t.ok(days > 6.9 && days < 7.1)
  })
})

test('a list of chats after a failure between the messages and it', async (t) => {
  const im = await startArchive(t)
  const { log, deps } = im
  const base = Date.now() / 1000
  for (const failing of ['the answer of the commit', 'the list']) {
    const [a, b] = im.pair()
    await log.say(a, b, { content: 'old', timeSend: base - 100 })
    const newest = log.entry(a, b, { content: 'newest', timeSend: base - 10 })
    let commits = 0
    const outbox: Outbox = {
      ...deps.outbox,
      async commit(work) {
        commits++
        if (failing === 'the list' && commits === 2) throw new Error('away')
        let tries = 0
        const result = await deps.outbox.commit(async (change) => {
          const result = await work(change)
          // Only when it met another one the list is not written with the messages.
          if (failing === 'the list' && !tries++) throw asConflict(new MongoError('another log has messages of it'))
          return result
        })
        if (failing !== 'the list' && commits === 1) throw new Error('the answer was lost')
        return result
      },
    }
    await t.rejects(log.archive([newest], { ...deps, outbox }))
    t.strictSame(await log.archive([newest]), ['replayed'])
    // Older than the newest one: it must not take its place.
    await log.say(b, a, { content: 'late', timeSend: base - 20 })
    for (const who of [a, b]) t.equal((await im.chats(who))[0]?.content, 'newest', failing)
  }
})

test('a copy that is committed here and not yet by a majority is no fault of the data', async (t) => {
  const { log, deps, pair } = await startArchive(t)
  const [a, b] = pair()
  const entry = log.entry(a, b)
  await log.archive([entry])
  const messages = Object.create(deps.messages)
  messages.known = async () => new Map()
  const failure = await log.archive([entry], { ...deps, messages }).catch((error) => error)
  t.ok(failure instanceof Error)
  t.notOk('code' in failure)
  t.notMatch(JSON.stringify(failure), /content/)
  t.strictSame(await log.archive([{ ...entry, store: { ...entry.store, _id: new ObjectId() } }]), ['replayed'])
})
