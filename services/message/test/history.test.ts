import { archive } from '@im/contracts/message'
import fc from 'fast-check'
import { test } from 'tap'
import { singleConversation } from '../src/messages/conversations.ts'
import { createLog, startArchive } from './start-archive.ts'

test('history', async (t) => {
  const im = await startArchive(t)
  const { log, api } = im
  const second = Math.floor(Date.now() / 1000) - 1000
  const ids = (rows: { messageId: string }[]) => rows.map(({ messageId }) => messageId)
  type Row = Awaited<ReturnType<typeof im.history>>[number]

  t.test('21 messages in one second, paged by 20 and the time of the last row: none is missing', async (t) => {
    const [a, b] = im.pair()
    const sent = [...Array(30).keys()].map((n) =>
      log.entry(a, b, { timeSend: second + (n < 21 ? 5 : 6 + n) + 0.01 * n }),
    )
    await log.archive(sent)
    const seen = new Set<string>()
    let endTime = 0
    for (let pages = 0; pages < 5; pages++) {
      const rows = await im.history(b, a, { pageSize: 20, endTime })
      for (const id of ids(rows)) seen.add(id)
      endTime = Math.floor(rows.at(-1)!.timeSend)
    }
    t.equal(seen.size, 30)
  })

  t.test('however many stand in a second, paging by time or by pages reaches all', async (t) => {
    const property = fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom(0, 0, 0.25, 0.5)), {
        minLength: 1,
        maxLength: 40,
      }),
      fc.integer({ min: 1, max: 9 }),
      fc.array(fc.nat(40), { maxLength: 8 }),
      async (places, pageSize, deletedOnes) => {
        const [a, b] = im.pair()
        const entries = places.map(([at, fraction]) => log.entry(a, b, { timeSend: second + at + fraction }))
        await log.archive(entries)
        const deleted = [...new Set(deletedOnes.map((n) => entries[n % entries.length]!.store.messageId))]
        if (deleted.length) await im.remove(b, deleted, 1)
        const expected = entries.map(({ store }) => store.messageId).filter((id) => !deleted.includes(id))

        const byTime = new Set<string>()
        for (let endTime = 0; ; ) {
          const rows: Row[] = await im.history(b, a, { pageSize, endTime })
          const fresh = ids(rows).filter((id) => !byTime.has(id))
          for (const id of fresh) byTime.add(id)
          if (!fresh.length) break
          endTime = Math.floor(rows.at(-1)!.timeSend)
        }
        if (byTime.size !== expected.length) throw new Error(`by time ${byTime.size} of ${expected.length}`)

        const byPage: string[] = []
        for (let pageIndex = 0; ; pageIndex++) {
          const rows = await im.history(b, a, { pageSize, pageIndex })
          byPage.push(...ids(rows))
          if (rows.length < pageSize) break
        }
        const all = ids(await im.history(b, a, { pageSize: 1000 }))
        if (byPage.join() !== all.join() || all.length !== expected.length) throw new Error('pages are not the whole')

        const forgetful = new Set<string>()
        for (let pageIndex = 0; pageIndex * pageSize <= entries.length; pageIndex++) {
          await im.forgetCursors()
          for (const id of ids(await im.history(b, a, { pageSize, pageIndex }))) forgetful.add(id)
        }
        if (forgetful.size !== expected.length) throw new Error('a row is missing without cursors')
      },
    )
    await t.resolves(fc.assert(property, { numRuns: 15 }))
  })

  t.test('the border second does not count, and the first page goes to the end of its last second', async (t) => {
    const [a, b] = im.pair()
    const at = [9.5, 9.2, 9, 8, 7.9, 7.1, 7, 6]
    await log.archive(at.map((offset) => log.entry(a, b, { timeSend: second + offset })))
    const page = async (more: object) => (await im.history(b, a, more)).map(({ timeSend }) => timeSend - second)
    const near = (values: number[]) => values.map((value) => Math.round(value * 10) / 10)
    t.strictSame(near(await page({ endTime: second + 9, pageSize: 1 })), [9.5, 9.2, 9, 8])
    t.strictSame(near(await page({ endTime: second + 9, pageSize: 2 })), [9.5, 9.2, 9, 8, 7.9, 7.1, 7])
    t.strictSame(near(await page({ endTime: second + 9, pageSize: 2, pageIndex: 1 })), [6])
    t.strictSame(near(await page({ pageSize: 1 })), [9.5, 9.2, 9])
  })

  t.test('a page stays bounded whatever stands in one second', async (t) => {
    const [a, b] = im.pair()
    for (let n = 0; n < 2500; n += 500)
      await log.archive([...Array(500).keys()].map(() => log.entry(a, b, { timeSend: second })))
    await log.archive([log.entry(a, b, { timeSend: second - 1, content: 'below' })])
    t.equal((await im.history(b, a, { pageSize: 20 })).length, 1020)
    const below = await im.history(b, a, { pageSize: 20, endTime: second })
    t.equal(below.length, 1001)
    t.equal(below.at(-1)?.content, 'below')
  })

  t.test('a page of very long messages has fewer rows, and those that follow have the others', async (t) => {
    const body = JSON.stringify({ type: 1, content: 'x'.repeat(60_000) })
    for (const step of [0, 1]) {
      const [a, b] = im.pair()
      await log.archive([...Array(160).keys()].map((n) => log.entry(a, b, { timeSend: second + step * n })))
      const conversation = singleConversation(a, b)
      await im.deps.messages.collection.updateMany({ conversation }, { $set: { body } })
      const text = (rows: Row[]) => rows.reduce((sum, { body }) => sum + body.length, 0)
      const seen = new Set<string>()
      for (let [pageIndex, length] = [0, 1]; length > 0; pageIndex++) {
        const rows = await im.history(b, a, { pageSize: 1000, pageIndex })
        length = rows.length
        t.ok(text(rows) < 8.5 * 2 ** 20, `${length} rows`)
        for (const id of ids(rows)) seen.add(id)
      }
      t.equal(seen.size, 160, 'by pages')
      if (step === 0) continue
      seen.clear()
      for (let [endTime, size] = [0, -1]; seen.size > size; ) {
        size = seen.size
        const rows = await im.history(b, a, { pageSize: 1000, endTime })
        for (const id of ids(rows)) seen.add(id)
        endTime = Math.floor(rows.at(-1)!.timeSend)
      }
      t.equal(seen.size, 160, 'by time')
    }
  })

  t.test('two devices page at once without meeting; messages in between shift nothing', async (t) => {
    const [a, b] = im.pair()
    const entries = [...Array(30).keys()].map((n) => log.entry(a, b, { timeSend: second + n }))
    await log.archive(entries)
    const newestFirst = ids(entries.map(({ store }) => store)).reverse()
    const device = (sessionId: string) => ({ userId: b, sessionId, device: 'android', kind: 'user' }) as const
    const page = async (as: ReturnType<typeof device>, pageIndex: number) => {
      return ids(await api.call(archive.listSingleHistory, { receiver: a, pageSize: 10, pageIndex }, { as }))
    }
    t.strictSame(await page(device('one'), 0), newestFirst.slice(0, 10))
    const later = await log.say(a, b, { timeSend: second + 100 })
    t.strictSame(await page(device('two'), 0), [later, ...newestFirst.slice(0, 9)])
    t.strictSame(await page(device('one'), 1), newestFirst.slice(10, 20))
    t.strictSame(await page(device('two'), 1), newestFirst.slice(9, 19))
    t.strictSame(await page(device('one'), 2), newestFirst.slice(20, 30))
  })
})

test('read marks of one message end at 200 ids, and wait for no other message', async (t) => {
  const { log, deps, pair } = await startArchive(t)
  const [a, b] = pair()
  const sent = [...Array(250).keys()].map(() => log.entry(a, b))
  const ids = sent.map(({ store }) => store.messageId)
  await log.archive(sent)
  await log.archive([log.read(b, a, ids), log.read(a, b, ids)])
  t.equal(await deps.messages.collection.countDocuments({ from: a, isRead: true }), 200)
  // Told again after a crash: the marks are made again.
  await deps.messages.collection.updateMany({ from: a }, { $set: { isRead: false } })
  const again = createLog(deps)
  await again.archive([again.read(b, a, ids.slice(0, 3))])
  t.equal(await deps.messages.collection.countDocuments({ from: a, isRead: true }), 3)
  const [c] = pair()
  const forOther = await log.say(a, c)
  await log.archive([log.read(b, a, ids.slice(3, 5)), log.read(c, a, [forOther])])
  t.equal(await deps.messages.collection.countDocuments({ from: a, isRead: true }), 6, 'of two readers in one batch')
})

test('who reads a message has read those before it of its author, and none of the same moment or of anybody else', async (t) => {
  const { log, deps, pair } = await startArchive(t)
  const [a, b] = pair()
  const [c, d] = pair()
  const timeSend = Math.floor(Date.now() / 1000)
  const unreadEntry = (from: number, to: number, said = {}) => {
    const entry = log.entry(from, to, { timeSend, ...said })
    entry.store.unreadBy = to
    return entry
  }
  const unread = (by: number, from: number) => deps.messages.collection.countDocuments({ unreadBy: by, from })
  const [first, ofOther] = [unreadEntry(a, b), unreadEntry(d, c)]
  const { messageId } = first.store
  const before = [b, c].map((to) => unreadEntry(a, to, { timeSend: timeSend - 1 }))
  // One id for two receivers.
  await log.archive([...before, first, unreadEntry(a, b), unreadEntry(a, c, { id: messageId }), ofOther])
  await log.archive([log.read(b, a, [messageId]), log.read(c, d, [ofOther.store.messageId])])
  t.strictSame([await unread(b, a), await unread(c, a), await unread(c, d)], [1, 2, 0])
})
