import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'tap'
import { faultsOf, type Round } from '../src/chat/rounds.ts'
import { attributeOf, escapeXml, StanzaCutter, unescapeXml } from '../src/chat/stanza-cutter.ts'
import { XmppClient } from '../src/chat/xmpp-client.ts'
import { latencyOf } from '../src/percentiles.ts'

const header = "<stream:stream xmlns='jabber:client' id='7'>"
const children = [
  '<stream:features><mechanisms><mechanism>PLAIN</mechanism></mechanisms></stream:features>',
  "<message id='1'><body>老地方 &amp; &lt;老时间&gt; 😄</body><request xmlns='urn:xmpp:receipts'/></message>",
  '<r/>',
  "<message><forwarded><message id='inner'/></forwarded></message>",
]

test('a stream is cut into the same pieces wherever it is torn', async (t) => {
  const stream = `<?xml version='1.0'?>${header}${children.join('')}</stream:stream>`
  for (let size = 1; size <= stream.length; size++) {
    const cutter = new StanzaCutter()
    const pieces: string[] = []
    for (let at = 0; at < stream.length; at += size) pieces.push(...cutter.push(stream.slice(at, at + size)))
    t.strictSame(pieces, [header, ...children, '</stream:stream>'])
  }
})

test('attributes and texts are read as they were written', async (t) => {
  const text = '“明天” <老地方> & \'x\' "y"'
  t.equal(unescapeXml(escapeXml(text)), text)
  t.equal(attributeOf(`<message to="b" id='a&amp;b'><x id='no'/></message>`, 'id'), 'a&b')
  t.equal(attributeOf("<message><x id='no'/></message>", 'id'), undefined)
})

test('percentiles are by nearest rank', async (t) => {
  const values = Array.from({ length: 200 }, (_, index) => 200 - index)
  t.strictSame(latencyOf(values), { p50: 100, p95: 190, p99: 198, max: 200 })
  t.strictSame(latencyOf([]), { p50: 0, p95: 0, p99: 0, max: 0 })
})

test('each kind of fault is named', async (t) => {
  const round = {
    undelivered: 1,
    deliveredTwice: 2,
    unreceipted: 3,
    anomalies: { outOfOrder: 4, altered: 5, unknown: 6, refused: { 'not-allowed': 7 }, disconnected: ['why'] },
  } as unknown as Round
  t.strictSame(faultsOf(round), [
    '1 not delivered within 20 s',
    '2 delivered more than once',
    '3 without a receipt within 20 s',
    '4 out of order',
    '5 altered on the way',
    '6 deliveries or receipts of unknown messages',
    '1 streams closed (why)',
    '7 refused: not-allowed',
  ])
})

test('a client that only listens answers the pings of its server', { timeout: 10_000 }, async (t) => {
  const server = createServer((socket) => serve(socket)).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const pong = Promise.withResolvers<string>()
  const { port } = server.address() as AddressInfo
  const address = { host: '127.0.0.1', port, domain: 'im.test' }
  const client = await XmppClient.login(address, { userId: 7, password: 'x' }, 'pc')
  t.teardown(() => client.close())
  t.equal(await pong.promise, "<iq type='result' id='ping-1'/>")

  function serve(socket: Socket): void {
    const ask = "<iq type='get' id='ping-1' to='7@im.test/pc'><ping xmlns='urn:xmpp:ping'/></iq>"
    socket.on('data', (chunk) => {
      const text = String(chunk)
      if (text.startsWith('<stream')) socket.write(`${header}<stream:features></stream:features>`)
      else if (text.startsWith('<auth')) socket.write('<success/>')
      else if (text.includes("id='bind'")) socket.write("<iq type='result' id='bind'/>")
      else if (text.includes("id='here'")) socket.write(`<iq type='result' id='here'/>${ask}`)
      else if (text.includes('ping-1')) pong.resolve(text)
    })
  }
})
