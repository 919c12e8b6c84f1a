import { setTimeout as delay } from 'node:timers/promises'
import { errors } from '@im/contracts'
import { eventually, type OwnServer, ownServer, slowProxy } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { type Fleet, startFleet } from './fleet.ts'
import { alice, codes, sessionIdOf, startGateway } from './stage.ts'

const dead = errors.TokenInvalid.code

/** Logs in, calls, logs out: all of it works, soon, and the token is dead from then on. */
async function livesOn(t: Test, fleet: Fleet, telephone: string): Promise<void> {
  const startedAt = performance.now()
  const token = await fleet.logIn(telephone)
  for (let n = 0; n < 3; n++) t.equal(await fleet.use(token), 1)
  t.ok(performance.now() - startedAt < 6000, `logged in and called in ${performance.now() - startedAt} ms`)
  await endsAtOnce(t, fleet, token)
  await delay(300)
  t.equal(await fleet.use(token), dead, 'and stays so')
}

/** Sessions made before: one is in use all the time, one ends while the store is away. */
async function startWithSessions(t: Test, env: Record<string, string>) {
  const fleet = await startFleet(t, env)
  const telephone = await fleet.register()
  const staying = await fleet.logIn(telephone)
  const ending = await fleet.logIn(telephone)
  t.same([await fleet.use(staying), await fleet.use(ending)], [1, 1])
  return { fleet, telephone, staying, ending }
}

async function endsAtOnce(t: Test, fleet: Fleet, token: string): Promise<void> {
  await fleet.logOut(token)
  t.equal(await fleet.use(token), dead, 'at once')
}

for (const how of ['killed', 'frozen'] as const) {
  test(`Redis is ${how}: sessions resolve, logins work, a logout counts at once`, async (t) => {
    const server = await ownServer(t, 'redis')
    if (!server) return
    const { fleet, telephone, staying, ending } = await startWithSessions(t, { REDIS_URL: server.url })
    const startedAt = Date.now()
    await take(server, how)
    await endsAtOnce(t, fleet, ending)
    await livesOn(t, fleet, telephone)
    if (how === 'frozen') await delay(Math.max(0, startedAt + 20_000 - Date.now()))
    t.equal(await fleet.use(staying), 1)
    await livesOn(t, fleet, telephone)
    await giveBack(server, how)
    t.equal(await fleet.use(ending), dead, 'what ended meanwhile does not come back with Redis')
    await eventually(async () => (await fetch(`${fleet.gateway.urls[1]}/readyz`)).status === 200)
    t.equal(await fleet.use(ending), dead)
    await livesOn(t, fleet, telephone)
    t.equal(await fleet.use(staying), 1)
  })
}

for (const how of ['killed', 'frozen'] as const) {
  test(`NATS is ${how}: a logout counts at once`, async (t) => {
    const server = await ownServer(t, 'nats')
    if (!server) return
    const { fleet, telephone, staying, ending } = await startWithSessions(t, { NATS_URL: server.url })
    await take(server, how)
    await endsAtOnce(t, fleet, ending)
    await livesOn(t, fleet, telephone)
    t.equal(await fleet.use(staying), 1)
    await giveBack(server, how)
    await eventually(async () => (await fetch(`${fleet.gateway.urls[1]}/readyz`)).status === 200, 20_000)
    t.equal(await fleet.use(ending), dead)
    await livesOn(t, fleet, telephone)
    t.equal(await fleet.use(staying), 1)
  })
}

test('NATS is killed: a session that ended elsewhere is dead, whether it was known before or read meanwhile', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const { owners, redis, call } = await startGateway(t, { NATS_URL: server.url })
  const use = async (token: string) => (await call(`/user/get?access_token=${token}`)).resultCode
  /** By another gateway: this one can only hear of it by NATS. */
  const end = async (token: string) => {
    owners.sessions.delete(sessionIdOf(token))
    await redis.del(`session:${sessionIdOf(token)}`)
  }
  const known = owners.signIn(alice)
  for (let n = 0; n < 2; n++) t.equal(await use(known), codes.success)
  t.equal(owners.lookups, 1, 'it is taken from memory')
  await server.kill()
  await eventually(async () => (await use(known)) === codes.success && owners.lookups > 1)
  const read = owners.signIn(alice)
  for (let n = 0; n < 2; n++) t.equal(await use(read), codes.success)
  for (const token of [known, read]) {
    await end(token)
    t.equal(await use(token), codes.tokenInvalid)
  }
  await server.start()
})

test('Redis is slow: nobody waits long, a logout counts at once', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const proxy = await slowProxy(t, server.url)
  const { fleet, telephone, ending } = await startWithSessions(t, { REDIS_URL: proxy.url })
  for (const delayMs of [200, 2000]) {
    proxy.delayMs = delayMs
    await livesOn(t, fleet, telephone)
  }
  await endsAtOnce(t, fleet, ending)
  proxy.delayMs = 0
  await livesOn(t, fleet, telephone)
})

test('MongoDB is away: who is known goes on as far as that goes, the others are told to come again', async (t) => {
  const server = await ownServer(t, 'mongodb')
  if (!server) return
  const { fleet, telephone, staying } = await startWithSessions(t, { MONGODB_URL: server.url })
  await server.kill()
  for (const token of [staying, 'f'.repeat(32)])
    t.equal(await fleet.use(token), errors.ServiceUnavailable.code, 'never logged out')
  await server.start()
  await eventually(async () => (await fleet.use(staying)) === 1, 20_000)
  await livesOn(t, fleet, telephone)
})

async function take(server: OwnServer, how: 'killed' | 'frozen'): Promise<void> {
  if (how === 'killed') await server.kill()
  else server.freeze()
}

async function giveBack(server: OwnServer, how: 'killed' | 'frozen'): Promise<void> {
  if (how === 'killed') await server.start()
  else server.thaw()
}
