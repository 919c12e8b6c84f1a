/** History pages and searches of one room with few and with many messages, in one run; see ../README.md. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { archive, search } from '@im/contracts/message'
import { rooms } from '@im/contracts/room'
import { accounts } from '@im/contracts/user'
import { startStack } from '@im/dev'
import { connectMongo } from '@im/service-kit'
import { createTestClient, eventually, type TestClient } from '@im/service-kit/testing'
import type { RoomChat } from '../../services/message/src/inbox/room-chats-repository.ts'
import type { MessageDocument } from '../../services/message/src/messages/message-document.ts'
import { waitingOf } from '../../services/message/src/search/backlog-repository.ts'
import { openSearchIndex } from '../../services/message/src/search/search-index.ts'
import { machine } from './machine.ts'
import { latencyOf } from './percentiles.ts'
import { messageMaker } from './search/made-messages.ts'
import { storedMessage } from './stored-message.ts'

const usage = `npm run bench:room-archive -- [options]

  --few N        messages of the room at the first measurement   (10000)
  --many N       messages of the room at the second              (1000000)
  --searched N   the newest of them that the search index holds  (1000000)
  --pages N      pages and searches at each of them              (300)
  --json FILE    also write everything as JSON

Asks the message service over HTTP, as a member of the room. Exit code 1 when an answer was wrong or a target was missed.`

const { values } = parseArgs({
  options: {
    few: { type: 'string', default: '10000' },
    many: { type: 'string', default: '1000000' },
    searched: { type: 'string', default: '1000000' },
    pages: { type: 'string', default: '300' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const [few, many, searched, pages] = [values.few, values.many, values.searched, values.pages].map(Number) as [
  number,
  number,
  number,
  number,
]
const targets = { historyP99: 15, ratio: 1.2, searchP95: 50 }
const pageSize = 20
/** Seconds between two messages. */
const step = 2
const timeOf = (n: number) => 1_750_000_000 + step * n
/** Messages of one load, and of one batch of the search index. */
const [loadSize, batchSize] = [5000, 250]

interface Place {
  api: TestClient
  as: number
  jid: string
  texts: string[]
}

/** How long (ms) pages took that begin anywhere, and how many held other rows than they should. */
async function measureHistory({ api, as, jid, texts }: Place, random: (below: number) => number) {
  const took: number[] = []
  let wrong = 0
  for (let page = 0; page < pages; page++) {
    const newest = page % 2 ? texts.length - 1 : pageSize + random(texts.length - pageSize)
    const endTime = page % 2 ? 0 : timeOf(newest)
    const begin = performance.now()
    const rows = await api.call(archive.listRoomHistory, { roomId: jid, endTime, pageSize, maxType: 100 }, { as })
    took.push(performance.now() - begin)
    // The row of `endTime` comes on top.
    const expected = Array.from({ length: pageSize + (endTime ? 1 : 0) }, (_, n) => timeOf(newest - n))
    if (rows.map(({ timeSend }) => timeSend).join() !== expected.join()) wrong++
  }
  return { ...latencyOf(took), wrong }
}

async function measureSearch({ api, as, jid, texts }: Place, random: (below: number) => number) {
  const took: number[] = []
  let wrong = 0
  for (let n = 0; n < pages; n++) {
    const sample = texts[texts.length - 1 - random(Math.min(searched, texts.length))]!
    const length = 2 + random(3)
    const keyword = sample.slice(random(sample.length - length + 1)).slice(0, length)
    const begin = performance.now()
    const page = await api.call(search.searchMessages, { keyword, roomId: jid, pageSize: 100 }, { as })
    took.push(performance.now() - begin)
    const found: number[] = []
    for (let at = texts.length - 1; at >= Math.max(0, texts.length - searched); at--)
      if (texts[at]!.includes(keyword)) found.push(timeOf(at))
    const rows = page.pageData.map(({ timeSend }) => timeSend)
    if (page.total !== Math.min(found.length, 1000) || rows.join() !== found.slice(0, 100).join()) wrong++
  }
  return { ...latencyOf(took), wrong }
}

async function main(): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), 'im-bench-room-archive-'))
  const stack = await startStack({
    dataDir,
    ports: 'free',
    env: { ...process.env, NODE_ENV: 'development', LOG_LEVEL: 'error', LIMIT_FACTOR: '0' },
    services: ['user', 'room', 'message'],
    servers: ['mongodb', 'redis', 'nats'],
    apart: 'all',
    supervise: false,
    report: { info: (line) => console.error(line), progress() {} },
  })
  const namespace = stack.env['NAMESPACE'] || 'im'
  const mongo = await connectMongo({ url: stack.env['MONGODB_URL']!, namespace, service: 'message' })
  const callerKey = stack.env['CALLER_KEY']!
  const clients = { user: stack.urls.user, room: stack.urls.room, message: stack.urls.message }
  const [user, room, api] = Object.values(clients).map((baseUrl) =>
    createTestClient({ baseUrl, callerKey, timeout: 20_000 }),
  ) as [TestClient, TestClient, TestClient]
  try {
    const account = { telephone: '13900000001', password: '5f4dcc3b5aa765d61d8327deb882cf99', nickname: '用户' }
    const { userId: as } = await user.call(accounts.register, account)
    const { id: roomId, jid } = await room.call(rooms.addRoom, {}, { as })
    // A member since before the first message.
    const members = mongo.client.db(`${namespace}_room`).collection('members')
    await members.updateOne({ roomId }, { $set: { joinedAt: 0, createTime: 0 } })
    const messages = mongo.db.collection<MessageDocument>('messages')
    const roomChats = mongo.db.collection<RoomChat>('room_chats')
    const searchIndex = openSearchIndex(mongo.db)
    const { random, character } = messageMaker(1)
    const texts: string[] = []
    let newest: MessageDocument | undefined
    const load = async (count: number) => {
      while (texts.length < count) {
        const some = Array.from({ length: Math.min(loadSize, count - texts.length) }, () => {
          const n = texts.push(Array.from({ length: 4 + random(24) }, character).join('')) - 1
          const { to: _to, ...message } = storedMessage(n, { from: as, to: 1, content: texts[n]!, timeSend: timeOf(n) })
          return { ...message, conversation: `r:${jid}`, roomJid: jid }
        })
        await messages.insertMany(some, { ordered: false })
        newest = some.at(-1)
        const indexed = some.slice(Math.max(0, many - searched - (texts.length - some.length)))
        for (let at = 0; at < indexed.length; at += batchSize)
          await searchIndex.backlog.collection.insertMany(waitingOf(indexed.slice(at, at + batchSize)))
      }
      const { _id, timeSend, ts } = newest!
      await roomChats.updateOne({ _id: `r:${jid}` }, { $set: { shown: _id, timeSend, ts } }, { upsert: true })
      await eventually(async () => (await searchIndex.backlog.collection.countDocuments()) === 0, 600_000)
    }
    const place = { api, as, jid, texts }
    const results: { count: number; history: Awaited<ReturnType<typeof measureHistory>> }[] = []
    for (const count of [few, many]) {
      await load(count)
      await measureHistory(place, random) // warm
      const history = await measureHistory(place, random)
      results.push({ count, history })
      console.log(`${count} messages: a page of history p50 ${history.p50} ms, p95 ${history.p95}, p99 ${history.p99}`)
    }
    await measureSearch(place, random) // warm
    const found = await measureSearch(place, random)
    console.log(`search among ${Math.min(searched, many)}: p50 ${found.p50} ms, p95 ${found.p95}, p99 ${found.p99}`)
    const [less, more] = [results[0]!.history, results[1]!.history]
    const wrong = less.wrong + more.wrong + found.wrong
    const checks: [text: string, met: boolean][] = [
      [`p99 of a page with ${many} messages at most ${targets.historyP99} ms`, more.p99 <= targets.historyP99],
      [
        `median at most ${targets.ratio} times that with ${few}: ${(more.p50 / less.p50).toFixed(2)}`,
        more.p50 / less.p50 <= targets.ratio,
      ],
      [`p95 of a search at most ${targets.searchP95} ms`, found.p95 <= targets.searchP95],
      [`wrong answers: ${wrong}`, wrong === 0],
    ]
    for (const [text, met] of checks) console.log(`${met ? 'met   ' : 'MISSED'} ${text}`)
    if (values.json) {
      const report = {
        at: new Date().toISOString(),
        machine: machine(),
        servers: stack.servers.choices,
        results,
        found,
      }
      await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
    }
    return checks.every(([, met]) => met) ? 0 : 1
  } finally {
    await Promise.all([user, room, api].map((client) => client.close()))
    await mongo.close()
    await stack.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}

if (values.help) console.log(usage)
else process.exitCode = await main()
