import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { connectMongo, type MongoConnection } from '@im/service-kit'
import { dropNamespace, testEnv } from '@im/service-kit/testing'
import fc from 'fast-check'
import { ObjectId } from 'mongodb'
import { type MessageDocument, Messages, singleConversation } from '../src/archive/messages-repository.ts'
import { findHighlights, foldText, foldWords } from '../src/search/fold-text.ts'
import { indexWaiting, sweepPostings } from '../src/search/index-messages.ts'
import { openSearchIndex, type SearchIndex } from '../src/search/search-index.ts'
import { searchMessages } from '../src/search/search-messages.ts'
import { probesFor } from '../src/search/tokens.ts'

const alice = 10000001
const peers = [10000002, 10000003, 10000004]
const defaults = { startTime: 0, endTime: 0, pageIndex: 0, pageSize: 100 }

function message(from: number, to: number, content: string, more: Partial<MessageDocument> = {}): MessageDocument {
  return {
    _id: new ObjectId(),
    conversation: singleConversation(from, to),
    messageId: randomBytes(16).toString('hex'),
    from,
    to,
    fromJid: `${from}@im.localhost/android`,
    toJid: `${to}@im.localhost`,
    body: JSON.stringify({ content }),
    stanza: '<message/>',
    contentType: 1,
    content,
    timeSend: 1_790_000_000,
    ts: 1_790_000_000_000,
    deleteTime: -1,
    isEncrypt: false,
    isRead: false,
    deletedFor: [],
    searchable: true,
    tap: 'test:1',
    ...more,
  }
}

describe('search', () => {
  let mongo: MongoConnection
  let env: Record<string, string>
  let deps: Parameters<typeof searchMessages>[0] & { searchIndex: SearchIndex }

  before(async () => {
    env = testEnv()
    mongo = await connectMongo({ url: env['MONGODB_URL']!, namespace: env['NAMESPACE']!, service: 'message' })
    const messages = new Messages(mongo.db, Date.now)
    const searchIndex = openSearchIndex(mongo.db)
    await messages.createIndexes()
    await searchIndex.createIndexes()
    deps = { messages, searchIndex, roomsOf: async () => [], now: Date.now }
  })
  after(async () => {
    await mongo.close()
    await dropNamespace(env)
  })

  /** As the archive does: the messages and what the index has yet to do, in one transaction. */
  async function store(rows: MessageDocument[]) {
    await mongo.client.withSession((session) =>
      session.withTransaction(async () => {
        await deps.messages.store(rows, session)
        await deps.searchIndex.backlog.add(rows, session)
      }),
    )
  }

  async function clear() {
    for (const name of ['messages', 'searchBacklog', 'searchPostings', 'searchChats'])
      await mongo.db.collection(name).deleteMany({})
  }

  test('finds exactly what a scan of all messages would find, at any lag of the index', async () => {
    const alphabet = [...'你好世界我们的明天ab ABé１Ａｂß😀👨‍👩‍👧ﬁ한글']
    const text = fc.array(fc.constantFrom(...alphabet), { minLength: 1, maxLength: 12 }).map((parts) => parts.join(''))
    const row = fc.record({
      content: text,
      peer: fc.constantFrom(...peers),
      mine: fc.boolean(),
      second: fc.integer({ min: 0, max: 5 }),
      fate: fc.constantFrom('kept', 'kept', 'kept', 'hidden', 'recalled', 'expired', 'encrypted', 'foreign'),
      type: fc.constantFrom(1, 1, 1, 94),
    })
    const query = fc.record({
      keyword: fc.oneof(text, fc.constantFrom(...alphabet)).filter((keyword) => keyword.trim() !== ''),
      receiver: fc.option(fc.constantFrom(...peers), { nil: undefined }),
      fromUserId: fc.option(fc.constantFrom(alice, ...peers), { nil: undefined }),
      contentType: fc.option(fc.constantFrom(1, 94), { nil: undefined }),
      pageSize: fc.integer({ min: 1, max: 7 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(row, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 5 }),
        fc.array(query, { minLength: 1, maxLength: 4 }),
        fc.nat(),
        async (batches, queries, indexed) => {
          await clear()
          const all: MessageDocument[] = []
          for (const [n, batch] of batches.entries()) {
            const rows = batch.map(({ content, peer, mine, second, fate, type }) => {
              const me = fate === 'foreign' ? 10000009 : alice
              return message(mine ? me : peer, mine ? peer : me, content, {
                contentType: type,
                timeSend: 1_790_000_000 + second,
                searchable: fate !== 'encrypted',
                isEncrypt: fate === 'encrypted',
                ...(fate === 'hidden' ? { deletedFor: [alice] } : {}),
                ...(fate === 'expired' ? { deleteTime: 1, expireAt: new Date(1000) } : {}),
              })
            })
            await store(rows)
            all.push(...rows)
            if (n < indexed % (batches.length + 1)) while (await indexWaiting(deps));
            // Recalled after it was indexed, or before.
            const recalled = rows.filter((_, at) => batch[at]!.fate === 'recalled')
            await mongo.client.withSession((session) =>
              session.withTransaction(() => deps.messages.empty(recalled, session)),
            )
            for (const one of recalled) one.searchable = false
          }
          for (const { pageSize, ...filters } of queries) {
            const words = foldWords(filters.keyword)
            const expected = all
              .filter(
                (one) =>
                  one.searchable &&
                  !one.expireAt &&
                  !one.deletedFor.includes(alice) &&
                  (one.from === alice || one.to === alice) &&
                  (filters.receiver === undefined ||
                    one.conversation === singleConversation(alice, filters.receiver)) &&
                  (filters.fromUserId === undefined || one.from === filters.fromUserId) &&
                  (filters.contentType === undefined || one.contentType === filters.contentType) &&
                  words.every((word) => foldText(one.content).includes(word)),
              )
              .sort(
                (a, b) =>
                  b.timeSend - a.timeSend || b.ts - a.ts || b._id.toHexString().localeCompare(a._id.toHexString()),
              )
              .map((one) => one.messageId)
            const found: string[] = []
            for (let pageIndex = 0; ; pageIndex++) {
              const page = await searchMessages(deps, alice, { ...defaults, ...filters, pageIndex, pageSize })
              assert.equal(page.total, expected.length)
              found.push(...page.pageData.map((one) => one.messageId))
              if (page.pageData.length < pageSize) break
            }
            assert.deepEqual(found, expected)
          }
        },
      ),
      { numRuns: 25 },
    )
  })

  test('a text of 60,000 characters is found by any of its parts, and costs one token', async () => {
    await clear()
    const long = Array.from({ length: 20_000 }, (_, n) => String.fromCodePoint(0x4e00 + ((n * 7919) % 20_000))).join('')
    await store([message(alice, peers[0]!, long)])
    while (await indexWaiting(deps));
    const stored = await deps.searchIndex.postings.collection.findOne({})
    assert.ok(stored && stored.tokens.length <= 600)
    for (const at of [0, 777, 19_990]) {
      const page = await searchMessages(deps, alice, { ...defaults, keyword: long.slice(at, at + 5) })
      assert.equal(page.total, 1)
      assert.deepEqual(page.pageData[0]?.highlights, [[at, at + 5]])
    }
    assert.equal((await searchMessages(deps, alice, { ...defaults, keyword: '龘龘龘' })).total, 0)
  })

  test('total is exact up to 1000 and 1000 beyond', async () => {
    await clear()
    const rows = Array.from({ length: 1100 }, (_, n) =>
      message(alice, peers[n % 3]!, '的', { timeSend: 1_790_000_000 + n }),
    )
    await store(rows.slice(0, 600))
    while (await indexWaiting(deps));
    await store(rows.slice(600))
    const page = await searchMessages(deps, alice, { ...defaults, keyword: '的', pageSize: 20 })
    assert.equal(page.total, 1000)
    assert.deepEqual(
      page.pageData.map((row) => row.messageId),
      rows
        .slice(-20)
        .reverse()
        .map((row) => row.messageId),
    )
  })

  test('what is recalled leaves the index at the next sweep', async () => {
    await clear()
    const rows = [message(alice, peers[0]!, '留下'), message(alice, peers[0]!, '拿走')]
    await store(rows)
    while (await indexWaiting(deps));
    await mongo.client.withSession((session) => session.withTransaction(() => deps.messages.empty([rows[1]!], session)))
    assert.equal(await sweepPostings(deps), 1)
    assert.equal(await deps.searchIndex.postings.collection.countDocuments(), 1)
  })

  test('the index answers, not a scan', async () => {
    const [probe] = probesFor(['世界'])
    const plan = JSON.stringify(
      await deps.searchIndex.postings.find({ tokens: [`abcdef${probe!.short}`], timeSend: {} }, 20).explain(),
    )
    assert.match(plan, /IXSCAN/)
    assert.doesNotMatch(plan, /COLLSCAN/)
  })

  test('highlights are positions in the original text', () => {
    assert.deepEqual(findHighlights('Ｈello 世界 HELLO', foldWords('hello')), [
      [0, 5],
      [9, 14],
    ])
    assert.deepEqual(findHighlights('a😀b😀', foldWords('😀')), [
      [1, 3],
      [4, 6],
    ])
    assert.deepEqual(findHighlights('oﬃce', foldWords('fi')), [[1, 2]])
  })
})
