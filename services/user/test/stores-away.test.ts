import { setTimeout as delay } from 'node:timers/promises'
import { accounts, internalSessions, sessionRevoked, xmppAccounts } from '@im/contracts/user'
import { connectRedis } from '@im/service-kit'
import { eventually, failure, ownServer, slowProxy } from '@im/service-kit/testing'
import tap, { type Test, test } from 'tap'
import { md5Of123456, type Person, startUser } from './start-user.ts'

// They wait most of the time, each with servers of its own.
tap.jobs = 4

type User = Awaited<ReturnType<typeof startUser>>

/** How long (ms) a call may take while a store is away: the gateway waits for 5 s. */
const inTime = 3000

async function takesNoLonger<T>(t: Test, what: string, work: Promise<T>): Promise<T> {
  const startedAt = performance.now()
  const result = await work
  const took = performance.now() - startedAt
  t.ok(took < inTime, `${what} took ${Math.round(took)} ms`)
  return result
}

const isLive = async (user: User, { caller: { sessionId } }: Person) =>
  (await user.internal.call(internalSessions.resolveSession, { sessionId })).exists === 1

/** Ids of the sessions whose end gateways hear of. */
async function heardRevocations(user: User): Promise<string[]> {
  const heard: string[] = []
  const bus = await user.otherBus()
  const hear = ({ sessionIds }: { sessionIds: string[] }) => heard.push(...sessionIds)
  bus.listen(sessionRevoked, hear)
  bus.hear(sessionRevoked, hear)
  await bus.ping()
  return heard
}

/** What must work without Redis, and be told truly. */
async function everythingWorks(t: Test, user: User, alice: Person, heard: string[]): Promise<void> {
  const { api, internal } = user
  t.equal(await takesNoLonger(t, 'resolving', isLive(user, alice)), true)

  const bob = { telephone: user.nextPhone(), password: '123456', nickname: 'bob', serial: 'serial-bob' }
  const { userId, access_token } = await takesNoLonger(t, 'registering', api.call(accounts.register, bob))
  await t.rejects(api.call(accounts.register, bob), failure('TelephoneTaken'), 'the first answer was true')
  const again = await takesNoLonger(t, 'logging in', api.call(accounts.login, { ...bob, deviceKey: 'pc' }))
  t.equal(again.userId, userId)
  await t.rejects(api.call(accounts.login, { ...bob, password: 'wrong' }), failure('WrongPassword'))
  const auto = await takesNoLonger(t, 'login/auto', api.call(accounts.autoLogin, { access_token, userId }))
  t.equal(auto.tokenExists, 1)
  for (const password of [access_token, md5Of123456])
    await takesNoLonger(t, 'XMPP', internal.call(xmppAccounts.authenticate, { userId, password, ip: '127.0.0.1' }))

  await takesNoLonger(t, 'logging out', api.call(accounts.logout, {}, { as: alice.caller }))
  t.ok(heard.includes(alice.caller.sessionId), 'gateways heard of it before the answer')
  t.equal(await isLive(user, alice), false)
}

test('Redis was killed', async (t) => {
  const redis = await ownServer(t, 'redis')
  if (!redis) return
  const user = await startUser(t, { REDIS_URL: redis.url, LIMIT_FACTOR: '1' })
  const heard = await heardRevocations(user)
  const alice = await user.person('alice')
  await redis.kill()
  t.after(() => redis.start())
  await everythingWorks(t, user, alice, heard)
})

test('Redis stands still for 20 s; what ended meanwhile has no copy afterwards', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const user = await startUser(t, { REDIS_URL: server.url, LIMIT_FACTOR: '1' })
  const heard = await heardRevocations(user)
  const alice = await user.person('alice')
  const carol = await user.person('carol')
  const redis = await connectRedis({ url: server.url, namespace: user.env['NAMESPACE'] ?? '' })
  t.after(() => redis.disconnect())
  const copies = [alice, carol].map(({ caller }) => `session:${caller.sessionId}`)
  t.equal(await redis.exists(...copies), 2)

  server.freeze()
  t.after(() => server.thaw())
  const endsAt = Date.now() + 20_000
  await everythingWorks(t, user, alice, heard)
  await delay(endsAt - Date.now())
  await user.api.call(accounts.logout, {}, { as: carol.caller })
  t.equal(await isLive(user, carol), false)
  server.thaw()
  await eventually(async () => (await redis.exists(...copies)) === 0)
})

test('Redis answers slowly', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const proxy = await slowProxy(t, server.url)
  const user = await startUser(t, { REDIS_URL: proxy.url, LIMIT_FACTOR: '1' })
  const heard = await heardRevocations(user)
  const alice = await user.person('alice')
  const redis = await connectRedis({ url: server.url, namespace: user.env['NAMESPACE'] ?? '' })
  t.after(() => redis.disconnect())
  proxy.delayMs = 2000
  t.after(() => {
    proxy.delayMs = 0
  })
  const late = {
    sessionId: 'late',
    userId: alice.userId,
    device: 'pc',
    kind: 'user',
    expiresAt: Date.now() + 60_000,
  } as const
  t.equal(await user.deps.sessionCache.put(late, Date.now()), false)
  await eventually(() => redis.exists('session:late'))
  await everythingWorks(t, user, alice, heard)
  proxy.delayMs = 0
  // Whoever ended the session meanwhile may have removed the copy before it came.
  await eventually(async () => !(await redis.exists('session:late')))
})

test('NATS stands still: a logout is answered and in force, and told as soon as NATS is back', async (t) => {
  const nats = await ownServer(t, 'nats')
  if (!nats) return
  const user = await startUser(t, { NATS_URL: nats.url })
  const alice = await user.person('alice')
  const heard = await heardRevocations(user)
  const redis = await connectRedis({ url: user.env['REDIS_URL'] ?? '', namespace: user.env['NAMESPACE'] ?? '' })
  t.after(() => redis.disconnect())
  t.equal(await redis.exists(`session:${alice.caller.sessionId}`), 1)
  nats.freeze()
  t.after(() => nats.thaw())
  await takesNoLonger(t, 'logging out', user.api.call(accounts.logout, {}, { as: alice.caller }))
  t.equal(await isLive(user, alice), false)
  t.equal(await redis.exists(`session:${alice.caller.sessionId}`), 0)
  const { userId } = await takesNoLonger(
    t,
    'logging in',
    user.api.call(accounts.login, { telephone: alice.phone, password: '123456' }),
  )
  t.equal(userId, alice.userId)
  nats.thaw()
  await eventually(() => heard.includes(alice.caller.sessionId))
})
