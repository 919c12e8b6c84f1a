import { once } from 'node:events'
import { createSecureServer, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { Http2Client } from '../../src/providers/http2-client.ts'
import { service } from '../../src/service.ts'
import { startApns, topic } from './apns-server.ts'
import { makeCertificate } from './certificates.ts'
import { startChannels, target } from './start-channels.ts'

const phone = (token: string, registeredAt = Date.now() - 60_000) =>
  target(token, { device: 'ios', app: topic, registeredAt })

test('headers and payload of a message, of a withdrawn one and of a call', async (t) => {
  const apns = await startApns(t)
  const { send, channels } = await startChannels(t, apns.env)
  const expiresAt = Date.now() + 60_000
  t.equal(channels.of('apns').replaces, true)
  await send('apns', [phone(apns.token(1))], { id: 'c'.repeat(32), threadId: 'room', badge: 7, expiresAt })
  await send('apns', [phone(apns.token(1))], { id: 'c'.repeat(32), kind: 'withdrawn', isSilent: true, body: '撤回' })
  await send('apns_voip', [phone(apns.token(1))], { id: 'd'.repeat(32), kind: 'call', data: { messageType: '100' } })
  await send('apns', [phone(apns.token(1))], { id: '消息'.repeat(20) })
  t.strictSame(apns.problems, [])
  const [message, withdrawn, call, longId] = apns.shown
  t.match(message, {
    badge: 7,
    data: { messageType: '1' },
    more: {
      aps: { sound: 'default', 'thread-id': 'room' },
      collapseId: 'c'.repeat(32),
      expiration: String(Math.floor(expiresAt / 1000)),
      type: 'alert',
    },
  })
  t.match(withdrawn, { body: '撤回', more: { collapseId: 'c'.repeat(32) } })
  t.notMatch(withdrawn, { more: { aps: { sound: 'default' } } })
  t.match(call, { data: { messageType: '100' }, more: { type: 'voip', collapseId: undefined } })
  t.equal(String(longId?.more['collapseId']).length, 43, 'a long id is hashed')
})

test('what each answer means', async (t) => {
  const apns = await startApns(t)
  const meanings: Record<string, string> = {
    ...{ Unregistered: 'dead', ExpiredToken: 'dead', BadDeviceToken: 'dead', DeviceTokenNotForTopic: 'dead' },
    ...{
      TooManyRequests: 'slow',
      PayloadEmpty: 'bad',
      BadPath: 'bad',
      MethodNotAllowed: 'bad',
      PayloadTooLarge: 'bad',
    },
    ...{ InternalServerError: 'retry', Shutdown: 'retry', Unheard: 'bad' },
  }
  const { send } = await startChannels(t, apns.env)
  for (const [reason, kind] of Object.entries(meanings)) {
    apns.answers.set(apns.token(1), reason)
    t.match(await send('apns', [phone(apns.token(1))]), [{ kind }], reason)
  }
  for (const reason of ['Forbidden', 'TopicDisallowed', 'BadTopic', 'InvalidProviderToken']) {
    const { send } = await startChannels(t, apns.env)
    apns.answers.set(apns.token(1), reason)
    t.match(await send('apns', [phone(apns.token(1))]), [{ kind: 'credentials' }], reason)
  }
})

test('a token that was registered after it died lives', async (t) => {
  const apns = await startApns(t)
  const { send } = await startChannels(t, apns.env)
  apns.answers.set(apns.token(1), 'Unregistered')
  apns.gone.since = Date.now() - 3_600_000
  t.strictSame(await send('apns', [phone(apns.token(1))]), [{ kind: 'dead', since: apns.gone.since }])
})

test('one signed token for all calls; a new one when Apple finds it old, none when our clock is wrong', async (t) => {
  const apns = await startApns(t)
  const clock = { now: Date.now() }
  const { send } = await startChannels(t, apns.env, { now: () => clock.now })
  const expiresAt = Date.now() + 86_400_000
  const phones = Array.from({ length: 30 }, (_, number) => phone(apns.token(number)))
  await send('apns', phones, { expiresAt })
  t.equal(apns.teamTokens.size, 1)
  t.equal(apns.opened.count, 1, 'over one session')
  // Apple's clock is ahead: after 25 of our minutes the token is too old for it.
  clock.now += 25 * 60_000
  apns.clock.ahead = 61 * 60_000
  t.match(await send('apns', phones.slice(0, 1), { expiresAt }), [{ kind: 'accepted' }])
  t.equal(apns.teamTokens.size, 2)
  apns.clock.ahead = 180 * 60_000
  for (let times = 0; times < 2; times++)
    t.match(await send('apns', phones.slice(0, 1), { expiresAt }), [{ kind: 'credentials' }])
  t.equal(apns.teamTokens.size, 2, 'a young token that is refused is not renewed')
})

test('the token is renewed before its hour ends', async (t) => {
  const apns = await startApns(t)
  const clock = { now: Date.now() }
  const { send } = await startChannels(t, apns.env, { now: () => clock.now })
  const expiresAt = Date.now() + 86_400_000
  await send('apns', [phone(apns.token(1))], { expiresAt })
  clock.now += 55 * 60_000
  apns.clock.ahead = 55 * 60_000
  t.match(await send('apns', [phone(apns.token(1))], { expiresAt }), [{ kind: 'accepted' }])
  t.equal(apns.teamTokens.size, 2)
  t.strictSame(apns.problems, [])
})

test('a client certificate instead of a key', async (t) => {
  const own = await makeCertificate('Apple Push Services')
  const apns = await startApns(t, { clientCertificate: own })
  const { PUSH_APNS_TOPICS = '', PUSH_APNS_URL = '', PUSH_CA = '' } = apns.env
  const env = {
    ...{ PUSH_APNS_TOPICS, PUSH_APNS_URL, PUSH_CA },
    ...{ PUSH_APNS_CERTIFICATE: own.cert.replaceAll('\n', '\\n'), PUSH_APNS_CERTIFICATE_KEY: own.key },
  }
  const { send } = await startChannels(t, env)
  t.match(await send('apns', [phone(apns.token(1))]), [{ kind: 'accepted' }])
  t.match(await send('apns_voip', [phone(apns.token(1))]), [{ kind: 'accepted' }])
  t.strictSame(apns.problems, [])
})

test('a device whose app is none of ours counts as one of the first app', async (t) => {
  const apns = await startApns(t)
  const { send } = await startChannels(t, apns.env)
  const other = target(apns.token(1), { device: 'ios', app: 'com.elsewhere' })
  t.match(await send('apns', [other]), [{ kind: 'accepted' }])
})

test('sessions that are sent away are drained; what they did not take is sent again', async (t) => {
  const apns = await startApns(t)
  const { send } = await startChannels(t, apns.env)
  await send('apns', [phone(apns.token(0))])
  const gate = Promise.withResolvers<void>()
  apns.gate.open = gate.promise
  const running = send('apns', [phone(apns.token(1))])
  await eventually(() => apns.calls.send === 2)
  apns.goAway()
  await eventually(async () => {
    const calls = apns.calls.send
    void send('apns', [phone(apns.token(2))])
    await eventually(() => apns.calls.send > calls)
    return apns.opened.count >= 2
  })
  gate.resolve()
  t.match(await running, [{ kind: 'accepted' }], 'what ran on the old session is answered')
  await eventually(() => apns.sessions() === 1)
  apns.gate.open = Promise.resolve()

  apns.troubles.push('hangs')
  const refused = send('apns', [phone(apns.token(3))])
  const before = apns.calls.send
  await eventually(() => apns.calls.send > before || apns.troubles.length === 0)
  apns.goAway('refusing')
  t.match(await refused, [{ kind: 'accepted' }])

  apns.destroySessions()
  t.match(await send('apns', [phone(apns.token(4))]), [{ kind: 'accepted' }])
  t.equal(apns.shown.filter(({ token }) => token === apns.token(4)).length, 1)
})

test('a silent server costs one session, not all that comes later', async (t) => {
  const apns = await startApns(t)
  const { send } = await startChannels(t, { ...apns.env, PUSH_TIMEOUT_MS: '1000' })
  apns.troubles.push('hangs')
  t.match(await send('apns', [phone(apns.token(1))]), [{ kind: 'accepted' }])
  t.equal(apns.opened.count, 2)
})

test('an end does not wait for a session that ends already', async (t) => {
  const apns = await startApns(t)
  const { send, channels } = await startChannels(t, apns.env)
  apns.gate.open = new Promise(() => {})
  const running = send('apns', [phone(apns.token(1))])
  await eventually(() => apns.calls.send === 1)
  apns.goAway()
  // Another session is open when the first one does not take requests any more.
  await eventually(async () => {
    const calls = apns.calls.send
    void send('apns', [phone(apns.token(2))])
    await eventually(() => apns.calls.send > calls)
    return apns.opened.count === 2
  })
  const closed = channels.close().then(() => 'closed')
  t.equal(await Promise.race([closed, delay(5000, 'open', { ref: false })]), 'closed')
  t.match(await running, [{ kind: 'retry' }])
})

test('a connection that its server sends away and keeps open is cut', async (t) => {
  const { cert, key } = await makeCertificate('127.0.0.1')
  const server = createSecureServer({ cert, key })
  const sessions = new Set<ServerHttp2Session>()
  let streams = 0
  server.on('session', (session) => sessions.add(session.on('error', () => {})))
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    if (++streams === 50) stream.session?.goaway(0)
    stream.respond({ ':status': 200 })
    stream.end(headers[':path'] === '/long' ? ' '.repeat(1_000_000) : '{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = new Http2Client({ url: `https://127.0.0.1:${port}`, ca: cert, timeoutMs: 300 })
  const post = (path = '/') => client.post({ ':path': path }, '{}', new AbortController().signal)
  await Promise.allSettled(Array.from({ length: 100 }, () => post()))
  t.match(await post(), { status: 200 })
  await t.rejects(post('/long'), 'no answer fills the memory')
  t.equal(sessions.size, 2)
  const closed = client.close().then(() => 'closed')
  t.equal(await Promise.race([closed, delay(5000, 'open', { ref: false })]), 'closed')
  for (const session of sessions) session.destroy()
  server.close()
})

test('a server that allows one request at a time gets one at a time', async (t) => {
  const apns = await startApns(t, { maxStreams: 1 })
  const { send } = await startChannels(t, apns.env)
  await send('apns', [phone(apns.token(0))])
  const phones = Array.from({ length: 50 }, (_, number) => phone(apns.token(number)))
  t.strictSame(new Set((await send('apns', phones)).map(({ kind }) => kind)), new Set(['accepted']))
  t.equal(apns.running.most, 1)
})

test('tokens of development builds are tried at the other address only where that is switched on', async (t) => {
  const certificate = await makeCertificate('apns')
  const production = await startApns(t, { certificate })
  const sandbox = await startApns(t, { certificate })
  const token = production.token(1)
  production.answers.set(token, 'BadDeviceToken')
  const { send: never } = await startChannels(t, { ...production.env, PUSH_APNS_SANDBOX_URL: sandbox.url })
  t.match(await never('apns', [phone(token)]), [{ kind: 'dead' }])
  t.equal(sandbox.calls.send, 0)
  // The sandbox knows another key, so the answer tells who was asked.
  const env = { ...production.env, PUSH_APNS_SANDBOX_URL: sandbox.url, PUSH_APNS_TRY_SANDBOX: 'true' }
  const { send } = await startChannels(t, env)
  t.match(await send('apns', [phone(token)]), [{ kind: 'credentials' }])
  t.equal(sandbox.calls.send, 1)
})

test('half a configuration does not start', async (t) => {
  const apns = await startApns(t)
  const problems = (env: Record<string, string>) => {
    try {
      service.readConfig({ ...env, NODE_ENV: 'test' })
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }
  const { PUSH_APNS_KEY_ID: _, ...half } = apns.env
  t.match(problems(half), /PUSH_APNS_KEY_ID must be set to push through APNs/)
  t.match(problems({ ...apns.env, PUSH_APNS_KEY: 'no key' }), /PUSH_APNS_KEY is no private key/)
  t.match(
    problems({ PUSH_APNS_CERTIFICATE: 'x', PUSH_APNS_CERTIFICATE_KEY: 'y', PUSH_APNS_TOPICS: 'z' }),
    /PUSH_APNS_CERTIFICATE is no certificate/,
  )
  t.equal(problems(apns.env), '')
  t.equal(problems({}), '')
})
