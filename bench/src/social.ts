/** Lists of friends, and how soon a change of a relation counts for messages; see ../README.md. */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer as bytesOf } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import type { ResultOf } from '@im/contracts'
import { blacklists, friends, pairOf } from '@im/contracts/social'
import { accounts } from '@im/contracts/user'
import { startStack } from '@im/dev'
import { createTestClient, eventually, type TestClient } from '@im/service-kit/testing'
import { type Db, MongoClient } from 'mongodb'
import { attributeOf, escapeXml } from './chat/stanza-cutter.ts'
import { XmppClient } from './chat/xmpp-client.ts'
import { machine } from './machine.ts'
import { type Latency, latencyOf } from './percentiles.ts'

const usage = `npm run bench:social -- [options]

  --friends N   friends of the user whose list is read   (1000)
  --lists N     lists that are read after a change, and again   (500)
  --users N     others with as many friends, each of whom reads the list once   (60)
  --changes N   changes of a relation                    (500)
  --json FILE   also write everything as JSON

Exit code 1 when an answer was wrong or a target of docs/performance.md is missed.`

const { values } = parseArgs({
  options: {
    friends: { type: 'string', default: '1000' },
    lists: { type: 'string', default: '500' },
    users: { type: 'string', default: '60' },
    changes: { type: 'string', default: '500' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const targets = { listP95: 15, inForceP99: 200 }
/** Calls that come before those that are measured. */
const warmUp = 50
/** Friends need not have registered to be listed. */
const firstFriend = 20_000_001
const password = '5f4dcc3b5aa765d61d8327deb882cf99'

interface Account {
  userId: number
  token: string
}

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'im-bench-social-'))
  // Registrations are not what is measured: their hashes are cheap.
  const quick = { ARGON2_MEMORY_KIB: '64', ARGON2_PASSES: '1' }
  const stack = await startStack({
    dataDir: folder,
    ports: 'free',
    env: { ...process.env, ...quick, NODE_ENV: 'development', LOG_LEVEL: 'warn', LIMIT_FACTOR: '0', XMPP_TLS: 'off' },
    apart: 'all',
    supervise: false,
    report: { info: console.error, progress() {} },
  })
  const api = createTestClient({ baseUrl: stack.urls.gateway, timeout: 20_000 })
  const mongo = await MongoClient.connect(stack.env['MONGODB_URL'] ?? '')
  try {
    const { env } = stack
    const [alice, bob] = [await register(api, 0), await register(api, 1)]
    const db = mongo.db(`${env['NAMESPACE'] || 'im'}_social`)
    const others: Account[] = []
    for (let n = 0; n < Number(values.users); n++) others.push(await register(api, n + 2))
    await nameFriends(db)
    for (const account of [alice, ...others]) await befriend(db, account)
    const lists = await readLists(stack.urls.gateway, { api, db, others, ...alice })
    const address = { host: env['XMPP_HOST']!, port: Number(env['XMPP_PORT']), domain: env['XMPP_DOMAIN']! }
    const changes = await changeRelations(api, address, [alice, bob])
    return await report(lists, changes)
  } finally {
    await api.close()
    await mongo.close()
    await stack.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function register(api: TestClient, n: number): Promise<Account> {
  const person = { telephone: String(13_900_000_000 + n), password, nickname: `registered ${n}` }
  const { userId, access_token: token } = await api.call(accounts.register, person)
  return { userId, token }
}

const nameOf = (n: number) => `用户${String(n).padStart(5, '0')}`

const friendIds = Array.from({ length: Number(values.friends) }, (_, n) => firstFriend + n)

async function nameFriends(db: Db): Promise<void> {
  const people = friendIds.map((_id, n) => ({ _id, nickname: nameOf(n), userType: 0 }))
  await db.collection<{ _id: number }>('people').insertMany(people, { ordered: false })
}

/** Makes everybody a friend of a user, as the social service stores them. */
async function befriend(db: Db, { userId }: Account): Promise<void> {
  const at = Math.floor(Date.now() / 1000)
  const rows = friendIds.flatMap((friend) =>
    [
      { userId, toUserId: friend },
      { userId: friend, toUserId: userId },
    ].map((side) => ({
      ...{ pair: pairOf(userId, friend), ...side, status: 2, blacklist: 0, isBeenBlack: 0 },
      ...{ createTime: at, modifyTime: at },
    })),
  )
  await db.collection('relations').insertMany(rows, { ordered: false })
}

/**
 * The list of friends after a change of one, which is to be in it, and once more without one; each answer must name every friend, in the
 * order of their names. In turns with the bare query: what the driver takes for the same rows, before anybody has made an answer of them.
 * Then the lists of others, whom nobody has asked for before.
 */
async function readLists(
  gateway: string,
  { api, db, others, userId, token }: Account & { api: TestClient; db: Db; others: readonly Account[] },
) {
  const agent = new Agent({ keepAlive: true })
  const list = gateway + friends.listFriends.path
  const expected = friendIds.map((_, n) => nameOf(n)).join()
  /** Milliseconds until the answer is there, and whether it is right. */
  const ask = async (days = -1, as = token) => {
    const at = performance.now()
    const [answer] = await once(get(list, { agent, headers: { authorization: `Bearer ${as}` } }), 'response')
    const bytes = await bytesOf(answer)
    const ms = performance.now() - at
    const { data: listed } = JSON.parse(bytes.toString()) as { data: ResultOf<typeof friends.listFriends> }
    const people = listed.filter(({ toUserType }) => toUserType !== 2)
    const isRight =
      people.map(({ toNickname }) => toNickname).join() === expected && people[0]?.chatRecordTimeOut === days
    return { ms, isRight }
  }
  const query = () =>
    db
      .collection('relations')
      .find({ userId, status: { $in: [2] }, blacklist: 0 }, { batchSize: 10_000 })
      .sort({ toUserId: 1 })
      .limit(10_000)
      .toArray()
  await eventually(async () => (await ask()).isRight, 30_000)
  const [anew, again, bare, first]: number[][] = [[], [], [], []]
  let wrong = 0
  for (let n = 0; n < warmUp + Number(values.lists); n++) {
    const queriedAt = performance.now()
    await query()
    const queried = performance.now() - queriedAt
    await api.call(friends.updateFriend, { toUserId: firstFriend, chatRecordTimeOut: n }, { token })
    const changed = await ask(n)
    const same = await ask(n)
    if (!changed.isRight || !same.isRight) wrong++
    if (n < warmUp) continue
    bare!.push(queried)
    anew!.push(changed.ms)
    again!.push(same.ms)
  }
  for (const other of others) {
    const { ms, isRight } = await ask(-1, other.token)
    if (!isRight) wrong++
    first!.push(ms)
  }
  agent.destroy()
  const [ofAnew, ofAgain, ofBare, ofFirst] = [anew, again, bare, first].map((times) => latencyOf(times!))
  return { anew: ofAnew!, again: ofAgain!, bare: ofBare!, first: ofFirst!, wrong }
}

/**
 * One blocks and unblocks the other, who writes from the moment of each answer on, one message after another, until a message
 * meets the new state. Told: how long after the answer of the change that message was sent, and how many met the old one.
 */
async function changeRelations(
  api: TestClient,
  address: { host: string; port: number; domain: string },
  [sender, receiver]: [Account, Account],
) {
  const stream = await XmppClient.login(address, { userId: sender.userId, password: sender.token }, 'android')
  const waiting = new Map<string, (isRefused: boolean) => void>()
  stream.onStanza = (stanza) => {
    const isRefused = attributeOf(stanza, 'type') === 'error'
    const id = isRefused ? attributeOf(stanza, 'id') : /<received [^>]*\bid=['"]([^'"]+)/.exec(stanza)?.[1]
    if (id) waiting.get(id)?.(isRefused)
  }
  let sent = 0
  /** Sends a message; resolves with whether it was refused. */
  function say(): Promise<boolean> {
    const id = (++sent).toString(16).padStart(32, '0')
    const body = { type: 1, messageId: id, fromUserId: String(sender.userId), toUserId: String(receiver.userId) }
    const text = escapeXml(JSON.stringify({ ...body, content: 'x', timeSend: Date.now() / 1000 }))
    const to = `${receiver.userId}@${address.domain}`
    return new Promise((resolve) => {
      waiting.set(id, resolve)
      stream.send(
        `<message id='${id}' type='chat' to='${to}'><body>${text}</body><request xmlns='urn:xmpp:receipts'/></message>`,
      )
    })
  }
  const delays: number[] = []
  let byOldState = 0
  const params = { toUserId: sender.userId }
  for (let n = 0; n < warmUp + Number(values.changes); n++) {
    const blocks = n % 2 === 0
    await api.call(blocks ? blacklists.blockUser : blacklists.unblockUser, params, { token: receiver.token })
    const answeredAt = performance.now()
    let sentAt = answeredAt
    while ((await say()) !== blocks) {
      if (n >= warmUp) byOldState++
      sentAt = performance.now()
    }
    if (n >= warmUp) delays.push(sentAt - answeredAt)
  }
  stream.close()
  return { delay: latencyOf(delays), byOldState, changes: delays.length }
}

async function report(
  lists: Awaited<ReturnType<typeof readLists>>,
  changes: { delay: Latency; byOldState: number; changes: number },
): Promise<number> {
  console.table({
    [`list of ${values.friends} friends after a change (ms)`]: lists.anew,
    'the same again (ms)': lists.again,
    'list of somebody who has not asked before (ms)': lists.first,
    'the bare query of its rows (ms)': lists.bare,
    'change in force after (ms)': changes.delay,
  })
  const { p99 } = changes.delay
  const checks: [text: string, met: boolean][] = [
    ...Object.entries({ 'after a change': lists.anew, again: lists.again, 'for the first time': lists.first }).map(
      ([which, { p95 }]): [string, boolean] => [
        `list of ${values.friends} friends read ${which}, p95: ${p95} ms (target ${targets.listP95})`,
        p95 <= targets.listP95,
      ],
    ),
    [`wrong lists: ${lists.wrong} (target 0)`, lists.wrong === 0],
    [`a change in force, p99: ${p99} ms (target ${targets.inForceP99})`, p99 <= targets.inForceP99],
  ]
  for (const [text, met] of checks) console.log(`${met ? 'met   ' : 'MISSED'} ${text}`)
  const ratios = [lists.anew, lists.again, lists.first].map(({ p50 }) => (p50 / lists.bare.p50).toFixed(2))
  console.log(`       a list takes ${ratios.join(', ')} times as long as the bare query of its rows (p50)`)
  console.log(`       ${changes.byOldState} messages met the old state in ${changes.changes} changes`)
  if (values.json) await writeFile(values.json, JSON.stringify({ machine: machine(), lists, changes }, null, 2))
  return checks.every(([, met]) => met) ? 0 : 1
}

if (values.help) console.log(usage)
else process.exitCode = await main()
