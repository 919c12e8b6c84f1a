import { sessionRevoked } from '@im/contracts/user'
import { signCaller } from '@im/service-kit'
import { eventPublisher, eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, codes, form, newToken, sessionIdOf, startGateway } from './stage.ts'

test('the caller of a call is the owner of its token', async (t) => {
  const { call, owners } = await startGateway(t)
  const token = owners.signIn(alice)
  const answer = await call(`/user/get?access_token=${token}`)
  t.equal(answer.resultCode, codes.success)
  t.strictSame(answer.data.caller, { ...alice, kind: 'user', sessionId: sessionIdOf(token) })
  t.equal(answer.data.ip, '127.0.0.1')
  t.ok(Math.abs(answer.currentTime - Date.now()) < 5000)
})

test('a token is found in the query, in any body and in the header, in this order', async (t) => {
  const { call, owners } = await startGateway(t)
  const token = owners.signIn(alice)
  const other = owners.signIn(bob)
  const bearer = { authorization: `Bearer ${other}` }
  const multipart = new FormData()
  multipart.set('access_token', token)
  const calls: [string, RequestInit][] = [
    [`/user/get?access_token=${token}`, form({ access_token: other }, bearer)],
    [`/user/get?a=%20b&access%5Ftoken=${token}`, form({ access_token: other }, bearer)],
    [`/user/get?old_access_token=${other}&access_token=${token}`, form({}, bearer)],
    ['/user/get?access_token=', form({ access_token: token }, bearer)],
    ['/user/get', form({ access_token: token }, bearer)],
    [
      '/user/get',
      {
        method: 'POST',
        body: JSON.stringify({ access_token: token }),
        headers: { ...bearer, 'content-type': 'application/json' },
      },
    ],
    ['/user/get', { method: 'POST', body: multipart, headers: bearer }],
    ['/user/get', { method: 'POST', body: Buffer.from(`access_token=${token}`) }],
    ['/user/get', { method: 'POST', body: Buffer.from(`a=1&access%5Ftoken=${token}`) }],
    [
      '/user/get',
      {
        method: 'POST',
        body: `{"access\\u005ftoken":"${token}"}`,
        headers: { 'content-type': 'application/json' },
      },
    ],
    ['/user/get', { headers: { authorization: `bearer ${token}` } }],
  ]
  for (const [path, options] of calls) {
    const { resultCode, data } = await call(path, options)
    t.equal(resultCode, codes.success, `${path} ${JSON.stringify(options)}`)
    t.equal(data.caller?.userId, alice.userId, `${path} ${JSON.stringify(options)}`)
  }
})

test('no token and a token that is not live are told apart', async (t) => {
  const { call, owners } = await startGateway(t)
  t.equal((await call('/user/get')).resultCode, codes.tokenMissing)
  t.equal((await call('/user/get?access_token=%20')).resultCode, codes.tokenMissing)
  t.equal((await call(`/user/get?access_token=${newToken()}`)).resultCode, codes.tokenInvalid)
  t.equal(owners.lookups, 1)
  t.equal((await call(`/user/get?access_token=${'x'.repeat(5000)}`)).resultCode, codes.tokenInvalid)
  t.equal(owners.lookups, 1, 'what is far too long for a token is not looked up')
  const expired = owners.signIn(alice, -1)
  t.equal((await call(`/user/get?access_token=${expired}`)).resultCode, codes.tokenInvalid)
  const english = await call('/user/get', form({ language: 'en' }))
  t.equal(english.resultMsg, 'Access token missing')
})

test('where no token is needed one is ignored, live or not', async (t) => {
  const { call, owners } = await startGateway(t)
  const live = await call(`/config?access_token=${owners.signIn(alice)}`)
  t.equal(live.resultCode, codes.success)
  t.equal(live.data.caller, undefined)
  t.equal((await call(`/config?access_token=${newToken()}`)).resultCode, codes.success)
  t.equal(owners.lookups, 0)
})

test('an optional token gives the caller when it is live', async (t) => {
  const { call, owners } = await startGateway(t)
  const path = '/optional'
  t.equal((await call(`${path}?access_token=${owners.signIn(alice)}`)).data.caller?.userId, alice.userId)
  const guest = await call(`${path}?access_token=${newToken()}`)
  t.equal(guest.resultCode, codes.success)
  t.equal(guest.data.caller, undefined)
})

test('a session in Redis is not asked from the user service, and one is looked up once', async (t) => {
  const { call, owners, redis } = await startGateway(t)
  const token = owners.signIn(alice)
  await owners.copy(redis, token)
  t.equal((await call(`/user/get?access_token=${token}`)).data.caller?.userId, alice.userId)
  t.equal(owners.lookups, 0)
  const asked = owners.signIn(bob)
  for (let n = 0; n < 3; n++) await call(`/user/get?access_token=${asked}`)
  const unknown = newToken()
  for (let n = 0; n < 3; n++) await call(`/user/get?access_token=${unknown}`)
  t.equal(owners.lookups, 2)
})

test('a session is not believed beyond its end', async (t) => {
  const { call, owners } = await startGateway(t)
  const token = owners.signIn(alice, 2000)
  t.equal((await call(`/user/get?access_token=${token}`)).resultCode, codes.success)
  await eventually(async () => (await call(`/user/get?access_token=${token}`)).resultCode === codes.tokenInvalid)
})

test('a revoked session is refused from the moment the broadcast is out', async (t) => {
  const { call, owners, revoke } = await startGateway(t)
  const token = owners.signIn(alice)
  const other = owners.signIn(bob)
  await call(`/user/get?access_token=${token}`)
  await call(`/user/get?access_token=${other}`)
  await revoke(token)
  await eventually(async () => (await call(`/user/get?access_token=${token}`)).resultCode === codes.tokenInvalid, 200)
  t.equal((await call(`/user/get?access_token=${other}`)).resultCode, codes.success)
  t.equal((await call(`/config/set?access_token=${token}`)).resultCode, codes.tokenInvalid, 'where roles are read, too')
  t.equal(owners.lookups, 2)
})

test('a session is refused from the moment its end is an event, whether or not it was broadcast', async (t) => {
  const { call, owners, env } = await startGateway(t)
  const token = owners.signIn(alice)
  await call(`/user/get?access_token=${token}`)
  owners.sessions.delete(sessionIdOf(token))
  const ended = { userId: alice.userId, sessionIds: [sessionIdOf(token)], devices: ['android'], reason: 'logout' }
  await eventPublisher(t, env)(sessionRevoked, alice.userId, { ...ended, at: Date.now() })
  const isRefused = async () => (await call(`/user/get?access_token=${token}`)).resultCode === codes.tokenInvalid
  t.ok(await eventually(isRefused, 1000))
})

test('a session revoked while it is being looked up is not remembered', async (t) => {
  const { call, owners, revoke, bus } = await startGateway(t)
  const token = owners.signIn(alice)
  const heard = new Promise<void>((resolve) => bus.listen(sessionRevoked, () => resolve()))
  let revoked: Promise<void> | undefined
  const lookedUp = owners.sessions.get(sessionIdOf(token))
  owners.beforeLookup = async () => {
    if (revoked) return
    revoked = revoke(token)
    await revoked
    await heard
    // The lookup answers with what it read before the end of the session.
    if (lookedUp) owners.sessions.set(sessionIdOf(token), lookedUp)
  }
  await call(`/user/get?access_token=${token}`)
  owners.sessions.delete(sessionIdOf(token))
  t.equal((await call(`/user/get?access_token=${token}`)).resultCode, codes.tokenInvalid)
})

test('nobody but the gateway says who calls', async (t) => {
  const { call, owners } = await startGateway(t)
  const token = owners.signIn(alice)
  const forged = signCaller(
    ['test-caller-key'],
    { caller: { ...bob, sessionId: 'x', kind: 'user' }, ip: '6.6.6.6', requestId: 'forged', proto: 'http', host: '' },
    { method: 'GET', url: `/user/get?access_token=${token}` },
  )
  const answer = await call(`/user/get?access_token=${token}`, {
    headers: { 'x-im-caller': forged, 'X-Forwarded-For': '6.6.6.6' },
  })
  t.equal(answer.data.caller?.userId, alice.userId)
  t.equal(answer.data.ip, '127.0.0.1')
  t.equal((await call('/config', { headers: { 'x-im-caller': forged } })).data.caller, undefined)
})

test('the service key passes only when it is right, and opens no internal path', async (t) => {
  const { call } = await startGateway(t)
  const withKey = (key: string) => ({ headers: { 'x-service-key': key } })
  t.equal((await call('/config', withKey('wrong'))).data.isInternal, false)
  t.equal((await call('/config', withKey('test-service-key'))).data.isInternal, true)
  const internal = await call(`/internal/sessions/resolve?sessionId=x`, withKey('test-service-key'))
  t.equal(internal.resultCode, codes.unknown)
})

test('the client of a trusted proxy is whom it names', async (t) => {
  const { call } = await startGateway(t, { TRUSTED_PROXIES: '127.0.0.0/8, 10.0.0.0/8' })
  const from = async (header: string) => (await call('/config', { headers: { 'x-forwarded-for': header } })).data.ip
  t.equal(await from('203.0.113.9'), '203.0.113.9')
  t.equal(await from('1.1.1.1, 203.0.113.9, 10.1.2.3'), '203.0.113.9')
  t.equal(await from('rubbish'), '127.0.0.1')
  t.equal(await from('::ffff:198.51.100.7'), '198.51.100.7')
})
