import { randomBytes } from 'node:crypto'
import { accounts, internalSessions, sessionRevoked } from '@im/contracts/user'
import { connectRedis } from '@im/service-kit'
import { eventually, ownServer } from '@im/service-kit/testing'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('a revocation whose announcer died before it told anybody is heard by its event, and leaves no copy', async (t) => {
  const user = await startUser(t)
  const alice = await user.person('alice')
  const { sessionId } = alice.caller
  const redis = await connectRedis({ url: user.env['REDIS_URL'] ?? '', namespace: user.env['NAMESPACE'] ?? '' })
  t.after(() => redis.disconnect())
  await user.internal.call(internalSessions.resolveSession, { sessionId })
  t.ok(await redis.get(`session:${sessionId}`), 'gateways read the copy')

  const bus = await user.otherBus()
  const heard: string[] = []
  bus.hear(sessionRevoked, ({ sessionIds }) => heard.push(...sessionIds))
  await bus.ping()
  const at = Date.now()
  const data = { userId: alice.userId, sessionIds: [sessionId], devices: ['android'], reason: 'logout', at }
  const id = randomBytes(16).toString('hex')
  await bus.publish({ id, name: sessionRevoked.name, at, aggregate: String(alice.userId), sequence: 99, data })
  await eventually(() => heard.includes(sessionId))
  t.ok(await eventually(async () => (await redis.exists(`session:${sessionId}`)) === 0))
})

test('a session that ends after it was read and before it is copied leaves no copy', async (t) => {
  const { api, internal, deps, person } = await startUser(t)
  const { caller } = await person('alice')
  const { sessionId } = caller
  const { sessionCache } = deps
  const put = sessionCache.put.bind(sessionCache)
  sessionCache.put = async (session, now) => {
    sessionCache.put = put
    await api.call(accounts.logout, {}, { as: caller })
    return await put(session, now)
  }
  t.match(await internal.call(internalSessions.resolveSession, { sessionId }), { exists: 0 })
  t.equal(await deps.redis.exists(`session:${sessionId}`), 0)
})

test('a revocation waits for Redis: no process needs to live until it is back', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const user = await startUser(t, { REDIS_URL: server.url })
  const alice = await user.person('alice')
  const { sessionId } = alice.caller
  await user.internal.call(internalSessions.resolveSession, { sessionId })
  const counted = async (outcome: string) =>
    (await user.deps.metrics.metrics()).includes(
      `im_events_handled_total{event="session.revoked.v1",outcome="${outcome}"`,
    )
  server.freeze()
  await user.deps.outbox.commit(async (change) => {
    const data = {
      userId: alice.userId,
      sessionIds: [sessionId],
      devices: ['android'],
      reason: 'logout',
      at: Date.now(),
    }
    change.announce(sessionRevoked, String(alice.userId), data)
  })
  await eventually(() => counted('failed'))
  t.notOk(await counted('done'))
  server.thaw()
  await eventually(() => counted('done'))
  const redis = await connectRedis({ url: server.url, namespace: user.env['NAMESPACE'] ?? '' })
  t.after(() => redis.disconnect())
  t.equal(await redis.exists(`session:${sessionId}`), 0)
})

test('a session that has expired is told of when the next login takes its place: streams and push tokens may live', async (t) => {
  const user = await startUser(t)
  const alice = await user.person('alice')
  const revoked = await user.events(sessionRevoked)
  user.passSeconds(8 * 86_400)
  // As the database does.
  const sessions = user.deps.db.collection('sessions')
  for (const { key, expireAfterSeconds: seconds } of await sessions.indexes())
    if (seconds !== undefined)
      await sessions.deleteMany({ [Object.keys(key).join()]: { $lt: new Date(user.deps.now() - seconds * 1000) } })
  t.match(await user.internal.call(internalSessions.resolveSession, { sessionId: alice.caller.sessionId }), {
    exists: 0,
  })
  await user.api.call(accounts.login, { telephone: alice.phone, password: '123456', serial: 'another phone' })
  const told = await eventually(() => revoked.find(({ reason }) => reason === 'login'))
  t.match(told, { userId: alice.userId, sessionIds: [alice.caller.sessionId], devices: ['android'] })
})
