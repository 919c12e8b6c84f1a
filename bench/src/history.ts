/** Pages of history with few and with many messages stored, in one run; see ../README.md. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { archive } from '@im/contracts/message'
import { startStack } from '@im/dev'
import { createTestClient, type TestClient } from '@im/service-kit/testing'
import { type Db, MongoClient } from 'mongodb'
import type { Chat } from '../../services/message/src/inbox/chats-repository.ts'
import { showing } from '../../services/message/src/inbox/show-messages.ts'
import type { MessageDocument } from '../../services/message/src/messages/message-document.ts'
import { machine } from './machine.ts'
import { type Latency, latencyOf } from './percentiles.ts'
import { storedMessage } from './stored-message.ts'

const usage = `npm run bench:history -- [options]

  --few N        messages stored at the first measurement       (100000)
  --many N       messages stored at the second                  (1000000)
  --pages N      pages asked for at each of them                (500)
  --json FILE    also write everything as JSON

Asks the message service for pages of 20 rows over HTTP: the newest page of a chat, and one at a random time. One page in
ten is of the one chat that holds a tenth of all messages. Exit code 1 when a page was wrong or a target was missed.`

const { values } = parseArgs({
  options: {
    few: { type: 'string', default: '100000' },
    many: { type: 'string', default: '1000000' },
    pages: { type: 'string', default: '500' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const pages = Number(values.pages)
const pageSize = 20
const firstUser = 10_000_001
/** Seconds between two messages: the large chat then gets 216 a day, an ordinary one three a week. */
const step = 40
const firstSecond = 1_780_000_000
/** Messages that stand in one second: of the large chat five. */
const inOneSecond = 50
const timeOf = (n: number) => firstSecond + step * inOneSecond * Math.floor(n / inOneSecond)
/** Messages a second that are stored in other chats while pages are measured. */
const writesPerSecond = 250
/** Chats at the end; each starts early, so that both measurements see the same ones. */
const chats = 5000

/** The same in each run. */
let seed = 7
function random(below: number): number {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((seed / 2 ** 32) * below)
}

const users = (chat: number) => [firstUser + 2 * chat, firstUser + 2 * chat + 1] as const
/** Chat 0 gets every tenth message, the others take turns. */
const chatOf = (n: number) => (n % 10 === 0 ? 0 : 1 + (n % (chats - 1)))

function message(n: number): MessageDocument {
  const [a, b] = users(chatOf(n))
  const [from, to] = n % 3 ? [a, b] : [b, a]
  const content = `今天下午三点在会议室碰一下，把上周的进度过一遍。#${n}`
  return storedMessage(n, { from, to, content, timeSend: timeOf(n) })
}

/** As the archive stores them, and what the list of chats shows then. */
async function load(db: Db, from: number, to: number): Promise<void> {
  const collection = db.collection<MessageDocument>('messages')
  const newest = new Map<number, MessageDocument>()
  const batch = 1000
  for (let n = from; n < to; n += batch) {
    const some = Array.from({ length: Math.min(batch, to - n) }, (_, index) => message(n + index))
    await collection.insertMany(some, { ordered: false })
    for (const [index, one] of some.entries()) newest.set(chatOf(n + index), one)
  }
  const shown = showing(new Map(), [...newest.values()], Date.now())
  await db.collection<Chat>('chats').bulkWrite(
    shown.map((chat) => ({ replaceOne: { filter: { _id: chat._id }, replacement: chat, upsert: true } })),
    { ordered: false },
  )
}

interface Measured {
  stored: number
  /** Of 4,999 chats of equal size. */
  ordinary: Latency
  /** Of the chat that holds a tenth of all messages. */
  large: Latency
  /** Pages that did not hold exactly the rows they should. */
  wrong: number
}

/** Rows of the second of `endTime` come on top, and the page goes to the end of the second of its last row. */
function pageFrom(chat: number, newest: number, stored: number, endTime: number): number[] {
  const times: number[] = []
  let counted = 0
  const last = Math.min(stored, (Math.floor(newest / inOneSecond) + 1) * inOneSecond) - 1
  for (let n = last; n >= 0; n--) {
    if (chatOf(n) !== chat) continue
    if (timeOf(n) !== endTime && counted++ >= pageSize && timeOf(n) !== times.at(-1)) break
    times.push(timeOf(n))
  }
  return times
}

/** As other people write. Ends with the number of messages. */
function writeMeanwhile(db: Db): () => Promise<number> {
  const ended = new AbortController()
  const collection = db.collection<MessageDocument>('messages')
  let written = 0
  const writing = (async () => {
    for (; !ended.signal.aborted; await delay(200)) {
      const some = Array.from({ length: writesPerSecond / 5 }, () => {
        const from = 30_000_000 + (written++ % 5000)
        return storedMessage(2 ** 40 + written + Date.now(), {
          from,
          to: from + 5000,
          content: 'x',
          timeSend: Date.now() / 1000,
        })
      })
      await collection.insertMany(some, { ordered: false })
    }
  })()
  return async () => {
    ended.abort()
    await writing
    return written
  }
}

async function measure(api: TestClient, stored: number): Promise<Measured> {
  const times: { ordinary: number[]; large: number[] } = { ordinary: [], large: [] }
  let wrong = 0
  for (let page = 0; page < pages; page++) {
    const chat = page % 10 === 0 ? 0 : 1 + random(chats - 1)
    const [a, b] = users(chat)
    const newest = page % 2 ? stored - 1 : random(stored)
    const endTime = page % 2 ? 0 : timeOf(newest)
    const begin = performance.now()
    const rows = await api.call(archive.listSingleHistory, { receiver: b, endTime, pageSize }, { as: a })
    times[chat ? 'ordinary' : 'large'].push(performance.now() - begin)
    const expected = pageFrom(chat, newest, stored, endTime)
    if (rows.map(({ timeSend }) => timeSend).join() !== expected.join()) wrong++
  }
  return { stored, ordinary: latencyOf(times.ordinary), large: latencyOf(times.large), wrong }
}

async function main(): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), 'im-bench-history-'))
  const stack = await startStack({
    dataDir,
    ports: 'free',
    env: { ...process.env, LOG_LEVEL: 'error', LIMIT_FACTOR: '0' },
    services: ['user', 'message'],
    servers: ['mongodb', 'redis', 'nats'],
    apart: 'all',
    supervise: false,
    report: { info: (line) => console.error(line), progress() {} },
  })
  const mongo = await MongoClient.connect(stack.env['MONGODB_URL']!)
  const api = createTestClient({ baseUrl: stack.urls.message, callerKey: stack.env['CALLER_KEY']! })
  try {
    const db = mongo.db(`${stack.env['NAMESPACE'] || 'im'}_message`)
    const results: Measured[] = []
    let stored = 0
    for (const count of [Number(values.few), Number(values.many)]) {
      await load(db, stored, count)
      stored = count
      await measure(api, stored) // warm
      const stopWriting = writeMeanwhile(db)
      const result = await measure(api, stored)
      console.log(`${await stopWriting()} messages were stored meanwhile`)
      results.push(result)
      for (const kind of ['ordinary', 'large'] as const) {
        const { p50, p95, p99 } = result[kind]
        console.log(`${stored} messages, page of the ${kind} chats: p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms`)
      }
    }
    const [few, many] = results as [Measured, Measured]
    const checks = (['ordinary', 'large'] as const).flatMap((kind): [met: boolean, text: string][] => {
      const ratio = many[kind].p50 / few[kind].p50
      return [
        [many[kind].p99 <= 15, `${kind}: p99 with ${many.stored} messages at most 15 ms: ${many[kind].p99}`],
        [ratio <= 1.2, `${kind}: median at most 1.2 times that with ${few.stored}: ${ratio.toFixed(2)}`],
      ]
    })
    checks.push([few.wrong + many.wrong === 0, `wrong pages: ${few.wrong + many.wrong}`])
    for (const [met, text] of checks) console.log(`${met ? 'met   ' : 'MISSED'} ${text}`)
    if (values.json) {
      const report = { at: new Date().toISOString(), machine: machine(), servers: stack.servers.choices, results }
      await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
    }
    return checks.every(([met]) => met) ? 0 : 1
  } finally {
    await api.close()
    await mongo.close()
    await stack.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}

if (values.help) console.log(usage)
else process.exitCode = await main()
