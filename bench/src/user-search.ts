/** The search for users among many, over HTTP, judged against a scan in memory; see ../README.md. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { userSearch } from '@im/contracts/user'
import { startStack } from '@im/dev'
import { foldText } from '@im/service-kit'
import { createTestClient, eventually, type TestClient, type WireParams } from '@im/service-kit/testing'
import { type Db, MongoClient } from 'mongodb'
import { machine } from './machine.ts'
import { type Latency, latencyOf } from './percentiles.ts'
import { firstUser, userMaker } from './user-search/made-users.ts'

const usage = `npm run bench:user-search -- [options]

  --users N      users stored                             (1000000)
  --searches N   searches of each kind                    (200)
  --nearby N     searches for users nearby; the stand-in has no index for positions, so each reads all users   (10)
  --json FILE    also write everything as JSON

Asks the user service for the first ten users who have a keyword in their nickname, and for those nearby. Exit code 1 when an
answer differs from the scan in memory or the target was missed.`

const { values } = parseArgs({
  options: {
    users: { type: 'string', default: '1000000' },
    searches: { type: 'string', default: '200' },
    nearby: { type: 'string', default: '10' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const [count, searches] = [Number(values.users), Number(values.searches)]
/** Milliseconds; of the search by keywords. */
const target = 50
const nearbySearches = Number(values.nearby)
/** Users of one insert: 10 MB. */
const batch = 5000

interface Known {
  userId: number
  name: string
  sex: number
}

type Query = WireParams<(typeof userSearch)['searchUsers']>

/** A kind of search: what is asked, and who fits. */
interface Kind {
  what: string
  query(): Query
}

/** Indexes by which logins find users: no search reads them, and filling them takes as long as all the rest. */
const indexesOfLogins = ['loginNames_1', 'numberNames_1_isAuth_-1__id_1']

/** Stores users as the user service does, but for the indexes of logins. */
async function load(db: Db, maker: ReturnType<typeof userMaker>): Promise<Known[]> {
  const [stored, searchable] = [
    db.collection<{ _id: number }>('users'),
    db.collection<{ _id: number }>('searchable-users'),
  ]
  for (const name of indexesOfLogins) await stored.dropIndex(name)
  const known: Known[] = []
  let storing: Promise<unknown> = Promise.resolve()
  for (let from = 0; from < count; from += batch) {
    const users = Array.from({ length: Math.min(batch, count - from) }, (_, n) => maker.user(from + n))
    const rows = users.map(maker.row)
    // While these were made, those before were stored.
    await storing
    storing = Promise.all([
      stored.insertMany(users, { ordered: false }),
      searchable.insertMany(rows, { ordered: false }),
    ])
    for (const { _id: userId, nickname, sex } of users) known.push({ userId, name: foldText(nickname), sex })
    if (known.length % 100_000 === 0) console.error(`${known.length} users made`)
  }
  await storing
  const counters = db.collection<{ _id: string; value: number }>('counters')
  await counters.updateOne({ _id: 'userId' }, { $set: { value: firstUser + count } }, { upsert: true })
  return known
}

/** The social service reads the users that there are when it starts, and would go on with those that are stored. */
async function caughtUp(db: Db): Promise<void> {
  const catchUps = db.collection<{ _id: string }>('catch_ups')
  await eventually(
    async () => (await catchUps.findOne({ _id: 'people', finishedAt: { $exists: true } })) !== null,
    60_000,
  )
}

/** What a scan finds: the newest ten. */
function scan(known: readonly Known[], { nickname, sex, minAge }: Query): number[] {
  // Nobody made is so old.
  if (minAge !== undefined) return []
  const wanted = foldText(String(nickname ?? ''))
  const found: number[] = []
  for (let n = known.length - 1; n >= 0 && found.length < 10; n--) {
    const user = known[n]
    if (user?.name.includes(wanted) && (sex === undefined || user.sex === sex)) found.push(user.userId)
  }
  return found
}

function kindsOf(known: readonly Known[], random: (below: number) => number): Kind[] {
  const someone = () => known[random(known.length)]?.name ?? ''
  const part = (length: number) => {
    for (;;) {
      const characters = [...someone()]
      if (characters.length < length) continue
      const at = random(characters.length - length + 1)
      const text = characters.slice(at, at + length).join('')
      if (text.trim() === text) return text
    }
  }
  return [
    { what: 'one character', query: () => ({ nickname: part(1) }) },
    { what: 'two characters', query: () => ({ nickname: part(2) }) },
    { what: 'three characters', query: () => ({ nickname: part(3) }) },
    { what: 'five characters', query: () => ({ nickname: part(5) }) },
    { what: 'a whole name', query: () => ({ nickname: someone() }) },
    { what: 'a name that nobody has', query: () => ({ nickname: `user${random(1e7)}x` }) },
    { what: 'one of two characters, and a sex', query: () => ({ nickname: part(1 + random(2)), sex: random(2) }) },
    { what: 'a sex that nobody has', query: () => ({ sex: 2 }) },
    { what: 'an age that nobody has', query: () => ({ minAge: 149, sex: random(2) }) },
    { what: 'no keyword', query: () => ({}) },
  ]
}

async function measure(api: TestClient, known: readonly Known[], { what, query }: Kind) {
  const times: number[] = []
  let wrong = 0
  for (let n = 0; n < searches; n++) {
    const asked = query()
    const begin = performance.now()
    const cards = await api.call(userSearch.searchUsers, asked, { as: 1_000 })
    times.push(performance.now() - begin)
    if (cards.map(({ userId }) => userId).join() !== scan(known, asked).join()) wrong++
  }
  console.error(`${what}: p95 ${latencyOf(times).p95} ms`)
  return { what, latency: latencyOf(times), wrong }
}

async function measureNearby(api: TestClient, random: (below: number) => number) {
  const times: number[] = []
  let wrong = 0
  for (let n = 0; n < nearbySearches; n++) {
    const place = { longitude: 100 + random(20_000) / 1000, latitude: 20 + random(20_000) / 1000 }
    const begin = performance.now()
    const cards = await api.call(userSearch.findNearby, place, { as: 1_000 })
    times.push(performance.now() - begin)
    const metres = cards.map(({ distance = 0 }) => distance)
    if (metres.some((distance, at) => distance > 50 || distance < (metres[at - 1] ?? 0))) wrong++
  }
  return { what: 'nearby', latency: latencyOf(times), wrong }
}

async function main(): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), 'im-bench-users-'))
  const stack = await startStack({
    dataDir,
    ports: 'free',
    env: { ...process.env, LOG_LEVEL: 'error', LIMIT_FACTOR: '0' },
    services: ['user', 'social'],
    servers: ['mongodb', 'redis', 'nats'],
    apart: 'all',
    supervise: false,
    report: { info: (line) => console.error(line), progress() {} },
  })
  const mongo = await MongoClient.connect(stack.env['MONGODB_URL'] ?? '')
  const api = createTestClient({ baseUrl: stack.urls.user, callerKey: stack.env['CALLER_KEY'], timeout: 60_000 })
  try {
    const namespace = stack.env['NAMESPACE'] || 'im'
    await caughtUp(mongo.db(`${namespace}_social`))
    const maker = userMaker({ arePlaced: nearbySearches > 0 })
    const began = performance.now()
    const known = await load(mongo.db(`${namespace}_user`), maker)
    const loadSeconds = Math.round((performance.now() - began) / 1000)
    const kinds = kindsOf(known, maker.random)
    for (const kind of kinds) await measure(api, known.slice(-1), { ...kind, query: kind.query }).catch(() => {})
    const results: { what: string; latency: Latency; wrong: number }[] = []
    for (const kind of kinds) results.push(await measure(api, known, kind))
    const nearby = nearbySearches ? await measureNearby(api, maker.random) : undefined
    console.log(`${count} users, loaded in ${loadSeconds} s; ${searches} searches of each kind; milliseconds\n`)
    console.table(
      Object.fromEntries(
        [...results, ...(nearby ? [nearby] : [])].map(({ what, latency, wrong }) => [
          what,
          { ...latency, 'wrong answers': wrong },
        ]),
      ),
    )
    if (values.json)
      await writeFile(values.json, JSON.stringify({ machine: machine(), count, results, nearby }, null, 2))
    const failed = results.filter(({ latency, wrong }) => wrong > 0 || latency.p95 > target)
    if (nearby?.wrong) failed.push(nearby)
    for (const { what } of failed) console.log(`${what}: wrong, or p95 above ${target} ms`)
    return failed.length ? 1 : 0
  } finally {
    await api.close()
    await mongo.close()
    await stack.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}

if (values.help) console.log(usage)
else process.exitCode = await main()
