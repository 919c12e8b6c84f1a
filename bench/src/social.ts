/** Lists of friends, and how soon a change of a relation counts for messages; see ../README.md. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { blacklists, follows, friends } from '@im/contracts/social'
import { accounts } from '@im/contracts/user'
import { startStack } from '@im/dev'
import { createTestClient, eventually, type TestClient } from '@im/service-kit/testing'
import { attributeOf, escapeXml } from './chat/stanza-cutter.ts'
import { XmppClient } from './chat/xmpp-client.ts'
import { machine } from './machine.ts'
import { type Latency, latencyOf } from './percentiles.ts'

const usage = `npm run bench:social -- [options]

  --friends N   friends of the user whose list is read   (1000)
  --lists N     lists that are read, one after another   (500)
  --changes N   changes of a relation                    (500)
  --json FILE   also write everything as JSON

Exit code 1 when an answer was wrong or a target of docs/performance.md is missed.`

const { values } = parseArgs({
  options: {
    friends: { type: 'string', default: '1000' },
    lists: { type: 'string', default: '500' },
    changes: { type: 'string', default: '500' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const targets = { listP95: 15, inForceP99: 200 }
/** Calls that come before those that are measured. */
const warmUp = 50
const registrationsAtOnce = 8
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
    mode: 'processes',
    supervise: false,
    report: { info: console.error, progress() {} },
  })
  const api = createTestClient({ baseUrl: stack.urls.gateway, timeout: 20_000 })
  try {
    const [alice, ...others] = (await register(api, Number(values.friends) + 1)) as [Account, ...Account[]]
    await inParts(others, (other) => api.call(follows.follow, { toUserId: other.userId }, { token: alice.token }))
    const lists = await readLists(api, alice, others)
    const { env } = stack
    const address = { host: env['XMPP_HOST']!, port: Number(env['XMPP_PORT']), domain: env['XMPP_DOMAIN']! }
    const changes = await changeRelations(api, address, [alice, others[0]!])
    return await report(lists, changes)
  } finally {
    await api.close()
    await stack.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function inParts<T>(items: readonly T[], work: (item: T, index: number) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < items.length; at += registrationsAtOnce)
    await Promise.all(items.slice(at, at + registrationsAtOnce).map((item, n) => work(item, at + n)))
}

async function register(api: TestClient, count: number): Promise<Account[]> {
  const registered: Account[] = []
  await inParts(Array.from({ length: count }), async (_, n) => {
    const person = { telephone: String(13_900_000_000 + n), password, nickname: nameOf(n) }
    const { userId, access_token: token } = await api.call(accounts.register, person)
    registered[n] = { userId, token }
  })
  return registered
}

const nameOf = (n: number) => `用户${String(n).padStart(5, '0')}`

/** The list of friends, again and again. Each answer must name every friend, in the order of their names. */
async function readLists(api: TestClient, { token }: Account, others: readonly Account[]) {
  const expected = others.map((_, n) => nameOf(n + 1)).join()
  const ask = async () => {
    const listed = await api.call(friends.listFriends, {}, { token })
    const people = listed.filter(({ toUserType }) => toUserType !== 2)
    return people.map(({ toNickname }) => toNickname).join() === expected
  }
  // Names arrive by events.
  await eventually(ask, 30_000)
  const times: number[] = []
  let wrong = 0
  for (let n = 0; n < warmUp + Number(values.lists); n++) {
    const sentAt = performance.now()
    const isRight = await ask()
    if (n < warmUp) continue
    times.push(performance.now() - sentAt)
    if (!isRight) wrong++
  }
  return { latency: latencyOf(times), wrong }
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
  lists: { latency: Latency; wrong: number },
  changes: { delay: Latency; byOldState: number; changes: number },
): Promise<number> {
  console.table({
    [`list of ${values.friends} friends (ms)`]: lists.latency,
    'change in force after (ms)': changes.delay,
  })
  const { p95 } = lists.latency
  const { p99 } = changes.delay
  const checks: [text: string, met: boolean][] = [
    [`list of ${values.friends} friends, p95: ${p95} ms (target ${targets.listP95})`, p95 <= targets.listP95],
    [`wrong lists: ${lists.wrong} (target 0)`, lists.wrong === 0],
    [`a change in force, p99: ${p99} ms (target ${targets.inForceP99})`, p99 <= targets.inForceP99],
  ]
  for (const [text, met] of checks) console.log(`${met ? 'met   ' : 'MISSED'} ${text}`)
  console.log(`       ${changes.byOldState} messages met the old state in ${changes.changes} changes`)
  if (values.json) await writeFile(values.json, JSON.stringify({ machine: machine(), lists, changes }, null, 2))
  return checks.every(([, met]) => met) ? 0 : 1
}

if (values.help) console.log(usage)
else process.exitCode = await main()
