import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { test } from 'tap'
import { alice, bob, eventually, join, newId, Person, passwordOf, register } from './people.ts'
import { startProsody } from './prosody.ts'
import { RawStream } from './raw-stream.ts'

const conditionOf = (error: unknown) => (error as { condition?: string }).condition
const textOf = (error: unknown) => (error as { text?: string }).text

test('a user logs in with what the user service accepts, several at once', async (t) => {
  const prosody = await startProsody(t)
  const users = Array.from({ length: 100 }, (_, i) => String(10000100 + i))
  register(prosody, ...users)
  prosody.services.mode = 50
  const people = await Promise.all(
    users.map((user) => new Person(prosody, user, 'android').online({ presence: false })),
  )
  t.equal(people[7]?.jid, `${users[7]}@im.test/android`)
  await Promise.all(people.map((person) => person.offline()))
})

test('a wrong password and an unreachable service are told apart', async (t) => {
  const prosody = await startProsody(t)
  register(prosody, bob)
  const refused = await new Person(prosody, alice, 'ios').online().catch((error) => error)
  t.equal(conditionOf(refused), 'not-authorized')
  t.equal(textOf(refused), 'Password not verified')
  prosody.services.mode = 'down'
  const unavailable = await new Person(prosody, bob, 'ios').online().catch((error) => error)
  t.equal(conditionOf(unavailable), 'temporary-auth-failure')
})

test('only text of 32 hex digits is shown to the user service', async (t) => {
  const prosody = await startProsody(t)
  prosody.services.passwords.set(alice, 'secret')
  const person = new Person(prosody, alice, 'ios')
  const socket = connect(prosody.port, '127.0.0.1')
  t.after(async () => void socket.destroy())
  let seen = ''
  socket.on('data', (chunk) => (seen += chunk))
  socket.write(
    "<stream:stream to='im.test' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
  )
  await eventually(() => seen.includes('</stream:features>'))
  t.match(seen, /<mechanism>PLAIN<\/mechanism><\/mechanisms>/)
  const plain = Buffer.from(`\0${person.user}\0secret`).toString('base64')
  socket.write(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`)
  await eventually(() => seen.includes('<not-authorized/><text>Password not verified</text>'))
  t.strictSame(prosody.services.calls, [])
})

test('the same resource again closes the old stream with conflict', async (t) => {
  const prosody = await startProsody(t)
  const first = await join(prosody, alice, 'pc')
  const second = await join(prosody, alice, 'pc')
  t.ok(await eventually(() => first.errors.some((error) => conditionOf(error) === 'conflict')))
  await second.sync()
  await second.offline()
})

test('a user has at most ten resources', async (t) => {
  const prosody = await startProsody(t)
  const devices = []
  for (let i = 0; i < 10; i++) devices.push(await join(prosody, alice, `device${i}`))
  const eleventh = await new Person(prosody, alice, 'device10').online().catch((error) => error)
  t.equal(conditionOf(eleventh), 'resource-constraint')
  await join(prosody, alice, 'device3')
  await Promise.all(devices.map((device) => device.offline().catch(() => {})))
})

test('WebSocket and BOSH lead to the same server', async (t) => {
  const prosody = await startProsody(t)
  register(prosody, alice)
  const web = await new Person(prosody, alice, 'web', `ws://127.0.0.1:${prosody.httpPort}/xmpp-websocket`).online()
  await web.sync()
  await web.offline()
  for (const path of ['/http-bind', '/']) {
    const answer = await fetch(`http://127.0.0.1:${prosody.httpPort}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/xml' },
      body: `<body rid='1' to='im.test' wait='60' hold='1' xml:lang='en' ver='1.6' xmpp:version='1.0' xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'/>`,
    })
    t.match(await answer.text(), /<mechanism>PLAIN<\/mechanism>/)
  }
})

test('STARTTLS is offered, and required on demand', async (t) => {
  for (const required of ['false', 'true']) {
    const prosody = await startProsody(t, { XMPP_TLS: 'on', XMPP_REQUIRE_TLS: required })
    const socket = connect(prosody.port, '127.0.0.1')
    let seen = ''
    socket.on('data', (chunk) => (seen += chunk))
    socket.write(
      "<stream:stream to='im.test' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
    )
    await eventually(() => seen.includes('</stream:features>'))
    t.match(seen, /urn:ietf:params:xml:ns:xmpp-tls/)
    t.equal(seen.includes('PLAIN'), required === 'false')
    socket.destroy()
  }
})

test('a stream with TLS carries long messages', async (t) => {
  const prosody = await startProsody(t, { XMPP_TLS: 'on' })
  register(prosody, alice)
  const plain = connect(prosody.port, '127.0.0.1')
  let seen = ''
  const header =
    "<stream:stream to='im.test' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
  const until = async (text: string) => {
    await eventually(() => seen.includes(text))
    seen = ''
  }
  const note = (chunk: unknown) => (seen += chunk)
  plain.on('data', note)
  plain.write(header)
  await until('</stream:features>')
  plain.write("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
  await until('<proceed')
  plain.off('data', note)
  const socket = connectTls({ socket: plain, rejectUnauthorized: false }).on('data', note)
  t.after(async () => void socket.destroy())
  socket.write(header)
  await until('</stream:features>')
  const secret = Buffer.from(`\0${alice}\0${passwordOf(alice)}`).toString('base64')
  socket.write(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${secret}</auth>`)
  await until('<success')
  socket.write(header)
  await until('</stream:features>')
  socket.write(
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>tls</resource></bind></iq>",
  )
  await until('</iq>')
  socket.write('<presence/>')
  await until('<presence')
  register(prosody, bob)
  const from = await new RawStream(prosody, bob).bind('raw', { management: false })
  const send = (text: string) => from.write(`<message to='${alice}@im.test' type='chat'><body>${text}</body></message>`)
  for (let i = 0; i < 20; i++) send('x'.repeat(60_000))
  send('the end')
  await eventually(() => seen.includes('the end'))
  t.equal(seen.match(/x{60000}/g)?.length, 20)
})

test('a silent stream is pinged and then closed', async (t) => {
  const prosody = await startProsody(t, { XMPP_TIMEOUT: '1' })
  register(prosody, alice)
  const person = await new Person(prosody, alice, 'ios').online()
  await eventually(() => person.stanzas.some((s) => s.name === 'iq' && s.getChild('ping', 'urn:xmpp:ping')))
  await person.sync() // it answers pings, so it stays
  const socket = connect(prosody.port, '127.0.0.1')
  socket.write(
    "<stream:stream to='im.test' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
  )
  let closed = false
  socket.on('close', () => (closed = true))
  socket.resume()
  t.ok(await eventually(() => closed))
  await person.sync()
  await person.offline()
})

test('clients cannot reach the component', async (t) => {
  const prosody = await startProsody(t)
  const person = await join(prosody, alice)
  const id = newId()
  await person.write(`<iq type='set' id='${id}' to='${prosody.component}'><x xmlns='x'/></iq>`)
  t.equal(await person.refusal(id), 'service-unavailable')
  await person.offline()
})
