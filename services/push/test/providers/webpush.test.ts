import { type LookupAddress, Resolver } from 'node:dns'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { hostname } from 'node:os'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { request } from 'undici'
import { boundedAgent } from '../../src/providers/http-client.ts'
import { isAllowedHost, isPublicAddress, publicLookup } from '../../src/providers/public-addresses.ts'
import { subscriptionToken } from '../../src/providers/subscription.ts'
import { startNameServer } from './name-server.ts'
import { startChannels, target } from './start-channels.ts'
import { decrypt, startWebPush } from './webpush-server.ts'

test('the test decrypts as RFC 8291 says', async (t) => {
  const body = Buffer.from(
    'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN',
    'base64url',
  )
  const key = Buffer.from('q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94', 'base64url')
  t.equal(
    decrypt(body, key, Buffer.from('BTBZMqHH6r4Tts7J_aSIgg', 'base64url')),
    'When I grow up, I want to be a watermelon',
  )
})

test('headers of a message, and what each status means', async (t) => {
  const vendor = await startWebPush(t)
  const { send } = await startChannels(t, vendor.env, { limits: { retryMs: 1 } })
  const to = [target(vendor.token(1), { device: 'web' })]
  const expiresAt = Date.now() + 60_500
  t.match(await send('webpush', to, { id: 'c'.repeat(32), expiresAt, badge: 4 }), [{ kind: 'accepted' }])
  const headers = { ttl: /^(59|60)$/, topic: 'c'.repeat(32), urgency: 'high' }
  t.match(vendor.shown[0]?.more, { tag: 'c'.repeat(32), kind: 'message', headers })
  const kinds = { '404': 'dead', '410': 'dead', '413': 'bad', '400': 'bad', '403': 'bad', '301': 'bad', '500': 'retry' }
  for (const [status, kind] of Object.entries(kinds)) {
    vendor.answers.set(vendor.token(1), status)
    const { send } = await startChannels(t, vendor.env, { limits: { retryMs: 1 } })
    t.match(await send('webpush', to), [{ kind }], status)
  }
  vendor.answers.set(vendor.token(1), '429')
  t.match(await send('webpush', to), [{ kind: 'slow', retryAfterMs: 7000 }])
})

test('a server in trouble is left alone, and costs the others nothing', async (t) => {
  const broken = await startWebPush(t)
  const { send, lines } = await startChannels(t, broken.env, { limits: { retryMs: 1 } })
  const to = [target(broken.token(1), { device: 'web' })]
  broken.answers.set(broken.token(1), '403')
  await eventually(async () => (await send('webpush', to))[0]?.kind === 'slow')
  const { send: calls } = broken.calls
  t.match(await send('webpush', to), [{ kind: 'slow' }])
  t.equal(broken.calls.send, calls, 'it is not called any more')
  t.equal(lines.filter(({ level }) => level === 'error').length, 0, 'our key is not blamed')
  t.match(await send('webpush', [target(broken.token(2), { device: 'web' })]), [{ kind: 'accepted' }], 'of one alone')
  for (let n = 10; n < 20; n++) broken.answers.set(broken.token(n), '400')
  for (let n = 10; n < 20; n++)
    t.match(await send('webpush', [target(broken.token(n), { device: 'web' })]), [{ kind: 'bad' }])
  t.match(await send('webpush', [target(broken.token(2), { device: 'web' })]), [{ kind: 'accepted' }])
  broken.answers.set(broken.token(3), '500')
  const failing = [target(broken.token(3), { device: 'web' })]
  await eventually(async () => (await send('webpush', failing))[0]?.kind === 'slow')
  t.match(await send('webpush', [target(broken.token(2), { device: 'web' })]), [{ kind: 'slow' }], 'all of its own')
  // Another server of the same provider works on.
  const good = await startWebPush(t)
  const { send: sendThere } = await startChannels(t, good.env)
  t.match(await sendThere('webpush', [target(good.token(1), { device: 'web' })]), [{ kind: 'accepted' }])
})

test('a server that calls all its subscriptions dead keeps no other one from being believed', async (t) => {
  const vendor = await startWebPush(t)
  const { send } = await startChannels(t, vendor.env, { limits: { deathsAlways: 2 } })
  const to = target(vendor.token(1), { device: 'web' })
  const elsewhere = vendor.token(1).replace(/127\.0\.0\.1(:\d+)[^"]*/, 'localhost$1/unknown')
  const kinds: string[] = []
  for (let n = 0; n < 5; n++)
    for (const { kind } of await send('webpush', [target(elsewhere, { device: 'web' })])) kinds.push(kind)
  t.strictSame(kinds, ['dead', 'dead', 'doubtful', 'doubtful', 'doubtful'])
  vendor.answers.set(vendor.token(1), '410')
  t.match(await send('webpush', [to]), [{ kind: 'dead' }])
})

test('addresses that users name lead out of the house', async (t) => {
  for (const inside of [
    '127.0.0.1',
    '10.1.2.3',
    '192.168.1.1',
    '169.254.169.254',
    '::1',
    '::ffff:127.0.0.1',
    'fd00::1',
    '::127.0.0.1',
    '::7f00:1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
  ])
    t.equal(isPublicAddress(inside), false, inside)
  for (const outside of ['1.2.3.4', '2606:4700::1111', '::ffff:1.2.3.4'])
    t.equal(isPublicAddress(outside), true, outside)
  for (const host of ['[::1]', new URL('https://[::127.0.0.1]/').hostname]) t.equal(isAllowedHost(host), false, host)
  t.equal(isAllowedHost('push.example.org'), true)
  const vendor = await startWebPush(t)
  const { PUSH_WEBPUSH_ALLOW_PRIVATE: _, ...env } = vendor.env
  const { send } = await startChannels(t, env)
  t.match(await send('webpush', [target(vendor.token(1), { device: 'web' })]), [{ kind: 'bad' }])
  // A name that leads to this machine.
  const named = vendor.token(1).replace('127.0.0.1', 'localhost')
  t.match(await send('webpush', [target(named, { device: 'web' })]), [{ kind: 'retry' }])
  t.equal(vendor.calls.send, 0)
})

test('names that users give lead to public addresses only, and those that nobody answers for hold up no other one', async (t) => {
  const names = await startNameServer(t, {
    'mixed.test': ['127.0.0.1', '1.2.3.4', '10.0.0.1', '5.6.7.8'],
    'inside.test': ['169.254.169.254'],
    'nothing.test': [],
  })
  const resolver = new Resolver({ timeout: 500, tries: 1 })
  resolver.setServers([names.address])
  const lookup = publicLookup(resolver)
  const find = (name: string, options = {}) =>
    new Promise<LookupAddress[]>((resolve, reject) =>
      lookup(name, { all: true, ...options }, (error, found) =>
        error ? reject(error) : resolve(found as LookupAddress[]),
      ),
    )
  let isSilenceOver = false
  const silent = Promise.allSettled(Array.from({ length: 50 }, (_, n) => find(`n${n}.silent.test`))).then((all) => {
    isSilenceOver = true
    return all
  })
  t.strictSame(await find('mixed.test'), [
    { address: '1.2.3.4', family: 4 },
    { address: '5.6.7.8', family: 4 },
  ])
  t.strictSame(await find('mixed.test', { family: 4 }), await find('mixed.test', { family: 'IPv4' }))
  for (const name of ['inside.test', 'nothing.test', 'a..b']) await t.rejects(find(name), name)
  await t.rejects(find('mixed.test', { family: 6 }))
  t.notOk(isSilenceOver)
  t.strictSame(new Set((await silent).map(({ status }) => status)), new Set(['rejected']))
  const one = await new Promise((resolve) => lookup('mixed.test', {}, (...found) => resolve(found)))
  t.strictSame(one, [null, '1.2.3.4', 4])
})

test('no name and no answer leads a call into the house', async (t) => {
  let connections = 0
  const count = (socket: Socket) => {
    connections++
    socket.destroy()
  }
  const inside = createServer(count).listen(0, '::')
  await once(inside, 'listening')
  t.after(() => inside.close())
  const { port } = inside.address() as AddressInfo
  const names = await startNameServer(t, {
    'loopback.test': ['127.0.0.1', '::1'],
    'mapped.test': ['::ffff:127.0.0.1'],
    'compatible.test': ['::127.0.0.1'],
    'translated.test': ['64:ff9b::7f00:1', '2002:7f00:1::'],
    'any.test': ['0.0.0.0', '::'],
    // What is looked at is another address than what is called.
    'changing.test': (n) => (n === 0 ? ['1.2.3.4'] : ['127.0.0.1']),
  })
  const resolver = new Resolver({ timeout: 1000, tries: 1 })
  resolver.setServers([names.address])
  const lookup = publicLookup(resolver)
  const agent = boundedAgent({ ca: undefined, connections: 20, timeoutMs: 500, lookup })
  t.after(() => agent.close())
  const call = (name: string) =>
    t.rejects(request(`https://${name}:${port}/push/1`, { method: 'POST', body: 'x', dispatcher: agent }), name)
  for (const name of ['loopback', 'mapped', 'compatible', 'translated', 'any']) await call(`${name}.test`)
  await new Promise<void>((resolve, reject) =>
    lookup('changing.test', { family: 4 }, (error) => (error ? reject(error) : resolve())),
  )
  await call('changing.test')
  for (const name of ['localhost', 'localhost.', hostname()]) await call(name)
  t.equal(connections, 0)
  t.equal(isPublicAddress('1.2.3.4', ['::1', '1.2.3.4']), false, 'its own address')
  for (const written of ['127.1', '0x7f.1', '2130706433', '127.0.0.1.', '[::ffff:127.0.0.1]', '0'])
    t.equal(isAllowedHost(new URL(`https://${written}/`).hostname), false, written)

  const vendor = await startWebPush(t)
  const { send } = await startChannels(t, vendor.env, { limits: { retryMs: 1 } })
  vendor.token(2)
  for (const status of ['301', '302', '307', '308']) {
    vendor.answers.set(vendor.token(1), status)
    t.match(await send('webpush', [target(vendor.token(1), { device: 'web' })]), [{ kind: 'bad' }])
  }
  t.equal(vendor.calls.send, 4, 'an answer that leads elsewhere is not followed')
})

test('subscriptions are checked before they are stored', async (t) => {
  const vendor = await startWebPush(t)
  const { keys } = JSON.parse(vendor.token(1)) as { keys: { p256dh: string; auth: string } }
  const good = { endpoint: 'https://push.example.org/1', ...keys }
  t.equal(subscriptionToken(good), subscriptionToken({ ...good }))
  for (const wrong of [
    { endpoint: 'http://push.example.org/1' },
    { endpoint: 'nonsense' },
    { endpoint: `https://push.example.org/${'x'.repeat(3000)}` },
    { endpoint: 'https://user:password@push.example.org/1' },
    { p256dh: 'AAAA' },
    { p256dh: Buffer.concat([Buffer.of(4), Buffer.alloc(64, 7)]).toString('base64url') },
    { auth: 'AAAA' },
  ])
    t.throws(() => subscriptionToken({ ...good, ...wrong }), failure('InvalidParams'))
})
