import { setTimeout as delay } from 'node:timers/promises'
import { errors } from '@im/contracts'
import { accounts, profiles } from '@im/contracts/user'
import {
  createTestClient,
  eventually,
  type OwnServer,
  ownServer,
  slowProxy,
  startService,
} from '@im/service-kit/testing'
import { service as userService } from '@im/user'
import { type Test, test } from 'tap'
import { service } from '../src/service.ts'
import { everyServiceAt } from './stage.ts'

const quick = { ARGON2_MEMORY_KIB: '64', ARGON2_PASSES: '1', LIMIT_FACTOR: '0' }
const password = 'e10adc3949ba59abbe56e057f20f883e'
const dead = errors.TokenInvalid.code

/** The gateway and the user service together, as apps meet them. */
async function startFleet(t: Test, env: Record<string, string>) {
  const user = await startService(t, userService, { env: { ...quick, ...env } })
  const { NAMESPACE: namespace = '' } = user.env
  const gateway = await startService(t, service, {
    env: { ...quick, ...env, NAMESPACE: namespace, ...everyServiceAt(user.url) },
  })
  const apps = createTestClient({ baseUrl: gateway.url, timeout: 15_000 })
  t.after(() => apps.close())
  let phones = 13_900_000_000
  let devices = 0

  return {
    gateway,
    async register(): Promise<string> {
      const telephone = String(++phones)
      await apps.call(accounts.register, { telephone, password, nickname: 'alice' })
      return telephone
    },
    /** A session of its own. */
    async logIn(telephone: string): Promise<string> {
      const deviceKey = ['android', 'ios', 'pc', 'mac', 'web'][devices++ % 5] as string
      return (await apps.call(accounts.login, { telephone, password, deviceKey })).access_token
    },
    logOut: (token: string) => apps.call(accounts.logout, {}, { token }),
    /** What a call with this token gives. */
    use: async (token: string) => (await apps.envelope(profiles.getUser, {}, { token })).resultCode,
  }
}

type Fleet = Awaited<ReturnType<typeof startFleet>>

/** Logs in, calls, logs out: all of it works, soon, and the token is dead within `deadWithinMs`. */
async function livesOn(t: Test, fleet: Fleet, telephone: string, deadWithinMs = 2000): Promise<void> {
  const startedAt = performance.now()
  const token = await fleet.logIn(telephone)
  for (let n = 0; n < 3; n++) t.equal(await fleet.use(token), 1)
  t.ok(performance.now() - startedAt < 6000, `logged in and called in ${performance.now() - startedAt} ms`)
  await fleet.logOut(token)
  await eventually(async () => (await fleet.use(token)) === dead, deadWithinMs)
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

async function endsSoon(fleet: Fleet, token: string, deadWithinMs: number): Promise<void> {
  await fleet.logOut(token)
  await eventually(async () => (await fleet.use(token)) === dead, deadWithinMs)
}

for (const how of ['killed', 'frozen'] as const) {
  test(`Redis is ${how}: sessions resolve, logins work, a logout counts at once`, async (t) => {
    const server = await ownServer(t, 'redis')
    if (!server) return
    const { fleet, telephone, staying, ending } = await startWithSessions(t, { REDIS_URL: server.url })
    const startedAt = Date.now()
    await take(server, how)
    await endsSoon(fleet, ending, 2000)
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
  test(`NATS is ${how}: a logout counts ${how === 'killed' ? 'at once' : 'within seconds, then at once'}`, async (t) => {
    const server = await ownServer(t, 'nats')
    if (!server) return
    const { fleet, telephone, staying, ending } = await startWithSessions(t, { NATS_URL: server.url })
    await take(server, how)
    // Until it is known to be gone, nobody can tell that a word was lost.
    await endsSoon(fleet, ending, how === 'killed' ? 2000 : 10_000)
    await livesOn(t, fleet, telephone)
    t.equal(await fleet.use(staying), 1)
    await giveBack(server, how)
    await eventually(async () => (await fetch(`${fleet.gateway.urls[1]}/readyz`)).status === 200, 20_000)
    t.equal(await fleet.use(ending), dead)
    await livesOn(t, fleet, telephone)
    t.equal(await fleet.use(staying), 1)
  })
}

test('Redis is slow: nobody waits long, a logout counts at once', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const proxy = await slowProxy(t, server.url)
  const { fleet, telephone, ending } = await startWithSessions(t, { REDIS_URL: proxy.url })
  for (const delayMs of [200, 2000]) {
    proxy.delayMs = delayMs
    await livesOn(t, fleet, telephone, 3000)
  }
  await endsSoon(fleet, ending, 3000)
  proxy.delayMs = 0
  await livesOn(t, fleet, telephone, 3000)
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
  await livesOn(t, fleet, telephone, 2000)
})

async function take(server: OwnServer, how: 'killed' | 'frozen'): Promise<void> {
  if (how === 'killed') await server.kill()
  else server.freeze()
}

async function giveBack(server: OwnServer, how: 'killed' | 'frozen'): Promise<void> {
  if (how === 'killed') await server.start()
  else server.thaw()
}
