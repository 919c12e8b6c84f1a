/** The search on a large archive: judged against a scan in memory, timed against a regex scan; see ../README.md. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startServers } from '@im/dev/servers'
import { connectMongo, type MongoConnection } from '@im/service-kit'
import { ChatsRepository } from '../../services/message/src/inbox/chats-repository.ts'
import type { MessageDocument } from '../../services/message/src/messages/message-document.ts'
import { MessagesRepository } from '../../services/message/src/messages/messages-repository.ts'
import { RoomFacts } from '../../services/message/src/room-facts/room-facts.ts'
import { waitingOf } from '../../services/message/src/search/backlog-repository.ts'
import { indexWaiting } from '../../services/message/src/search/index-waiting.ts'
import { openSearchIndex } from '../../services/message/src/search/search-index.ts'
import { searchMessages } from '../../services/message/src/search/search-messages.ts'
import { createSearchQueue } from '../../services/message/src/search/search-queue.ts'
import { machine } from './machine.ts'
import { latencyOf, median } from './percentiles.ts'
import { cpuSeconds } from './process-usage.ts'
import { heavyUser, messageMaker, sociableUser } from './search/made-messages.ts'

const usage = `npm run bench:search -- [options]

  --messages N   messages in the archive                  (100000)
  --users N      ordinary users                           (1000)
  --searches N   searches of each kind                    (150)
  --json FILE    also write everything as JSON

Starts a database of its own, or uses the one at MONGODB_URL (a database of it, dropped at the end; CPU is not known then).
Exit code 1 when an answer differs from the scan in memory or a target of docs/performance.md is missed.`

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '100000' },
    users: { type: 'string', default: '1000' },
    searches: { type: 'string', default: '150' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const [count, users, searches] = [Number(values.messages), Number(values.users), Number(values.searches)]
const targets = { p95: 50, p95OfManyChats: 100, timesScan: 100 }
/** Messages a second that are archived and indexed while searches are measured. */
const writesPerSecond = 250
/** Messages of one transaction of the archive, and of one load. */
const [batchSize, loadSize] = [250, 5000]

type Known = Pick<MessageDocument, 'messageId' | 'from' | 'to' | 'content'>
/** Wall time and CPU of the database's process while `work` runs, in seconds. */
type Meter = (work: () => Promise<unknown>) => Promise<{ wall: number; cpu: number }>

async function measure(mongo: MongoConnection, meter: Meter) {
  const messages = new MessagesRepository(mongo.db)
  const searchIndex = openSearchIndex(mongo.db)
  await messages.createIndexes()
  await searchIndex.createIndexes()
  const { random, character, message, foreignMessage } = messageMaker(users)
  const all: Known[] = []
  const spent = { archive: { wall: 0, cpu: 0 }, backlog: { wall: 0, cpu: 0 }, index: { wall: 0, cpu: 0 } }
  const account = async (part: keyof typeof spent, work: () => Promise<unknown>) => {
    const { wall, cpu } = await meter(work)
    spent[part].wall += wall
    spent[part].cpu += cpu
  }
  for (let n = 0; n < count; ) {
    const load = Array.from({ length: Math.min(loadSize, count - n) }, () => message(n++))
    for (const { messageId, from, to, content } of load) all.push({ messageId, from, to, content })
    await account('archive', () => messages.collection.insertMany(load, { ordered: false }))
    await account('backlog', async () => {
      for (let at = 0; at < load.length; at += batchSize)
        await searchIndex.backlog.collection.insertMany(waitingOf(load.slice(at, at + batchSize)))
    })
    await account('index', async () => {
      while ((await indexWaiting(searchIndex)).taken);
    })
    if (n % 100_000 === 0) console.log(`${n} messages loaded and indexed`)
  }
  console.log(`loading: ${(count / spent.archive.wall).toFixed(0)} messages/s`)
  const perThousand = (part: keyof typeof spent) => (spent[part].cpu / count) * 1000
  console.log(
    `indexing: ${(count / spent.index.wall).toFixed(0)} messages/s; database CPU per 1,000 messages ` +
      `${perThousand('index').toFixed(3)} s, and ${perThousand('backlog').toFixed(3)} s for their notes in the archive's transaction ` +
      `(the archive's rows themselves ${perThousand('archive').toFixed(3)} s)`,
  )

  const deps = {
    messages,
    chats: new ChatsRepository(mongo.db),
    searchIndex,
    searchQueue: createSearchQueue(),
    roomsOf: async () => [],
    roomFacts: new RoomFacts({
      service: { call: () => Promise.reject(new Error('no room service')) },
      ...{ now: Date.now, isInTouch: () => true },
    }),
    now: Date.now,
  }
  let [expectedRows, foundRows, wrong] = [0, 0, 0]

  /** As the service does beside searches. Ends with the number of messages. */
  function writeMeanwhile(): () => Promise<number> {
    const ended = new AbortController()
    let written = 0
    const writing = (async () => {
      while (!ended.signal.aborted) {
        const some = Array.from({ length: writesPerSecond / 5 }, () => foreignMessage(written++))
        await messages.collection.insertMany(some, { ordered: false })
        await searchIndex.backlog.collection.insertMany(waitingOf(some))
        await indexWaiting(searchIndex)
        await delay(200)
      }
    })()
    return async () => {
      ended.abort()
      await writing
      return written
    }
  }

  const isOf = (caller: number) => (one: Known) => one.from === caller || one.to === caller
  const own = {
    ordinary: undefined,
    heavy: all.filter(isOf(heavyUser)),
    '10,000 chats': all.filter(isOf(sociableUser)),
  }
  const callers = { ordinary: undefined, heavy: heavyUser, '10,000 chats': sociableUser }

  async function search(kind: keyof typeof own, length: number): Promise<number> {
    const some = own[kind] ?? all
    const sample = some[random(some.length)]!
    const at = random(Math.max(1, sample.content.length - length + 1))
    const keyword = sample.content.slice(at, at + length)
    const sides = [sample.from, sample.to!].filter((user) => user !== heavyUser && user !== sociableUser)
    const caller = callers[kind] ?? sides[random(sides.length)]!
    const before = performance.now()
    const page = await searchMessages(deps, caller, { keyword, startTime: 0, endTime: 0, pageIndex: 0, pageSize: 100 })
    const took = performance.now() - before
    const expected = (own[kind] ?? all.filter(isOf(caller))).filter(({ content }) => content.includes(keyword))
    const shown = expected.slice(-100).reverse()
    expectedRows += shown.length
    const ids = new Set(page.pageData.map(({ messageId }) => messageId))
    foundRows += shown.filter(({ messageId }) => ids.has(messageId)).length
    if (
      page.total !== Math.min(expected.length, 1000) ||
      shown.some(({ messageId }, row) => page.pageData[row]?.messageId !== messageId)
    )
      wrong++
    return took
  }

  const stopWriting = writeMeanwhile()
  const times: Record<string, number[]> = {}
  for (let n = 0; n < searches; n++)
    for (const kind of Object.keys(own) as (keyof typeof own)[])
      for (const [name, length] of [
        ['words', 2 + random(3)],
        ['one character', 1],
      ] as const) {
        const list = `${kind} caller, ${name}`
        times[list] = [...(times[list] ?? []), await search(kind, length)]
      }
  const written = await stopWriting()
  console.log(`${written} messages were archived and indexed meanwhile`)
  const scans: number[] = []
  for (let n = 0; n < 3; n++) {
    const before = performance.now()
    await messages.collection
      .find({ content: new RegExp(character() + character()) })
      .project({ _id: 1 })
      .toArray()
    scans.push(performance.now() - before)
  }
  const scan = median(scans)
  const kinds = Object.entries(times).map(([kind, list]) => ({
    kind,
    ...latencyOf(list),
    timesScan: scan / median(list),
  }))
  for (const { kind, p50, p95, max, timesScan } of kinds)
    console.log(
      `${kind.padEnd(30)} p50 ${p50.toFixed(1).padStart(6)} ms  p95 ${p95.toFixed(1).padStart(6)} ms  max ${max.toFixed(1).padStart(6)} ms  ` +
        `${timesScan.toFixed(0)} times faster than the regex scan`,
    )
  console.log(`regex scan of the archive: ${scan.toFixed(0)} ms`)
  const recall = (100 * foundRows) / expectedRows
  console.log(`recall ${recall.toFixed(2)} %, ${wrong} answers differ from the scan in memory`)
  const p95Of = (kind: string) => (kind.startsWith('10,000') ? targets.p95OfManyChats : targets.p95)
  const missed = kinds.filter(({ kind, p95, timesScan }) => p95 > p95Of(kind) || timesScan < targets.timesScan)
  for (const { kind } of missed)
    console.log(`MISSED: ${kind}: p95 at most ${p95Of(kind)} ms, ${targets.timesScan} times faster than the scan`)
  const sizes = await Promise.all(
    [searchIndex.nodes, searchIndex.pages, searchIndex.filters].map(async ({ collection }) => ({
      name: collection.collectionName,
      documents: await collection.estimatedDocumentCount(),
    })),
  )
  console.log(sizes.map(({ name, documents }) => `${name} ${documents}`).join(', '))
  return { count, users, spent, kinds, scan, recall, wrong, missed: missed.length, sizes }
}

async function run(): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), 'im-bench-search-'))
  const servers = await startServers({
    dataDir,
    ports: 'free',
    env: process.env,
    servers: ['mongodb'],
    supervise: false,
  })
  try {
    const pid = servers.started.includes('mongodb') ? servers.process('mongodb').pid : undefined
    const mongo = await connectMongo({
      url: servers.env['MONGODB_URL']!,
      namespace: `bench${process.pid}`,
      service: 'search',
    })
    try {
      const result = await measure(mongo, async (work) => {
        const [cpu, at] = [pid ? await cpuSeconds(pid) : 0, performance.now()]
        await work()
        return { wall: (performance.now() - at) / 1000, cpu: pid ? (await cpuSeconds(pid)) - cpu : 0 }
      })
      const report = { at: new Date().toISOString(), machine: machine(), choices: servers.choices, ...result }
      if (values.json) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
      return result.wrong || result.missed ? 1 : 0
    } finally {
      await mongo.db.dropDatabase()
      await mongo.close()
    }
  } finally {
    await servers.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}

if (values.help) console.log(usage)
else process.exitCode = await run()
