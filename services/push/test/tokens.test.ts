import { createECDH } from 'node:crypto'
import { pushTokens } from '@im/contracts/push'
import { sessionRevoked, userDeleted } from '@im/contracts/user'
import { eventPublisher, eventually, failure, startService } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import webPush from 'web-push'
import { service } from '../src/service.ts'

const [alice, bob] = [10_000_001, 10_000_002]

async function startPush(t: Test, overrides: { now?: () => number } = {}) {
  const { publicKey, privateKey } = webPush.generateVAPIDKeys()
  const vapid = { PUSH_WEBPUSH_PUBLIC_KEY: publicKey, PUSH_WEBPUSH_PRIVATE_KEY: privateKey }
  const env = { LIMIT_FACTOR: '0', ...vapid, PUSH_WEBPUSH_SUBJECT: 'mailto:push@im.example' }
  const running = await startService(t, service, { env, overrides })
  const { tokens } = running.deps
  const has = async (userId: number) =>
    (await tokens.of([userId])).map(({ device, provider, token }) => `${device} ${provider} ${token}`).sort()
  return { ...running, has, publish: eventPublisher(t, running.env) }
}

test('a device class has one token for messages and one for calls, the last that was registered', async (t) => {
  const { api, has } = await startPush(t)
  await api.call(pushTokens.registerXiaomi, { regId: 'x1', deviceId: '2' }, { as: alice })
  await api.call(pushTokens.registerHuawei, { token: 'h1' }, { as: alice })
  await api.call(pushTokens.registerApns, { token: 'a1', isVoip: 0, appId: 'im.app' }, { as: alice })
  await api.call(pushTokens.registerApns, { token: 'a2' }, { as: alice })
  t.strictSame(await has(alice), ['android huawei h1', 'ios apns a1', 'ios apns_voip a2'])
  await api.call(pushTokens.registerBaidu, { channelId: 'b1', device: 4 }, { as: alice })
  await api.call(pushTokens.registerBaidu, { channelId: 'b2', deviceId: '2' }, { as: alice })
  t.strictSame(await has(alice), ['android baidu b1', 'ios apns_voip a2', 'ios baidu b2'])
  await api.call(pushTokens.registerBaidu, { channelId: 'b3', device: 99, deviceId: '2' }, { as: alice })
  t.strictSame(await has(alice), ['android baidu b3', 'ios apns_voip a2', 'ios baidu b2'], 'unknown numbers: Android')
})

test('a token belongs to the user who registered it last', async (t) => {
  const { api, has } = await startPush(t)
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: alice })
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  t.strictSame([await has(alice), await has(bob)], [[], ['android fcm f1']])
  await Promise.all(
    [alice, bob, alice, bob].flatMap((user) =>
      ['f2', 'f3'].map((token) => api.call(pushTokens.registerFcm, { token }, { as: user })),
    ),
  )
  const all = [...(await has(alice)), ...(await has(bob))]
  t.equal(new Set(all).size, all.length, 'nobody shares a token')
  t.ok(all.length <= 2)
})

test('of tokens that are registered in the same moment one stays', async (t) => {
  const at = Date.now()
  const { api, has } = await startPush(t, { now: () => at })
  for (let n = 0; n < 20; n++) {
    await Promise.all([
      api.call(pushTokens.registerXiaomi, { regId: `x${n}`, deviceId: '2' }, { as: alice + n }),
      api.call(pushTokens.registerHuawei, { token: `h${n}` }, { as: alice + n }),
    ])
    t.equal((await has(alice + n)).length, 1)
  }
})

test('an empty token changes nothing; one that cannot be one is refused', async (t) => {
  const { api, has } = await startPush(t)
  await api.call(pushTokens.registerVivo, { pushId: 'v1' }, { as: alice })
  await api.call(pushTokens.registerVivo, { pushId: '' }, { as: alice })
  await api.call(pushTokens.registerBaidu, {}, { as: alice })
  t.strictSame(await has(alice), ['android vivo v1'])
  await t.rejects(
    api.call(pushTokens.registerVivo, { pushId: 'x'.repeat(4097) }, { as: alice }),
    failure('InvalidParams'),
  )
  await t.rejects(api.call(pushTokens.registerVivo, { pushId: 'a\u0000b' }, { as: alice }), failure('InvalidParams'))
  for (const several of [
    api.call(pushTokens.registerXiaomi, { regId: 'mine,of another' }, { as: alice }),
    api.call(pushTokens.registerMeizu, { pushId: 'mine,of another' }, { as: alice }),
  ])
    await t.rejects(several, failure('InvalidParams'))
  const p256dh = createECDH('prime256v1').generateKeys('base64url')
  const privateHosts = ['[::1]', '2130706433', '0177.1', '169.254.169.254', '[::ffff:10.0.0.1]', '[::7f00:1]']
  for (const endpoint of [
    // As it is called it is nine times as long.
    `https://push.example/${'\u4e2d'.repeat(500)}`,
    'https://:secret@push.example/',
    'http://push.example/',
    ...privateHosts.map((host) => `https://${host}/`),
  ])
    await t.rejects(
      api.call(pushTokens.registerWebPush, { endpoint, p256dh, auth: 'A'.repeat(22) }, { as: alice }),
      failure('InvalidParams'),
      endpoint.slice(0, 40),
    )
  t.strictSame(await has(alice), ['android vivo v1'])
})

test('tokens go with the sessions of the class that registered them, and with the user', async (t) => {
  const { api, has, publish } = await startPush(t)
  const by = (device: string) => ({ as: { userId: alice, sessionId: '', device, kind: 'user' as const } })
  const point = createECDH('prime256v1').generateKeys('base64url')
  const subscription = { endpoint: 'https://push.example/x', p256dh: point, auth: 'A'.repeat(22) }
  await api.call(pushTokens.registerOppo, { pushId: 'o1' }, by('android'))
  await api.call(pushTokens.registerApns, { token: 'a1', isVoip: 0 }, by('ios'))
  await api.call(pushTokens.registerWebPush, subscription, by('pc'))
  await api.call(pushTokens.registerApns, { token: 'v1', isVoip: 1 }, by('mac'))
  const ended = (devices: string[], reason: string, at: number) =>
    publish(sessionRevoked, alice, { userId: alice, sessionIds: devices.map(() => 'x'), devices, reason, at })
  await ended(['ios'], 'refresh', Date.now())
  await ended(['android'], 'login', Date.now() - 60_000)
  await ended(['mac'], 'logout', Date.now())
  await eventually(async () => (await has(alice)).length === 3)
  t.match(await has(alice), ['android oppo o1', 'ios apns a1', /^web webpush /], 'o1 is of a later session')
  await ended(['web'], 'logout', Date.now())
  await ended(['android'], 'logout', Date.now())
  await eventually(async () => (await has(alice)).length === 2)
  t.match(await has(alice), ['ios apns a1', /^web webpush /])
  await ended(['pc'], 'logout', Date.now())
  await eventually(async () => (await has(alice)).length === 1)
  t.strictSame(await has(alice), ['ios apns a1'])
  await api.call(pushTokens.registerOppo, { pushId: 'o2' }, by('android'))
  await publish(userDeleted, alice, { userId: alice, nickname: 'alice', at: Date.now() })
  await eventually(async () => (await has(alice)).length === 0)
})

test('a call that was let in before its session ended leaves no token, whatever the clocks say', async (t) => {
  let ahead = 0
  const { api, has, publish, deps } = await startPush(t, { now: () => Date.now() + ahead })
  const by = (sessionId: string) => ({ as: { userId: alice, sessionId, device: 'android', kind: 'user' as const } })
  const ended = (sessionId: string, reason: string) =>
    publish(sessionRevoked, alice, {
      ...{ userId: alice, sessionIds: [sessionId], devices: ['android'], reason, at: Date.now() },
    })
  const isGone = () => eventually(async () => (await has(alice)).length === 0)
  ahead = 60_000
  await api.call(pushTokens.registerVivo, { pushId: 'v1' }, by('first'))
  await ended('first', 'password')
  await isGone()
  t.equal(await deps.endedSessions.has('first'), true)
  await api.call(pushTokens.registerVivo, { pushId: 'v2' }, by('first'))
  t.strictSame(await has(alice), [])

  ahead = 0
  await api.call(pushTokens.registerVivo, { pushId: 'v3' }, by('second'))
  await ended('second', 'refresh')
  await ended('another', 'login')
  await isGone()
  await api.call(pushTokens.registerVivo, { pushId: 'v4' }, by('second'))
  t.strictSame(await has(alice), ['android vivo v4'], 'who refreshes a session goes on with it')

  // It looks whether its session has ended a moment before that is noted: then whoever ends it finds the token.
  const { endedSessions } = deps
  const add = endedSessions.add.bind(endedSessions)
  endedSessions.add = async (...given) => {
    await api.call(pushTokens.registerVivo, { pushId: 'v5' }, by('third'))
    await add(...given)
  }
  await publish(sessionRevoked, alice, {
    ...{ userId: alice, sessionIds: ['third'], devices: [], reason: 'logout', at: Date.now() },
  })
  await eventually(async () => await endedSessions.has('third'))
  await isGone()
})

test('what is known of sessions that have ended goes by itself', async (t) => {
  const { deps } = await startPush(t)
  await deps.endedSessions.add(['one'], Date.now())
  await deps.endedSessions.add(['one', 'two'], Date.now())
  t.same([await deps.endedSessions.has('two'), await deps.endedSessions.has('three')], [true, false])
  const indexes = await deps.db.collection('ended_sessions').indexes()
  t.match(
    indexes.find(({ key }) => key['endedAt']),
    { expireAfterSeconds: 3600 },
  )
})
