import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { connectMongo, createMetrics, createOutbox, type Logger } from '@im/service-kit'
import { dropNamespace, testEnv } from '@im/service-kit/testing'
import fc from 'fast-check'
import { BSON, type CommandStartedEvent, ObjectId } from 'mongodb'
import { test } from 'tap'
import { deleteMessages } from '../src/archive/delete-messages.ts'
import { RemovalsRepository } from '../src/files/removals-repository.ts'
import { ChatsRepository } from '../src/inbox/chats-repository.ts'
import { RoomChatsRepository } from '../src/inbox/room-chats-repository.ts'
import { MailboxRepository } from '../src/mailbox/mailbox-repository.ts'
import { roomConversation, singleConversation } from '../src/messages/conversations.ts'
import type { MessageDocument } from '../src/messages/message-document.ts'
import { MessagesRepository } from '../src/messages/messages-repository.ts'
import { RoomFacts } from '../src/room-facts/room-facts.ts'
import { candidatePages } from '../src/search/candidate-pages.ts'
import { ofOwners } from '../src/search/filters-repository.ts'
import { findHighlights, foldText, foldWords } from '../src/search/fold-text.ts'
import { indexWaiting } from '../src/search/index-waiting.ts'
import { ownerOfUser, pathOf } from '../src/search/owners.ts'
import { unpackRows } from '../src/search/packed-rows.ts'
import { removeLost } from '../src/search/remove-rows.ts'
import { groupsOf } from '../src/search/row-groups.ts'
import { openSearchIndex, type SearchIndex } from '../src/search/search-index.ts'
import type { SearchLimits } from '../src/search/search-limits.ts'
import { searchMessages } from '../src/search/search-messages.ts'
import { createSearchQueue } from '../src/search/search-queue.ts'
import type { SearchScope } from '../src/search/search-scope.ts'
import { searchedTexts } from '../src/search/searched-texts.ts'
import { createIndexer } from '../src/search/start-indexer.ts'

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

/** So small that a few messages reach pages and the filters of all levels. */
const small: Partial<SearchLimits> = {
  stepMessages: 6,
  stepRemovals: 3,
  nodeDocuments: 3,
  nodeMessages: 8,
  sealMessages: 4,
  columnMessages: 2,
  columnTokens: 30,
  pageColumns: 2,
  mergedFilters: 2,
}

test('search', async (t) => {
  const env = testEnv()
  const [url, namespace] = [env['MONGODB_URL']!, env['NAMESPACE']!]
  const mongo = await connectMongo({ url, namespace, service: 'message', monitorCommands: true })
  t.after(async () => {
    await mongo.close()
    await dropNamespace(env)
  })
  const messages = new MessagesRepository(mongo.db)
  const searchIndex = openSearchIndex(mongo.db, small)
  await messages.createIndexes()
  await searchIndex.createIndexes()
  const outbox = await createOutbox({
    db: mongo.db,
    client: mongo.client,
    bus: { service: 'message', maxEventBytes: 1_000_000 },
    wake() {},
  })
  const deps: Parameters<typeof searchMessages>[0] & { searchIndex: SearchIndex } = {
    chats: new ChatsRepository(mongo.db),
    searchQueue: createSearchQueue(),
    messages,
    searchIndex,
    roomsOf: async () => [],
    roomFacts: new RoomFacts({
      service: { call: () => Promise.reject(new Error('it was asked')) },
      now: Date.now,
      isInTouch: () => true,
    }),
    now: Date.now,
  }

  /** As the archive does: the messages and what the index has yet to do, in one transaction. */
  async function store(rows: MessageDocument[]) {
    await outbox.commit(async (change) => {
      deps.messages.store(rows, change)
      deps.searchIndex.backlog.add(rows, change)
    })
  }

  /** As a recall does. */
  async function recall(rows: MessageDocument[]) {
    await deps.searchIndex.transaction(async (session) => {
      await deps.messages.empty(
        rows.map(({ _id }) => _id),
        Date.now(),
        session,
      )
      await deps.searchIndex.removals.addForAll(rows, session)
    })
  }

  /** As one side does that deletes them. */
  async function hide(rows: MessageDocument[], user: number) {
    await deps.searchIndex.transaction(async (session) => {
      await deps.messages.hide(
        rows.map(({ _id }) => _id),
        user,
        session,
      )
      await deps.searchIndex.removals.addForUser(rows, user, session)
    })
  }

  async function indexStep(index = deps.searchIndex) {
    const { taken } = await indexWaiting(index)
    const looked = await removeLost(index, Date.now() + 3_600_000)
    return taken + looked > 0
  }

  async function indexAll(index = deps.searchIndex) {
    while (await indexStep(index));
  }

  async function clear() {
    for (const name of ['messages', 'searchBacklog', 'searchRemovals', 'searchNodes', 'searchPages', 'searchFilters'])
      await mongo.db.collection(name).deleteMany({})
  }
  t.beforeEach(clear)

  const search = (
    keyword: string,
    filters: Partial<Parameters<typeof searchMessages>[2]> = {},
    who = deps,
    caller = alice,
  ) => searchMessages(who, caller, { ...defaults, keyword, ...filters })

  const found = async (...args: Parameters<typeof search>) =>
    (await search(...args)).pageData.map(({ messageId }) => messageId)

  /** Texts of all rows in the index of a user, wherever they are. */
  async function indexedTexts(user = alice): Promise<string[]> {
    const { backlog, nodes, pages } = deps.searchIndex
    const waiting = (await backlog.find().toArray()).flatMap(({ rows, failed }) => (failed ? [] : [...groupsOf(rows)]))
    const sinking = (await nodes.collection.find().toArray()).flatMap(({ rows }) => [...groupsOf(rows)])
    const packed = [
      ...waiting.filter(({ name }) => name.split(':').includes(String(user))),
      ...sinking.filter(({ name }) => name === `u:${user}`),
      ...(await pages.collection.find({ owner: `u:${user}` }).toArray()),
    ]
    return packed.flatMap(({ rows }) => [...unpackRows(rows)].flatMap(({ texts }) => texts)).sort()
  }

  const stages = async () => ({
    nodes: await deps.searchIndex.nodes.collection.distinct('node'),
    pages: await deps.searchIndex.pages.collection.countDocuments(),
    levels: [
      ...new Set((await deps.searchIndex.filters.find({}).toArray()).map(({ slice }) => Math.floor(slice / 1000))),
    ].sort(),
  })

  /** Texts that are all different, with something in common. */
  const numbered = (count: number, peer = peers[0]!) =>
    Array.from({ length: count }, (_, n) =>
      message(n % 2 ? alice : peer, n % 2 ? peer : alice, `第${n}号世界`, { timeSend: 1_790_000_000 + n }),
    )
  const newestFirst = (rows: MessageDocument[]) => rows.map(({ messageId }) => messageId).reverse()

  t.test('finds exactly what a scan of all messages would find, at any state of the index', async (t) => {
    const alphabet = [...'你好世界我们的明天ab ABé１Ａｂß😀👨‍👩‍👧ﬁ한글']
    const text = fc.array(fc.constantFrom(...alphabet), { minLength: 1, maxLength: 12 }).map((parts) => parts.join(''))
    const row = fc.record({
      content: text,
      peer: fc.constantFrom(...peers, peers[0]!, peers[0]!, peers[0]!),
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
      startTime: fc.constantFrom(0, 0, 1_790_000_001, 1_790_000_003),
      endTime: fc.constantFrom(0, 0, 1_790_000_002, 1_790_000_004),
      pageSize: fc.integer({ min: 3, max: 15 }),
    })
    // After each batch: how many steps of the indexer are made before and after its recalls.
    const step = fc.record({
      rows: fc.array(row, { minLength: 1, maxLength: 12 }),
      before: fc.nat(3),
      after: fc.nat(3),
    })
    const reached = new Set<number>()
    /** So many that filters of each level are searched. */
    const enough = Array.from({ length: 7 }, (_, at) => ({
      rows: Array.from({ length: 12 }, (_, n) => ({
        content: alphabet.slice(n, n + 1 + ((at + n) % 12)).join(''),
        ...{ peer: peers[0]!, mine: n % 2 === 0, second: n % 6, fate: 'kept' as const, type: 1 as const },
      })),
      ...{ before: 3, after: 3 },
    }))
    const everyone = {
      receiver: undefined,
      fromUserId: undefined,
      contentType: undefined,
      startTime: 0,
      endTime: 0,
    } as const
    await t.resolves(
      fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 1, maxLength: 9, size: 'max' }),
          fc.array(query, { minLength: 1, maxLength: 4 }),
          async (steps, queries) => {
            await clear()
            const all: MessageDocument[] = []
            for (const batch of steps) {
              const rows = batch.rows.map(({ content, peer, mine, second, fate, type }) => {
                const me = fate === 'foreign' ? 10000009 : alice
                return message(mine ? me : peer, mine ? peer : me, content, {
                  contentType: type,
                  timeSend: 1_790_000_000 + second,
                  searchable: fate !== 'encrypted',
                  isEncrypt: fate === 'encrypted',
                  ...(fate === 'expired' ? { deleteTime: 1, expireAt: new Date(1000) } : {}),
                })
              })
              await store(rows)
              all.push(...rows)
              for (let n = 0; n < batch.before; n++) await indexStep()
              const recalled = rows.filter((one, at) => batch.rows[at]!.fate === 'recalled' && one.searchable)
              await recall(recalled)
              for (const one of recalled) one.searchable = false
              const hidden = rows.filter((_, at) => batch.rows[at]!.fate === 'hidden')
              await hide(hidden, alice)
              for (const one of hidden) one.deletedFor = [alice]
              for (let n = 0; n < batch.after; n++) await indexStep()
            }
            for (const level of (await stages()).levels) reached.add(level)
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
                    (!filters.startTime || one.timeSend >= filters.startTime) &&
                    (!filters.endTime || one.timeSend < filters.endTime + 1) &&
                    words.every((word) => foldText(one.content).includes(word)),
                )
                .sort(
                  (a, b) =>
                    b.timeSend - a.timeSend || b.ts - a.ts || b._id.toHexString().localeCompare(a._id.toHexString()),
                )
                .map((one) => one.messageId)
              const shown: string[] = []
              for (let pageIndex = 0; ; pageIndex++) {
                const page = await searchMessages(deps, alice, { ...defaults, ...filters, pageIndex, pageSize })
                assert.equal(page.total, expected.length)
                shown.push(...page.pageData.map((one) => one.messageId))
                if (page.pageData.length < pageSize) break
              }
              assert.deepEqual(shown, expected)
            }
            // Sooner or later everything that may be found is in the index once, and nothing else.
            await indexAll()
            const isOfAlice = ({ from, to }: MessageDocument) => from === alice || to === alice
            const searchable = all.filter((one) => one.searchable && isOfAlice(one) && !one.deletedFor.length)
            assert.deepEqual(await indexedTexts(), searchable.flatMap(searchedTexts).sort())
          },
        ),
        { numRuns: 25, examples: [[enough, [{ keyword: '世界', ...everyone, pageSize: 10 }]]] },
      ),
    )
    t.strictSame([...reached].sort(), [0, 1, 2], 'the batches were enough for filters of each level')
  })

  t.test('a text of 20,000 different characters is found by any of its parts, between others', async (t) => {
    const long = Array.from({ length: 20_000 }, (_, n) => String.fromCodePoint(0x4e00 + ((n * 7919) % 20_000))).join('')
    const row = message(alice, peers[0]!, long, { timeSend: 1_790_000_003 })
    await store([...numbered(10), row])
    await indexAll()
    t.ok((await stages()).pages >= 3)
    for (const at of [0, 777, 19_990]) {
      const page = await search(long.slice(at, at + 5))
      t.equal(page.total, 1)
      t.strictSame(page.pageData[0]?.highlights, [[at, at + 5]])
    }
    t.equal((await search('龘龘龘')).total, 0)
    const longest = Math.max(
      ...(await deps.searchIndex.filters.find({}).toArray()).map(({ bytes }) => bytes.length),
      ...(await deps.searchIndex.pages.collection.find({}).toArray()).map(({ rows }) => rows.length),
    )
    t.ok(longest < 100_000)
  })

  t.test('a batch of the longest texts fits', async (t) => {
    // Of 64 KiB, and each character becomes 18 when it is folded.
    const content = '\ufdfa'.repeat(21_000)
    const rows = Array.from({ length: 20 }, () => message(alice, peers[0]!, content))
    await store(rows)
    await indexAll()
    t.equal((await search('صلى')).total, 20)
  })

  t.test('total is exact up to 1000 and 1000 beyond', async (t) => {
    // The sizes of production: pages are read in several rounds, and not all of them.
    const searchIndex = openSearchIndex(mongo.db, { columnMessages: 2, pageColumns: 2, mergedFilters: 3 })
    const rows = Array.from({ length: 2200 }, (_, n) =>
      message(alice, peers[n % 3]!, '的', { timeSend: 1_790_000_000 + n }),
    )
    await store(rows.slice(0, 1100))
    await indexAll(searchIndex)
    await store(rows.slice(1100, 2000))
    await indexAll(searchIndex)
    await store(rows.slice(2000))
    t.ok((await stages()).pages > 400)
    const page = await search('的', { pageSize: 20 })
    t.equal(page.total, 1000)
    t.strictSame(
      page.pageData.map((row) => row.messageId),
      newestFirst(rows.slice(-20)),
    )
    const last = await search('的', { pageSize: 100, pageIndex: 9 })
    t.strictSame(
      last.pageData.map((row) => row.messageId),
      newestFirst(rows.slice(-1000, -900)),
    )
    t.equal((await search('的', { endTime: 1_790_000_998 })).total, 999)
    t.equal((await search('的', { startTime: 1_790_000_998, endTime: 1_790_000_999 })).total, 2)
  })

  t.test('what others say to each other is found by nobody else, though it stands in the same nodes', async (t) => {
    const sharesNode = (user: number) => pathOf(ownerOfUser(user))[0] === pathOf(ownerOfUser(alice))[0]
    const ids = Array.from({ length: 200 }, (_, n) => alice + 100 + n)
    const [bob = 0, carol = 0] = ids.filter(sharesNode)
    await store([message(bob, carol, '别人的秘密'), message(alice, peers[0]!, '自己的秘密')])
    for (const state of ['waiting', 'indexed']) {
      if (state === 'indexed') await indexAll()
      const { pageData, total } = await search('秘密')
      t.strictSame([pageData.map(({ content }) => content), total], [['自己的秘密'], 1], state)
    }
    t.strictSame(await indexedTexts(bob), ['别人的秘密'])
  })

  t.test('a file is found by its name', async (t) => {
    const file = message(alice, peers[0]!, 'https://files/1.pdf', { contentType: 9, fileName: '年度Report.pdf' })
    await store([file, message(alice, peers[0]!, '年度', { contentType: 1, fileName: 'report' })])
    for (const state of ['waiting', 'indexed', 'sealed']) {
      if (state === 'sealed') await store(numbered(10))
      if (state !== 'waiting') await indexAll()
      t.strictSame(await found('年度report'), [file.messageId], state)
      t.strictSame(await found('report FILES'), [file.messageId], state)
    }
    // A word does not reach from one text into the other.
    t.equal((await search('pdf年度')).total, 0)
  })

  t.test('of a room the caller sees what came after he joined, of a room he is not in nothing', async (t) => {
    const [jid, other] = ['a'.repeat(32), 'b'.repeat(32)]
    const inRoom = (room: string, n: number) =>
      message(peers[0]!, alice, `房间${n}`, {
        conversation: roomConversation(room),
        to: undefined,
        roomJid: room,
        timeSend: 1_790_000_000 + n,
        ts: (1_790_000_000 + n) * 1000,
      })
    const rows = Array.from({ length: 30 }, (_, n) => inRoom(jid, n))
    const direct = message(peers[0]!, alice, '房间', { timeSend: 1_790_000_100 })
    // Claims to be older than he is a member, and came later: pages of nothing else.
    const late = Array.from({ length: 8 }, (_, n) => ({
      ...inRoom(jid, n - 5000),
      ...{ messageId: `late ${n}`, content: '迟到', ts: (1_790_000_020 + n) * 1000 },
    }))
    await store([...rows, inRoom(other, 40), direct])
    await store(late)
    const roomsOf = async () => [{ roomId: 'c'.repeat(24), jid, joinedAt: 1_790_000_011 }]
    const member = { ...deps, roomsOf }
    for (const state of ['waiting', 'indexed']) {
      if (state === 'indexed') await indexAll()
      t.strictSame(await found('房间', {}, member), newestFirst([...rows.slice(11), direct]), state)
      t.strictSame(await found('房间', { roomId: jid }, member), newestFirst(rows.slice(11)), state)
      t.strictSame(await found('房间2', { roomId: 'c'.repeat(24) }, member), newestFirst(rows.slice(20)), state)
      t.strictSame(await found('迟到', {}, member), newestFirst(late), state)
      t.strictSame(await found('房间', { receiver: peers[0]! }, member), [direct.messageId], state)
      t.strictSame(await found('房间', { roomId: other }, member), [], state)
      t.strictSame(await found('房间'), [direct.messageId], state)
    }
    t.ok((await stages()).pages > 0)
  })

  t.test('an indexer that dies at any write loses nothing and doubles nothing', async (t) => {
    const rows = numbered(40)
    let died = 0
    for (let life = 1; life < 100; life++) {
      await clear()
      await store(rows.slice(0, 13))
      await store(rows.slice(13, 26))
      await indexAll()
      await store(rows.slice(26, 33))
      await store(rows.slice(33))
      await recall([rows[5]!])
      const left = rows.filter((_, n) => n !== 5)
      const died0 = died
      try {
        await indexAll(dyingAt(deps.searchIndex, life))
      } catch (error) {
        t.match(String(error), /died/)
        died++
      }
      t.strictSame(await found('世界'), newestFirst(left), `before write ${life}`)
      await indexAll()
      t.strictSame(await found('世界'), newestFirst(left), `after write ${life}`)
      t.strictSame(await indexedTexts(), left.flatMap(searchedTexts).sort())
      if (died === died0) break
    }
    t.ok(died > 10 && died < 98)
  })

  t.test('two indexers at a time lose nothing and double nothing', async (t) => {
    const rows = numbered(60)
    for (let n = 0; n < rows.length; n += 10) await store(rows.slice(n, n + 10))
    await Promise.all([indexAll(), indexAll()])
    t.strictSame(await indexedTexts(), rows.flatMap(searchedTexts).sort())
    t.strictSame(await found('世界'), newestFirst(rows))
  })

  t.test('a search while messages are moved misses none', async (t) => {
    const rows = numbered(100)
    let moving = true
    const move = async () => {
      for (let n = 0; n < rows.length; n += 5) {
        await store(rows.slice(n, n + 5))
        await indexAll()
      }
      moving = false
    }
    let searches = 0
    const missed = new Set<string>()
    const look = async () => {
      while (moving) {
        const stored = await deps.messages.collection.countDocuments()
        const ids = new Set(await found('世界'))
        for (const { messageId } of rows.slice(0, stored)) if (!ids.has(messageId)) missed.add(messageId)
        searches++
      }
    }
    await Promise.all([move(), look()])
    t.strictSame([...missed], [])
    t.ok(searches > 5)
    t.strictSame((await stages()).levels.at(-1), 2)
  })

  t.test('what both sides have lost leaves the index, whatever it has become', async (t) => {
    const rows = numbered(20)
    const operation = {
      ...deps,
      outbox,
      serverConfig: { current: undefined },
      mailbox: new MailboxRepository(mongo.db, Date.now),
      roomChats: new RoomChatsRepository(mongo.db),
      roomsOf: async () => [],
      fileRemovals: new RemovalsRepository(mongo.db),
    }
    const remove = (caller: number, n: number, how: number) =>
      deleteMessages(operation, caller, { messageId: [rows[n]!.messageId], type: 1, delete: how })
    await store(rows)
    await indexAll()
    t.ok((await stages()).pages > 0)
    await store([message(alice, peers[0]!, '第0号世界', { timeSend: 1 })])
    await indexAll()
    await remove(alice, 3, 2)
    await remove(alice, 19, 2)
    await remove(alice, 6, 1)
    await remove(peers[0]!, 6, 1)
    // One side only: the other still finds it.
    await remove(alice, 8, 1)
    const kept = (n: number) => n !== 3 && n !== 19 && n !== 6
    const left = rows.filter((_, n) => kept(n))
    const seen = rows.filter((_, n) => kept(n) && n !== 8)
    t.strictSame((await found('世界')).slice(0, -1), newestFirst(seen), 'hidden at once')
    await indexAll()
    t.strictSame(await indexedTexts(), [...seen, rows[0]!].flatMap(searchedTexts).sort())
    t.strictSame(await indexedTexts(peers[0]), [...left, rows[0]!].flatMap(searchedTexts).sort())
    t.strictSame((await found('世界')).slice(0, -1), newestFirst(seen))
    t.strictSame((await found('世界', {}, deps, peers[0]!)).slice(0, -1), newestFirst(left))
  })

  t.test('recalled before it was indexed, a text never gets in', async (t) => {
    const rows = numbered(3)
    await store(rows)
    await recall([rows[1]!])
    await indexAll()
    t.strictSame(await indexedTexts(), [rows[0]!, rows[2]!].flatMap(searchedTexts).sort())
  })

  t.test('thousands of recalls between other messages stop nothing, and searches see them at once', async (t) => {
    const index = openSearchIndex(mongo.db)
    const [peer] = peers as [number]
    for (let batch = 0; batch < 12; batch++) {
      const rows = Array.from({ length: 250 }, (_, n) =>
        message(alice, peer, `第${n}号世界`, { timeSend: 1_790_000_000 + n }),
      )
      await store(rows)
      await recall(rows.slice(0, 200))
    }
    const last = message(alice, peer, '最后一号世界')
    await store([last])
    t.equal((await search('世界')).total, 601)
    for (let steps = 0; ; steps++) {
      const { taken, drained } = await indexWaiting(index)
      const looked = await removeLost(index, Date.now())
      if (drained && !looked) break
      t.ok(taken + looked > 0, 'each step gets on')
      if (steps > 100) throw new Error('it does not come to an end')
    }
    t.equal(await index.backlog.collection.countDocuments(), 0)
    t.equal(await index.removals.collection.countDocuments(), 0)
    t.equal((await search('世界')).total, 601)
    t.equal((await indexedTexts()).length, 601)
    t.equal((await indexedTexts(peer)).length, 601)
  })

  t.test('removals of what still waits hold up no others', async (t) => {
    const index = openSearchIndex(mongo.db, { stepRemovals: 3 })
    const indexed = numbered(4)
    await store(indexed)
    await indexWaiting(index)
    const waiting = numbered(8, peers[1]).map((row) => ({ ...row, _id: new ObjectId() }))
    await store(waiting)
    await recall(waiting)
    await recall(indexed)
    for (let step = 0; step < 12; step++) await removeLost(index, Date.now())
    t.strictSame((await indexedTexts(peers[0])).length, 0, 'those behind them are taken out')
    t.equal((await search('世界')).total, 0)
    while ((await indexWaiting(index)).taken);
    t.equal((await indexedTexts()).length, 0)
  })

  t.test('a filter half of whose messages are gone is made anew, while searches go on', async (t) => {
    const rows = numbered(96)
    for (let n = 0; n < rows.length; n += 6) await store(rows.slice(n, n + 6))
    await indexAll()
    const bytes = async () =>
      (await deps.searchIndex.filters.find({ owner: `u:${alice}` }).toArray()).reduce(
        (sum, one) => sum + one.bytes.length,
        0,
      )
    const before = await bytes()
    const kept = rows.filter((_, n) => n % 8 === 0)
    const gone = rows.filter((_, n) => n % 8 !== 0)
    let removing = true
    const remove = async () => {
      for (let n = 0; n < gone.length; n += 15) {
        await recall(gone.slice(n, n + 15))
        await indexAll()
      }
      removing = false
    }
    const missed = new Set<string>()
    let searches = 0
    const look = async () => {
      for (; removing; searches++) {
        const ids = new Set(await found('世界'))
        for (const { messageId } of kept) if (!ids.has(messageId)) missed.add(messageId)
      }
    }
    await Promise.all([remove(), look()])
    t.strictSame([...missed], [])
    t.ok(searches > 3)
    t.strictSame(await found('世界'), newestFirst(kept))
    t.ok((await bytes()) < before / 2, `${await bytes()} of ${before}`)
  })

  t.test('what a search reads does not grow with the number of chats', async (t) => {
    const index = openSearchIndex(mongo.db)
    const me = 10_000_500
    const read = async (chats: number) => {
      await clear()
      for (let n = 0; n < 1500; n += 250)
        await store(
          Array.from({ length: 250 }, (_, at) => message(11_000_000 + ((n + at) % chats), me, `第${n + at}号`)),
        )
      while ((await indexWaiting(index)).taken);
      const nodes = await index.nodes.find(pathOf(ownerOfUser(me))).toArray()
      t.equal((await search('号', {}, deps, me)).total, 1000)
      return nodes.length + (await index.pages.collection.countDocuments({ owner: ownerOfUser(me) }))
    }
    const [few, many] = [await read(3), await read(1500)]
    t.ok(many <= few + 10, `${few} documents with 3 chats, ${many} with 1500`)
  })

  t.test('the transactions of the indexer are bounded, however long the texts are', async (t) => {
    const limits = {
      stepBytes: 300_000,
      nodeBytes: 100_000,
      sealBytes: 100_000,
      mergedBytes: 200_000,
      mergedFilters: 2,
    }
    const index = openSearchIndex(mongo.db, { ...limits, columnMessages: 1 })
    let largest = 0
    const weighed = openSearchIndex(mongo.db, { ...limits, columnMessages: 1 })
    const sizes = new WeakMap<object, number>()
    for (const repository of [weighed.nodes, weighed.pages, weighed.filters])
      for (const name of ['insertMany', 'replaceOne'] as const) {
        const original = repository.collection[name].bind(repository.collection) as (
          ...args: unknown[]
        ) => Promise<unknown>
        Object.assign(repository.collection, {
          [name]: (...args: { session?: object }[]) => {
            const session = args.at(-1)!.session!
            const size = (sizes.get(session) ?? 0) + BSON.calculateObjectSize(args.slice(0, -1))
            sizes.set(session, size)
            largest = Math.max(largest, size)
            return original(...args)
          },
        })
      }
    const text = (n: number) =>
      Array.from({ length: 3000 }, (_, at) => String.fromCodePoint(0x4e00 + ((n * 37 + at * 11) % 20_000))).join('')
    for (let n = 0; n < 200; n += 20)
      await store(
        Array.from({ length: 20 }, (_, at) =>
          message(alice, peers[0]!, text(n + at), { timeSend: 1_790_000_000 + n + at }),
        ),
      )
    while ((await indexWaiting(weighed)).taken);
    const part = text(150).slice(500, 520)
    const holding = Array.from({ length: 200 }, (_, n) => text(n)).filter((one) => one.includes(part))
    t.equal((await search(part)).total, holding.length)
    t.ok(largest < 2_000_000, `${largest} bytes in one transaction`)
    t.ok((await index.filters.collection.countDocuments()) > 0)
  })

  t.test('a batch the index cannot take is set aside: it is searched, and the others go on', async (t) => {
    const errors: unknown[] = []
    const log = { warn() {}, error: (...args: unknown[]) => errors.push(args) } as unknown as Logger
    const metrics = createMetrics('test')
    const searchIndex = deps.searchIndex
    const indexer = createIndexer({ searchIndex, metrics, log, now: Date.now })
    await store(numbered(3))
    const [bad] = await searchIndex.backlog.find().toArray()
    // Its rows end in the middle of one: reading them fails, whoever does it.
    const rows = bad!.rows
    await searchIndex.backlog.collection.updateOne(
      { _id: bad!._id },
      { $set: { rows: Buffer.concat([rows, Buffer.of(1)]) } },
    )
    await store(numbered(3, peers[1]!))
    for (let step = 0; step < 40; step++) await indexer.step()
    t.strictSame(await indexedTexts(peers[1]), numbered(3, peers[1]!).flatMap(searchedTexts).sort())
    const waiting = await searchIndex.backlog.find().toArray()
    t.strictSame(
      waiting.map(({ failed }) => failed),
      [true],
    )
    t.ok(errors.length)
    t.match(await metrics.metrics(), /im_search_stuck_steps_total\{[^}]*\} [1-9]/)
  })

  t.test('many searches at once take turns; beyond a bound they are refused', async (t) => {
    const queue = createSearchQueue()
    let [running, most] = [0, 0]
    const search = async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 20))
      running--
    }
    const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => queue.run(search)))
    t.equal(most, 4)
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    t.equal(refused.length, 32)
    t.equal(refused[0]?.reason.errorName, 'ServiceUnavailable')
  })

  t.test('every query has an index', async (t) => {
    const { backlog, removals, nodes, pages, filters } = deps.searchIndex
    await store(numbered(20))
    await indexAll()
    await store(numbered(1))
    const slices = { slice: { $in: [999, 3] } }
    const owner = `u:${alice}`
    const queries = {
      backlog: backlog.find(),
      'nodes of a path': nodes.find(['a', 'ab', 'abc']),
      pages: pages.collection.find({ _id: { $in: [new ObjectId(), new ObjectId()] } }),
      'pages around': pages.around(owner, 5),
      'slices of an owner': filters.find({ owner, ...slices }),
      'slices of some owners': filters.find(ofOwners([owner, 'u:1'], slices.slice.$in)),
      'slices of a filter': filters.find({ filter: new ObjectId() }),
      'removals of owners': removals.collection.find({ owner: { $in: [owner] } }),
      'removals from an id': removals.collection.find({ _id: { $gte: 'a' } }).sort({ _id: 1 }),
      'removals that are due': removals.collection.find({ dueAt: { $lte: new Date() } }).sort({ dueAt: 1 }),
    }
    for (const [name, query] of Object.entries(queries)) {
      const plan = JSON.stringify(await query.explain())
      t.match(plan, /IXSCAN|IDHACK|CLUSTERED_IXSCAN/, `${name}: ${plan}`)
      t.notMatch(plan, /COLLSCAN/, name)
    }
  })

  t.test('a search of many rooms asks for their filters together', async (t) => {
    const { searchIndex } = deps
    let asked = 0
    const count = ({ command }: CommandStartedEvent) => {
      if (command['find'] === 'searchFilters') asked++
    }
    mongo.client.on('commandStarted', count)
    t.after(() => mongo.client.off('commandStarted', count))
    const owners = Array.from({ length: 45 }, (_, n) => ownerOfUser(n))
    const scope = { owners, overlaps: () => true } as unknown as SearchScope
    await searchIndex.transaction((session) => candidatePages(searchIndex, scope, ['世界'], session))
    t.equal(asked, 3)
  })

  t.test('highlights are positions in the original text', async (t) => {
    t.strictSame(findHighlights('Ｈello 世界 HELLO', foldWords('hello')), [
      [0, 5],
      [9, 14],
    ])
    t.strictSame(findHighlights('a😀b😀', foldWords('😀')), [
      [1, 3],
      [4, 6],
    ])
    t.strictSame(findHighlights('oﬃce', foldWords('fi')), [[1, 2]])
  })
})

/** The index in the hands of a process that dies at its n-th write. */
function dyingAt(index: SearchIndex, n: number): SearchIndex {
  let writes = 0
  const mortal = <T extends object>(repository: T): T =>
    new Proxy(repository, {
      get(target, name) {
        const value = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (
            ['add', 'replace', 'remove', 'replaceDirectory', 'removeFilter', 'postpone'].includes(String(name)) &&
            ++writes === n
          )
            throw new Error('died')
          return value.apply(target, args)
        }
      },
    })
  return {
    ...index,
    backlog: mortal(index.backlog),
    removals: mortal(index.removals),
    nodes: mortal(index.nodes),
    pages: mortal(index.pages),
    filters: mortal(index.filters),
  }
}
