/** How much a client may send. Over a limit it is read slowly, after ten seconds refused as well; never disconnected. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { type Test, test } from 'tap'
import { alice, bob, Client, carol, contentOf, join, messageXml, newId, sm } from './client.ts'
import { eventually } from './eventually.ts'
import { startMessageService } from './message-service.ts'
import { freePorts, startProsody } from './prosody.ts'

const numbers = (to: number) => Array.from({ length: to }, (_, i) => i)
const errors = (client: Client) => client.elements.filter(({ attrs }) => attrs['type'] === 'error')

test('joining a thousand rooms passes at once', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '1' })
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, alice)
  const start = Date.now()
  for (const i of numbers(1000)) client.write(`<presence to='room${i}@${prosody.rooms}/${alice}'/>`)
  await eventually(() => service.entries.length === 1000)
  t.ok(Date.now() - start < 3000, `${Date.now() - start} ms`)
})

test('messages pass the joins of a crowd, which all come, each client in its order', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '0' })
  const service = await startMessageService(t, prosody)
  const clients = await Promise.all(numbers(50).map((i) => join(prosody, String(10_001_000 + i), { managed: false })))
  const other = await join(prosody, carol)
  const each = 300
  const joins = (user: string) =>
    numbers(each).map(
      (i) => `<presence to='room${i}@${prosody.rooms}/${user}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`,
    )
  for (const client of clients) client.write(joins(client.user).join(''))
  await eventually(() => service.entries.length > 100)
  const before = service.entries.length
  other.send(bob, 'other')
  const place = () => service.entries.findIndex(({ from }) => from === other.jid)
  await eventually(() => place() >= 0, 30_000)
  t.ok(place() - before < 3000, `${place() - before} entries went before it`)
  await eventually(() => service.entries.length === clients.length * each + 1, 60_000)
  for (const client of clients) {
    const joined = service.entries.filter(({ from }) => from === client.jid)
    t.strictSame(
      joined.map(({ stanza }) => Number(/\d+/.exec(stanza.attrs['to'] ?? '')?.[0])),
      numbers(each),
    )
  }
  t.strictSame(clients.flatMap(errors), [])
  // Whoever was read in turns is read as ever.
  clients[0]!.send(bob, 'again')
  await eventually(() => service.entries.at(-1)?.from === clients[0]!.jid)
})

test('who logs in and joins while messages wait to be stored waits for none of them', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '0' })
  const service = await startMessageService(t, prosody, { stores: false })
  const sender = await join(prosody, alice)
  for (const i of numbers(300)) sender.send(bob, String(i))
  await eventually(() => service.entries.length === 300)
  const client = await join(prosody, carol, { managed: false, available: false })
  client.write(`<presence/><presence to='room@${prosody.rooms}/${carol}'/>`)
  await eventually(() => client.elements.some(({ name, attrs }) => name === 'presence' && attrs['from'] === client.jid))
  const joined = await eventually(() => service.entries.find(({ from }) => from === client.jid))
  t.equal(joined.stanza.attrs['to'], `room@${prosody.rooms}/${carol}`)
})

test('joins wait while too many are on their way, and messages pass them', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '0' })
  const service = await startMessageService(t, prosody, { stores: false })
  const sender = await join(prosody, alice)
  const clients = await Promise.all(numbers(10).map((i) => join(prosody, String(10_003_000 + i), { managed: false })))
  for (const client of clients)
    for (const room of numbers(50)) {
      client.write(`<presence to='room${room}@${prosody.rooms}/${client.user}'/>`)
      await new Promise((resolve) => setImmediate(resolve))
    }
  await eventually(() => service.entries.length >= 256)
  sender.send(bob, 'passes')
  await eventually(() => service.contents().includes('passes'))
  const joins = () => service.entries.filter(({ from }) => from !== sender.jid).length
  t.ok(joins() < 400, `${joins()} joins came before any was taken`)
  service.stores = true
  service.stored(service.entries.at(-1)!.seq)
  await eventually(() => joins() === clients.length * 50)
})

test('who joins more rooms than they may is read slowly, also when their joins are read in turns', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '1' }) // 2,000 at once, then 50 a second
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, alice)
  client.write(
    numbers(8000)
      .map((i) => `<presence to='room${i}@${prosody.rooms}/${alice}'/>`)
      .join(''),
  )
  await eventually(() => service.entries.length >= 2000)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  t.ok(service.entries.length < 2400, `${service.entries.length} were read`)
})

test('a user who sends too much is read slowly, over all their streams; nobody else is', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '1' })
  const service = await startMessageService(t, prosody)
  const [phone, pc] = [await join(prosody, alice), await join(prosody, alice, { resource: 'pc' })]
  const other = await join(prosody, carol)
  const start = Date.now()
  for (const i of numbers(200)) {
    phone.send(bob, `phone ${i}`)
    pc.send(bob, `pc ${i}`)
  }
  await eventually(() => service.entries.length >= 100)
  other.send(bob, 'other')
  await eventually(() => service.contents().includes('other'))
  t.ok(Date.now() - start < 2500, `${Date.now() - start} ms`)
  t.ok(service.entries.length < 300, `${service.entries.length} at once`)
  await eventually(() => service.entries.length > 300, 20_000)
  t.strictSame([...errors(phone), ...errors(pc)], [])
  for (const device of [phone, pc]) {
    const sent = service.entries
      .filter(({ from }) => from === device.jid)
      .map(({ stanza }) => Number(contentOf(stanza).split(' ')[1]))
    t.strictSame(sent, numbers(sent.length), 'in order')
  }
})

test('a stream over its limit is read slowly', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '0.05' }) // 100 at once, then 2.5 a second
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, alice)
  const presence = (i: number) => `<presence to='room${i}@${prosody.rooms}/${alice}'/>`
  client.write(numbers(98).map(presence).join(''))
  await eventually(() => service.entries.length === 98)
  client.write(presence(98) + presence(99) + presence(100)) // into debt: paid in less than a second
  await eventually(() => service.entries.length === 101)
  const start = Date.now()
  client.write(presence(101))
  await eventually(() => service.entries.length === 102)
  t.ok(Date.now() - start > 150, `${Date.now() - start} ms`)
})

test('bytes are limited as well, of a stream and of a user', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '0.25' }) // 1 MiB at once, then 128 KiB a second
  const service = await startMessageService(t, prosody)
  const [phone, pc] = [await join(prosody, alice), await join(prosody, alice, { resource: 'pc' })]
  const text = 'x'.repeat(60_000)
  for (const i of numbers(15)) {
    phone.send(bob, `${i} ${text}`)
    pc.send(bob, `${i} ${text}`)
  }
  const start = Date.now()
  await eventually(() => service.entries.length === 30, 30_000)
  const took = Date.now() - start
  t.ok(took > 4000 && took < 12_000, `1.8 MB took ${took} ms`)
  t.strictSame([...errors(phone), ...errors(pc)], [])
})

test('who stays over the limit for ten seconds is refused, not disconnected, until they slow down', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '0.1' }) // ten messages at once, then two a second
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, alice)
  const start = Date.now()
  let sent = 0
  const flood = setInterval(() => {
    sent++
    client.send(bob, `${sent} ${'x'.repeat(3000)}`) // few in what is read at once
  }, 50)
  t.teardown(() => clearInterval(flood))
  const refused = await eventually(() => errors(client)[0], 25_000)
  t.ok(Date.now() - start > 9000, `refused after ${Date.now() - start} ms`)
  t.ok(refused.getChild('error')?.getChild('resource-constraint'))
  t.equal(refused.getChild('error')?.attrs['type'], 'wait')
  clearInterval(flood)
  await eventually(() => service.entries.length + errors(client).length === sent, 120_000)
  const before = errors(client).length
  await new Promise((resolve) => setTimeout(resolve, 6000)) // half of the burst is there again
  client.send(bob, 'late')
  await eventually(() => service.contents().includes('late'))
  t.equal(errors(client).length, before)
})

test('limits stay with a user who comes back at once', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '0.2' }) // 20 messages at once, then four a second
  const service = await startMessageService(t, prosody)
  const first = await join(prosody, alice)
  const start = Date.now()
  for (const i of numbers(20)) first.send(bob, String(i))
  await eventually(() => service.entries.length === 20)
  await first.end()
  const second = await join(prosody, alice)
  // What comes in one piece is read before reading pauses: in debt, unless a new stream had twenty more.
  for (const i of numbers(15)) second.send(bob, `into debt ${i}`)
  await eventually(() => service.entries.length === 35)
  second.write(messageXml(`${bob}@im.test`, 'late', { id: newId() }))
  await eventually(() => service.entries.length === 36)
  // From the first message on, however slow the machine is: the debt may be paid before the last one is sent.
  t.ok(Date.now() - start > 3000, `${Date.now() - start} ms`)
})

test('questions for acknowledgements are limited, too', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '0.05' }) // about 1,000 at once, then 25 a second
  const client = await join(prosody, alice)
  client.write(`<r xmlns='${sm}'/>`.repeat(2000))
  const answers = () => client.elements.filter(({ name }) => name === 'a').length
  await eventually(() => answers() >= 900)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  t.ok(answers() < 1500, String(answers()))
})

/** Connections that say nothing. */
function silent(t: Test, count: number, port: number, localAddress = '127.0.0.1') {
  const sockets = numbers(count).map(() => connect({ port, host: '127.0.0.1', localAddress }).resume())
  for (const socket of sockets) socket.on('error', () => {})
  t.teardown(() => sockets.forEach((socket) => void socket.destroy()))
  return { sockets, connected: () => Promise.all(sockets.map((socket) => once(socket, 'connect'))) }
}

test('of connections without a stream the oldest makes room: of the same address, and of all', async (t) => {
  const [directPort = 0] = await freePorts(1)
  const prosody = await startProsody(t, {
    ...{ XMPP_MAX_ARRIVALS_PER_ADDRESS: '5', XMPP_MAX_ARRIVALS: '8', XMPP_TRUSTED_PROXIES: '10.0.0.1' },
    ...{ XMPP_TLS: 'on', XMPP_DIRECT_TLS_PORT: String(directPort) },
  })
  const client = await join(prosody, alice)
  const unbound = await new Client(prosody, carol).login()
  const first = silent(t, 5, prosody.port)
  await first.connected()
  await eventually(() => unbound.closed)
  const open = (some: typeof first) => some.sockets.filter(({ destroyed }) => !destroyed).length
  t.equal(open(first), 5)
  const other = await join(prosody, bob)
  await eventually(() => open(first) === 4)
  const before = silent(t, 6, directPort, '127.0.0.2') // none begins with TLS
  await before.connected()
  await eventually(() => open(before) === 5 && open(first) === 3)
  client.send(bob, 'still there')
  t.notOk(client.closed || other.closed, 'who has a stream')
})

test('who connects, or logs in, and goes no further is closed after a while', async (t) => {
  const prosody = await startProsody(t, { XMPP_ARRIVAL_SECONDS: '1' })
  const [bound, unbound] = [await join(prosody, alice), await new Client(prosody, bob).login()]
  const { sockets } = silent(t, 1, prosody.port)
  sockets[0]!.write(
    `<stream:stream to='${prosody.domain}' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`,
  )
  await eventually(() => unbound.closed && sockets[0]!.destroyed)
  t.notOk(bound.closed)
})
