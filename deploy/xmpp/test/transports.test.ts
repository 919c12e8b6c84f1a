/** TCP, TLS, WebSocket and BOSH lead to the same streams; what had arrived when one ended is an entry. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { client as xmppClient } from '@xmpp/client'
import { type Test, test } from 'tap'
import { alice, bob, Client, join, messageXml, newId, plainSecret, sm } from './client.ts'
import { eventually, within } from './eventually.ts'
import { delivery, ours, startMessageService } from './message-service.ts'
import { freePorts, type Prosody, passwordOf, startProsody } from './prosody.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const contents = numbers(1, 40).map(String)
const messages = (to = `${bob}@im.test`) => contents.map((content) => messageXml(to, content)).join('')
const sasl = 'urn:ietf:params:xml:ns:xmpp-sasl'
const binding = 'urn:ietf:params:xml:ns:xmpp-bind'

for (const managed of [true, false]) {
  for (const end of ['</stream:stream>', 'FIN', '</stream:stream> and FIN', 'a broken stanza'] as const) {
    test(`messages and ${end} in one segment are all entries (stream management ${managed})`, async (t) => {
      const prosody = await startProsody(t)
      const service = await startMessageService(t, prosody)
      const from = await join(prosody, alice, { managed })
      const id = await service.stream(from.jid)
      const last = end === 'FIN' ? '' : end === 'a broken stanza' ? '<message></x>' : '</stream:stream>'
      if (end.includes('FIN')) from.socket.end(messages() + last)
      else from.write(messages() + last)
      await eventually(() => service.entries.length === contents.length)
      t.strictSame(service.contents(), contents)
      await eventually(() => service.ended.has(id) || service.state(id)['waiting'] === '1')
    })
  }
}

test('a slow disk does not change that', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice, { managed: false })
  const chunk = messages()
  for (const _ of numbers(1, 20)) from.write(chunk)
  from.write(`${chunk}</stream:stream>`)
  await eventually(() => service.entries.length >= contents.length * 21)
  t.equal(service.entries.length, contents.length * 21)
})

/** A session over BOSH. */
class Bosh {
  readonly url: string
  sid = ''
  rid = 1000
  received = ''

  constructor(prosody: Prosody, path = '/http-bind') {
    this.url = `http://127.0.0.1:${prosody.httpPort}${path}`
  }

  async post(inner: string, attributes = ''): Promise<string> {
    const response = await fetch(this.url, {
      signal: AbortSignal.timeout(20_000),
      method: 'POST',
      headers: { 'Content-Type': 'text/xml' },
      body: `<body rid='${++this.rid}' ${this.sid ? `sid='${this.sid}'` : ''} ${attributes} xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'>${inner}</body>`,
    })
    const text = await response.text()
    this.received += text
    return text
  }

  async login(user: string, resource: string): Promise<this> {
    const first = await this.post('', "to='im.test' wait='1' hold='1' ver='1.6' xmpp:version='1.0'")
    this.sid = / sid='([^']*)'/.exec(first)![1]!
    await this.post(`<auth xmlns='${sasl}' mechanism='PLAIN'>${plainSecret(user, passwordOf(user))}</auth>`)
    await eventually(async () => this.received.includes('<success') || (await this.post('')))
    await this.post('', "to='im.test' xmpp:restart='true'")
    await this.post(
      `<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='${binding}'><resource>${resource}</resource></bind></iq>`,
    )
    await eventually(() => this.received.includes('<jid>'))
    return this
  }
}

test('BOSH: messages, deliveries and terminate', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const bosh = await new Bosh(prosody, '/').login(alice, 'web')
  const id = await service.stream(`${alice}@im.test/web`)
  t.equal(service.state(id)['confirms'], 'write')
  await bosh.post("<presence xmlns='jabber:client'/>")
  await eventually(() => service.state(id)['priority'] === '0')
  const waiting = bosh.post('')
  service.deliver(id, delivery('one'), delivery('two'))
  await waiting
  await eventually(async () => bosh.received.includes('two') || (await bosh.post('')) === '')
  t.match(bosh.received, /<message xmlns='jabber:client' to='10000001@im.test\/web' from=/)
  await eventually(() => service.confirmed.get(id) === 2)
  await bosh.post(messages().replaceAll('<message', "<message xmlns='jabber:client'"), "type='terminate'")
  await eventually(() => service.entries.length === contents.length)
  t.strictSame(service.contents(), contents)
  await eventually(() => service.ended.has(id))
})

test('BOSH: what a client was given is named at the end, unless it has asked for more since', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const said = [delivery('one'), delivery('two')] as const
  const bosh = await new Bosh(prosody, '/').login(alice, 'web')
  const id = await service.stream(`${alice}@im.test/web`)
  for (const one of said) {
    const waiting = bosh.post('')
    service.deliver(id, one)
    await waiting
  }
  await eventually(async () => bosh.received.includes('two'))
  await service.order(`<close-streams xmlns='${ours}' user='${alice}'/>`)
  const ended = await eventually(() => service.ended.get(id))
  t.equal(ended.attrs['missed'], said[1].id)
})

test('BOSH: what is delivered at once comes in one answer', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const bosh = await new Bosh(prosody, '/').login(alice, 'web')
  const id = await service.stream(`${alice}@im.test/web`)
  const waiting = bosh.post('')
  const said = [delivery('one'), delivery('two'), delivery('three')] as const
  service.deliver(id, ...said)
  t.match(await waiting, /one.*two.*three/s)
  await service.order(`<close-streams xmlns='${ours}' user='${alice}'/>`)
  const ended = await eventually(() => service.ended.get(id))
  t.equal(ended.attrs['missed'], said.map((one) => one.id).join(' '), 'nothing was heard of the client since')
})

/** A session over a WebSocket, a new one or one that is resumed by this id; each element is a frame. */
async function webSocket(t: Test, prosody: Prosody, user: string, resume?: string) {
  const socket = new WebSocket(`ws://127.0.0.1:${prosody.httpPort}/xmpp-websocket`, 'xmpp')
  const frames: string[] = []
  let closed = false
  socket.addEventListener('message', ({ data }) => frames.push(String(data)))
  socket.addEventListener('close', () => (closed = true))
  t.teardown(() => socket.close())
  await within(once(socket, 'open'), 'the WebSocket opens')
  const until = (text: string) => eventually(() => frames.some((frame) => frame.includes(text)))
  const open = () => socket.send("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='im.test' version='1.0'/>")
  open()
  await until('PLAIN')
  socket.send(`<auth xmlns='${sasl}' mechanism='PLAIN'>${plainSecret(user, passwordOf(user))}</auth>`)
  await until('<success')
  open()
  await until('<bind')
  if (resume) {
    socket.send(`<resume xmlns='${sm}' previd='${resume}' h='0'/>`)
    await until('<resumed')
  } else {
    socket.send(
      `<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='${binding}'><resource>web</resource></bind></iq>`,
    )
    await until('<jid>')
  }
  return { socket, frames, until, closed: () => closed }
}

test('WebSocket: messages, deliveries, stream management and close', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const { socket, frames, until, closed } = await webSocket(t, prosody, alice)
  const id = await service.stream(`${alice}@im.test/web`)
  service.deliver(id, delivery('one'), delivery('two'))
  await until('two')
  await eventually(() => service.confirmed.get(id) === 2)
  t.ok(
    frames.some((frame) =>
      /^<message xmlns='jabber:client' to='10000001@im.test\/web' from=.*one.*<\/message>$/.test(frame),
    ),
  )
  socket.send(`<enable xmlns='${sm}' resume='true'/>`)
  await until('<enabled')
  service.deliver(id, delivery('three'))
  await until(`<r xmlns='${sm}'/>`)
  t.equal(service.confirmed.get(id), 2)
  socket.send(`<a xmlns='${sm}' h='1'/>`)
  await eventually(() => service.confirmed.get(id) === 3)
  for (const content of contents)
    socket.send(messageXml(`${bob}@im.test`, content).replace('<message', "<message xmlns='jabber:client'"))
  socket.send("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
  await eventually(() => service.entries.length === contents.length)
  t.strictSame(service.contents(), contents)
  await eventually(() => service.ended.has(id) && closed())
})

test('a WebSocket that breaks leaves a stream that sleeps, is taken over, or ends', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const { socket, frames, until } = await webSocket(t, prosody, alice)
  const id = await service.stream(`${alice}@im.test/web`)
  socket.send(`<enable xmlns='${sm}' resume='true'/>`)
  await until('<enabled')
  socket.close()
  await eventually(() => service.state(id)['waiting'] === '1')
  service.deliver(id, delivery('meanwhile'))
  const lost = new Client(prosody, alice)
  lost.id = /<enabled[^>]* id='([^']*)'/.exec(frames.find((frame) => frame.includes('<enabled'))!)![1]!
  lost.jid = `${alice}@im.test/web`
  const back = new Client(prosody, alice)
  await back.resume(lost, 0)
  await eventually(() => back.contents().includes('meanwhile'))
  await back.vanish()
  await eventually(() => service.state(id)['waiting'] === '1')
  await join(prosody, alice, { resource: 'web' })
  await eventually(() => service.ended.has(id))
  t.strictSame(back.contents(), ['meanwhile'], 'once')
})

test('what was not acknowledged comes again as the transport wants it: each stanza in the namespace of clients', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const lost = await join(prosody, alice)
  await lost.sync()
  await lost.vanish()
  service.deliver(await service.stream(lost.jid), delivery('one'))
  const { frames, until } = await webSocket(t, prosody, alice, lost.id)
  await until('one')
  const again = frames.filter((frame) => /^<(iq|presence|message)/.test(frame))
  t.strictSame(
    again.map((frame) => /^<(\w+) xmlns='jabber:client' to='10000001@im.test\/android' /.exec(frame)?.[1]),
    ['presence', 'iq', 'message'],
  )
})

const header =
  "<stream:stream to='im.test' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"

test('STARTTLS is offered, and required on demand', async (t) => {
  for (const required of ['true', 'false']) {
    const prosody = await startProsody(t, { XMPP_TLS: 'on', XMPP_REQUIRE_TLS: required })
    const plain = connect(prosody.port, '127.0.0.1')
    let seen = ''
    const note = (chunk: unknown) => (seen += chunk)
    plain.on('data', note)
    plain.write(header)
    await eventually(() => seen.includes('</stream:features>'))
    t.equal(seen.includes('PLAIN'), required === 'false')
    plain.write("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    await eventually(() => seen.includes('<proceed'))
    plain.off('data', note)
    seen = ''
    const socket = connectTls({ socket: plain, rejectUnauthorized: false }).on('data', note)
    t.teardown(() => socket.destroy())
    socket.write(header)
    await eventually(() => seen.includes('PLAIN'))
  }
})

test('a stream that begins with TLS carries long messages both ways', async (t) => {
  const [port] = await freePorts(1)
  // 250 messages at once, then 50 a second.
  const prosody = await startProsody(t, { XMPP_TLS: 'on', XMPP_DIRECT_TLS_PORT: String(port), LIMIT_FACTOR: '2.5' })
  const service = await startMessageService(t, prosody)
  const socket = connectTls({ port: port!, host: '127.0.0.1', rejectUnauthorized: false })
  t.teardown(() => socket.destroy())
  let seen = ''
  socket.on('data', (chunk) => (seen += chunk))
  const until = async (text: string) => {
    await eventually(() => seen.includes(text))
    seen = ''
  }
  socket.write(header)
  await until('</stream:features>')
  socket.write(`<auth xmlns='${sasl}' mechanism='PLAIN'>${plainSecret(alice, passwordOf(alice))}</auth>`)
  await until('<success')
  socket.write(header)
  await until('</stream:features>')
  socket.write(`<iq type='set' id='b'><bind xmlns='${binding}'><resource>tls</resource></bind></iq>`)
  await until('<jid>')
  const id = await service.stream(`${alice}@im.test/tls`)
  service.deliver(id, ...numbers(1, 8).map((i) => delivery(`${i} ${'x'.repeat(60_000)}`)))
  await eventually(() => service.confirmed.get(id) === 8)
  // A pattern of so many would be tried anew at each character of a message that has come in part, for seconds.
  await eventually(() => seen.match(/x+/g)?.filter(({ length }) => length === 60_000).length === 8)
  for (const _ of numbers(1, 20)) socket.write(messageXml(`${bob}@im.test`, 'x'.repeat(60_000)))
  await eventually(() => service.entries.length >= 20)
  t.equal(service.entries.length, 20)
  // Reading pauses within what TLS has decrypted already: nothing more comes from the network.
  socket.write(
    numbers(1, 270)
      .map((i) => messageXml(`${bob}@im.test`, String(i)))
      .join(''),
  )
  await eventually(() => service.entries.length === 290)
})

test('a stanza of 256 KiB is the largest', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  from.send(bob, 'x'.repeat(250_000))
  await eventually(() => service.entries.length === 1)
  from.send(bob, 'x'.repeat(270_000))
  t.equal(await from.streamError(), 'policy-violation')
})

test('xmpp.js logs in, is kept alive over a loss, and resumes', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const person = xmppClient({
    service: `xmpp://127.0.0.1:${prosody.port}`,
    domain: prosody.domain,
    resource: 'pc',
    // The library itself does not send a password over a stream without TLS.
    credentials: (authenticate: unknown) =>
      (authenticate as (credentials: object, mechanism: string) => Promise<void>)(
        { username: alice, password: passwordOf(alice) },
        'PLAIN',
      ),
  })
  person.on('error', () => {})
  const received: string[] = []
  person.on('stanza', (stanza) => {
    if (stanza.name === 'message') received.push(JSON.parse(stanza.getChildText('body') ?? '{}').content)
  })
  t.teardown(() => person.stop().catch(() => {}))
  await person.start()
  const id = await service.stream(`${alice}@im.test/pc`)
  // What the library reads together with <enabled/> it acknowledges, and then does not count: it could not resume.
  await eventually(() => person.streamManagement.enabled)
  service.deliver(id, delivery('1'))
  await eventually(() => service.confirmed.get(id) === 1)
  ;(person.socket as unknown as { destroy: () => void }).destroy()
  await eventually(() => service.state(id)['waiting'] === '1')
  service.deliver(id, delivery('2'))
  await eventually(() => service.state(id)['waiting'] === undefined)
  await eventually(() => service.confirmed.get(id) === 2)
  t.strictSame(received, ['1', '2'])
  await person.write(messageXml(`${bob}@im.test`, newId()) as never)
  await eventually(() => service.entries.length === 1)
})
