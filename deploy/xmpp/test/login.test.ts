/** Who gets a stream, and for how long. */
import { connect } from 'node:net'
import { test } from 'tap'
import { alice, bob, Client, join, plainSecret } from './client.ts'
import { eventually } from './eventually.ts'
import { startMessageService } from './message-service.ts'
import { passwordOf, startProsody } from './prosody.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

test('the user service decides on a login, and says what the stream stands for', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const token = 'b'.repeat(32)
  prosody.users.tokens.set(alice, { token, session: 'c'.repeat(64) })
  const [byToken, byPassword] = [
    await join(prosody, alice, { resource: 'pc', password: token }),
    await join(prosody, alice, { resource: 'ios' }),
  ]
  t.equal(byToken.jid, `${alice}@im.test/pc`)
  t.equal(service.state(await service.stream(byToken.jid))['login'], `t:${'c'.repeat(64)}`)
  t.equal(service.state(await service.stream(byPassword.jid))['login'], 'p:1')
  t.strictSame(prosody.users.calls[0], { userId: Number(alice), password: token, ip: '127.0.0.1' })
})

test('a wrong password and a service out of reach are told apart', async (t) => {
  const prosody = await startProsody(t)
  const client = await new Client(prosody, alice).connect()
  const refused = await client.authenticate(passwordOf(bob))
  t.ok(refused.getChild('not-authorized'))
  t.equal(refused.getChildText('text'), 'Password not verified')
  prosody.users.mode = 'down'
  t.ok((await client.authenticate()).getChild('temporary-auth-failure'))
  // Its database is away, it has failed, it does not know our key.
  for (const resultCode of [1020104, 1020101, 1030201]) {
    prosody.users.mode = { resultCode }
    const other = await new Client(prosody, alice).connect()
    t.ok((await other.authenticate()).getChild('temporary-auth-failure'), `${resultCode}`)
    t.match(prosody.log, `result code ${resultCode}`)
  }
  // No such account, locked, tried too often, no question.
  for (const resultCode of [1040101, 1040304, 1040114, 1010101]) {
    prosody.users.mode = { resultCode }
    const other = await new Client(prosody, alice).connect()
    t.ok((await other.authenticate()).getChild('not-authorized'), `${resultCode}`)
  }
  prosody.users.mode = 'up'
  t.equal((await client.authenticate()).name, 'success')
})

test('a user id has one spelling, a password is 32 hex digits; nothing else is shown to the user service', async (t) => {
  const prosody = await startProsody(t)
  const spellings = [
    `0${alice}`,
    `00${alice}`,
    '0',
    '-1',
    '+1',
    '1.0',
    '1e7',
    '0x1',
    ' 1',
    '１０００００００１',
    'alice',
    '12345678901',
    `${alice}@elsewhere`,
  ]
  for (const user of spellings) {
    const client = await new Client(prosody, alice).connect()
    const answer = await client.authenticate(passwordOf(alice), user)
    t.ok(answer.getChild('not-authorized'), user)
    client.socket.destroy()
  }
  for (const password of ['secret', 'g'.repeat(32), 'a'.repeat(31), 'a'.repeat(33)]) {
    const client = await new Client(prosody, alice).connect()
    t.ok((await client.authenticate(password)).getChild('not-authorized'), password)
    client.socket.destroy()
  }
  t.strictSame(prosody.users.calls, [])
  const client = await new Client(prosody, alice).connect()
  t.equal((await client.authenticate(passwordOf(alice), `${alice}@im.test`)).name, 'success')
})

test('nobody logs in as somebody else, and guessing ends the connection', async (t) => {
  const prosody = await startProsody(t)
  const client = await new Client(prosody, alice).connect()
  const secret = Buffer.from(`${bob}@im.test\0${alice}\0${passwordOf(alice)}`).toString('base64')
  client.write(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${secret}</auth>`)
  t.ok((await client.element('failure')).getChild('invalid-authzid'))
  for (const _ of numbers(1, 4))
    client.write(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plainSecret(alice, 'f'.repeat(32))}</auth>`,
    )
  t.equal(await client.streamError(), 'policy-violation')
})

test('a user service that hangs harms only logins', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  prosody.users.mode = 'hanging'
  const waiting = numbers(1, 60).map(async (i) => {
    const client = await new Client(prosody, String(10000100 + i)).connect()
    return client.authenticate()
  })
  await eventually(() => prosody.users.calls.length >= 32)
  t.ok(prosody.users.calls.length <= 33, 'so many at once')
  const start = Date.now()
  from.send(bob, 'meanwhile')
  await eventually(() => service.contents().includes('meanwhile'))
  t.ok(Date.now() - start < 1000)
  const answers = await Promise.all(waiting)
  t.ok(answers.every((answer) => answer.getChild('temporary-auth-failure')))
  t.ok(Date.now() - start < 17_000, 'who waited to be asked about waits no longer')
  prosody.users.mode = 'up'
  await join(prosody, bob)
})

test('logins are bounded a second, and others notice nothing', async (t) => {
  const prosody = await startProsody(t, { XMPP_LOGINS_PER_SECOND: '50', LIMIT_FACTOR: '100' })
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  const start = Date.now()
  const storm = Promise.all(numbers(1, 200).map((i) => join(prosody, String(10000100 + i), { available: false })))
  let slowest = 0
  const talk = setInterval(async () => {
    const [sent, before] = [Date.now(), service.entries.length]
    from.send(bob, 'x')
    await eventually(() => service.entries.length > before)
    slowest = Math.max(slowest, Date.now() - sent)
  }, 100)
  t.teardown(() => clearInterval(talk))
  await storm
  clearInterval(talk)
  const took = Date.now() - start
  t.ok(took > 2500, `200 logins took ${took} ms`)
  t.ok(slowest < 1000, `the slowest message took ${slowest} ms`)
})

test('the same resource again closes the old stream with conflict', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const first = await join(prosody, alice, { resource: 'pc' })
  const id = await service.stream(first.jid)
  const second = await join(prosody, alice, { resource: 'pc' })
  t.equal(await first.streamError(), 'conflict')
  await eventually(() => service.ended.has(id))
  t.not(await service.stream(second.jid), id)
  await second.sync()
})

test('a user has at most ten resources', async (t) => {
  const prosody = await startProsody(t)
  for (const i of numbers(1, 10)) await join(prosody, alice, { resource: `device${i}`, available: false })
  const eleventh = await new Client(prosody, alice).login()
  t.rejects(eleventh.bind('device11'), /resource-constraint/)
  await join(prosody, alice, { resource: 'device3' })
  await join(prosody, bob, { resource: 'device11' })
})

test('a silent stream is pinged and then closed; one that answers stays', async (t) => {
  const prosody = await startProsody(t, { XMPP_TIMEOUT: '1' })
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, alice, { managed: false })
  const id = await service.stream(client.jid)
  const ping = () => client.elements.filter((element) => element.getChild('ping', 'urn:xmpp:ping')).length
  await eventually(() => ping() === 1)
  client.write("<iq type='result' id='x'/>")
  await eventually(() => ping() === 2)
  await eventually(() => service.ended.has(id) && client.closed)
  t.equal(ping(), 2, 'silence after the second ping ends the stream')
  const nobody = connect(prosody.port, '127.0.0.1')
  nobody.write(
    "<stream:stream to='im.test' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
  )
  nobody.resume()
  let closed = false
  nobody.on('close', () => (closed = true))
  await eventually(() => closed)
})
