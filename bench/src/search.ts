import { parseArgs } from 'node:util'
import { connectMongo } from '@im/service-kit'
import { ObjectId } from 'mongodb'
import {
  type MessageDocument,
  Messages,
  singleConversation,
} from '../../services/message/src/archive/messages-repository.ts'
import { foldText, foldWords } from '../../services/message/src/search/fold-text.ts'
import { indexWaiting } from '../../services/message/src/search/index-messages.ts'
import { openSearchIndex } from '../../services/message/src/search/search-index.ts'
import { searchMessages } from '../../services/message/src/search/search-messages.ts'

/**
 * Loads an archive, indexes it, and judges searches of its users: each answer against a scan of all messages in memory, its
 * time against a regex scan by the same server in the same run. MONGODB_URL names the server; the database is dropped.
 */
const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '100000' },
    users: { type: 'string', default: '1000' },
    searches: { type: 'string', default: '300' },
  },
})
const [count, users, searches] = [Number(values.messages), Number(values.users), Number(values.searches)]
const mongo = await connectMongo({
  url: process.env['MONGODB_URL'] ?? 'mongodb://127.0.0.1:27017/?directConnection=true',
  namespace: `bench${process.pid}`,
  service: 'search',
})

// The same texts in each run.
let seed = 42
function random(below: number): number {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((seed / 2 ** 32) * below)
}
/** Few characters are frequent, most are rare, as in Chinese. */
const character = () => String.fromCodePoint(0x4e00 + Math.floor(3500 * (random(1e6) / 1e6) ** 3))
const text = () => Array.from({ length: 4 + random(24) }, character).join('')
const first = 10_000_001
const start = 1_780_000_000

function message(n: number): MessageDocument {
  // Half the traffic belongs to a tenth of the users; everybody has about 40 peers.
  const from = random(2) ? random(users) : random(Math.ceil(users / 10))
  const to = (from + 1 + random(20)) % users
  const content = text()
  return {
    _id: new ObjectId(),
    conversation: singleConversation(first + from, first + to),
    messageId: n.toString(16).padStart(32, '0'),
    from: first + from,
    to: first + to,
    fromJid: `${first + from}@im.localhost/android`,
    toJid: `${first + to}@im.localhost`,
    body: JSON.stringify({ type: 1, content, fromUserId: String(first + from), toUserId: String(first + to) }),
    stanza: "<message type='chat'><body/></message>",
    contentType: 1,
    content,
    timeSend: start + n,
    ts: (start + n) * 1000,
    deleteTime: -1,
    isEncrypt: false,
    isRead: false,
    deletedFor: [],
    searchable: true,
    tap: `bench:${n}`,
  }
}

const percentile = (times: number[], part: number) =>
  [...times].sort((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * part))] ?? Number.NaN
const ms = (time: number) => `${time.toFixed(1)} ms`

try {
  const messages = new Messages(mongo.db, Date.now)
  const searchIndex = openSearchIndex(mongo.db)
  await messages.createIndexes()
  await searchIndex.createIndexes()
  const all: Pick<MessageDocument, 'messageId' | 'from' | 'to' | 'content'>[] = []
  let indexing = 0
  for (let n = 0; n < count; ) {
    const batch = Array.from({ length: Math.min(500, count - n) }, () => message(n++))
    await mongo.client.withSession((session) =>
      session.withTransaction(async () => {
        await messages.store(batch, session)
        await searchIndex.backlog.add(batch, session)
      }),
    )
    for (const { messageId, from, to, content } of batch) all.push({ messageId, from, to, content: foldText(content) })
    if (n % 2000 === 0 || n >= count) {
      const before = performance.now()
      while (await indexWaiting({ messages, searchIndex }));
      indexing += performance.now() - before
    }
  }
  console.log(`indexed ${count} messages, ${Math.round(count / (indexing / 1000))} messages/s`)

  const times: Record<string, number[]> = {}
  let [expectedRows, foundRows, wrong] = [0, 0, 0]
  const deps = { messages, searchIndex, roomsOf: async () => [], now: Date.now }
  for (let n = 0; n < searches; n++) {
    // Mostly words of two to four characters that occur in a message of the caller; one in ten is a single character.
    const sample = all[random(all.length)]!
    const length = n % 10 === 0 ? 1 : 2 + random(3)
    const at = random(Math.max(1, sample.content.length - length + 1))
    const keyword = sample.content.slice(at, at + length)
    const caller = random(2) ? sample.from : sample.to!
    const before = performance.now()
    const page = await searchMessages(deps, caller, { keyword, startTime: 0, endTime: 0, pageIndex: 0, pageSize: 100 })
    const kind = length === 1 ? 'one character' : 'words'
    times[kind] ??= []
    times[kind].push(performance.now() - before)
    const words = foldWords(keyword)
    const expected = all.filter(
      ({ from, to, content }) => (from === caller || to === caller) && words.every((word) => content.includes(word)),
    )
    const shown = expected.slice(-100).reverse()
    expectedRows += shown.length
    const ids = new Set(page.pageData.map(({ messageId }) => messageId))
    foundRows += shown.filter(({ messageId }) => ids.has(messageId)).length
    if (
      page.total !== Math.min(expected.length, 1000) ||
      shown.some(({ messageId }, row) => page.pageData[row]?.messageId !== messageId)
    )
      wrong++
  }
  const scans: number[] = []
  for (let n = 0; n < 5; n++) {
    const before = performance.now()
    await messages.collection
      .find({ content: new RegExp(character() + character()) })
      .project({ _id: 1 })
      .toArray()
    scans.push(performance.now() - before)
  }
  const everything = Object.values(times).flat()
  for (const [kind, some] of Object.entries({ ...times, all: everything }))
    console.log(`${kind}: ${some.length} searches, p50 ${ms(percentile(some, 0.5))}, p95 ${ms(percentile(some, 0.95))}`)
  const ratio = percentile(scans, 0.5) / percentile(everything, 0.5)
  console.log(`regex scan p50 ${ms(percentile(scans, 0.5))}: ${ratio.toFixed(0)} times the search`)
  console.log(`recall ${((100 * foundRows) / expectedRows).toFixed(2)} %, ${wrong} answers differ from the scan`)
  if (wrong) process.exitCode = 1
} finally {
  await mongo.db.dropDatabase()
  await mongo.close()
}
