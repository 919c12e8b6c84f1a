/** What the message service sends reaches streams byte for byte, is confirmed by them, and is bounded. */
import { test } from 'tap'
import { alice, attributeXml, bob, Client, carol, join, newId, textXml } from './client.ts'
import { eventually } from './eventually.ts'
import { delivery, type MessageService, ours, startMessageService } from './message-service.ts'
import { startProsody } from './prosody.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

test('a delivery is written as it is, with the full address of each stream', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const clients = [await join(prosody, alice), await join(prosody, bob, { resource: "p'c" })]
  const ids = await Promise.all(clients.map(({ jid }) => service.stream(jid)))
  const body = `{"a":"<&>'\\"]]>","b":"😀 好\u2028"}\r\n\t`
  const rest = `from='${attributeXml("x@im.test/'\n")}' id='1' type='chat'><body>${textXml(body)}</body><request xmlns='urn:xmpp:receipts'/></message>`
  service.deliver(ids, { text: rest })
  service.tell(
    service.frame(ids, { name: 'presence', text: `from='room@${prosody.rooms}/1'><x xmlns='urn:x'/></presence>` }),
  )
  const section = `from='x' id='2'><body>&lt;&amp;😀\n${'好'.repeat(3000)}</body></message>`
  service.tell(
    ...ids.map((id) => `<deliver xmlns='${ours}' to='${id}' name='message'><![CDATA[${section}]]></deliver>`),
  )
  service.tell(service.frame([ids[0]!], { name: 'iq', text: "from='x' type='result' id='7'/>" }))
  await eventually(() => clients[0]!.elements.some(({ name }) => name === 'iq'))
  for (const client of clients) {
    const message = await client.element('message')
    t.equal(message.getChildText('body'), body)
    await eventually(() => client.elements.some(({ attrs }) => attrs['id'] === '2'))
    t.equal(
      client.elements.find(({ attrs }) => attrs['id'] === '2')?.getChildText('body'),
      `<&😀\n${'好'.repeat(3000)}`,
    )
    t.match(message.attrs, { to: client.jid, from: "x@im.test/'\n", id: '1', type: 'chat' })
    t.ok(message.getChild('request', 'urn:xmpp:receipts'))
    await eventually(() => client.elements.some(({ attrs }) => attrs['from'] === `room@${prosody.rooms}/1`))
  }
})

test('frames of one message keep their order; unknown streams and repeated numbers are passed over', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const to = await join(prosody, bob)
  const id = await service.stream(to.jid)
  service.tell(
    service.frame([`${id}:1`], delivery('1')),
    service.frame([id], delivery('2')),
    service.frame(['unknown:1', `${id}:2`], delivery('3')),
    service.frame([`${id}:2`], delivery('again')),
    service.frame([`${id}:1`], delivery('again')),
    `<deliver xmlns='${ours}' to='${id}' name='odd'>x</deliver>`,
    "<deliver xmlns='urn:other' to='x' name='message'>x</deliver>",
    service.frame([`${id}:3`], delivery('4')),
  )
  await eventually(() => to.contents().length === 4)
  to.ack()
  await eventually(() => service.confirmed.get(id) === 3)
  t.strictSame(to.contents(), ['1', '2', '3', '4'])
  const later = await startMessageService(t, prosody)
  await eventually(() => later.streams.has(id))
  t.match(later.state(id), { delivered: '3', confirmed: '3' })
})

for (const managed of [true, false]) {
  test(`${managed ? 'acknowledging' : 'being written'} confirms numbered deliveries`, async (t) => {
    const prosody = await startProsody(t)
    const service = await startMessageService(t, prosody)
    const to = await join(prosody, bob, { managed })
    const id = await service.stream(to.jid)
    t.equal(service.state(id)['confirms'], managed ? 'sm' : 'write')
    service.deliver(id, ...numbers(1, 5).map((i) => delivery(String(i))))
    await eventually(() => to.contents().length === 5)
    if (managed) {
      await to.element('r')
      t.equal(service.confirmed.get(id), 0)
      to.ack(3) // the presence before, and two of the five
      await eventually(() => service.confirmed.get(id) === 2)
      to.ack()
    }
    await eventually(() => service.confirmed.get(id) === 5)
    service.deliver(id, delivery('6'))
    await eventually(() => to.contents().length === 6)
    if (managed) await to.vanish()
    else await to.end()
    await eventually(() => (managed ? service.state(id)['waiting'] === '1' : service.ended.has(id)))
    const next = await join(prosody, bob, { managed })
    await eventually(() => service.ended.has(id))
    t.equal(service.ended.get(id)?.attrs['confirmed'], managed ? '5' : '6')
    t.match(service.state(await service.stream(next.jid)), { delivered: '0', confirmed: '0' })
  })
}

test('a client that does not read confirms nothing, is cut off at a bound, and costs no memory', async (t) => {
  const prosody = await startProsody(t, { XMPP_STREAM_MAX_BYTES: '2000000' })
  const service = await startMessageService(t, prosody)
  const other = await join(prosody, alice)
  const streams: string[] = []
  const clients: Client[] = []
  for (const managed of [true, false]) {
    const to = await join(prosody, managed ? bob : carol, { managed })
    streams.push(await service.stream(to.jid))
    to.socket.pause()
    clients.push(to)
  }
  const before = prosody.memory()
  for (const i of numbers(1, 300)) service.deliver(streams, delivery(`${i} ${'x'.repeat(60_000)}`))
  await eventually(() => streams.every((id) => service.ended.has(id)))
  for (const id of streams) t.ok(Number(service.ended.get(id)?.attrs['confirmed']) < 300)
  await other.sync()
  t.ok(prosody.memory() - before < 40e6, `${(prosody.memory() - before) / 1e6} MB`)
  for (const client of clients) client.socket.destroy()
})

test('a client that asks much and reads nothing is cut off, too', async (t) => {
  const prosody = await startProsody(t, { XMPP_STREAM_MAX_BYTES: '200000' })
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, alice, { managed: false })
  const id = await service.stream(client.jid)
  client.socket.pause()
  const ping = `<iq type='get' id='${'x'.repeat(5000)}' to='${prosody.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`
  const flood = setInterval(() => client.write(ping.repeat(20)), 5)
  t.teardown(() => clearInterval(flood))
  await eventually(() => service.ended.has(id), 20_000)
  t.equal(service.ended.get(id)?.attrs['user'], alice)
})

test('what waits for a sleeping stream is bounded as well', async (t) => {
  const prosody = await startProsody(t, { XMPP_STREAM_MAX_BYTES: '500000' })
  const service = await startMessageService(t, prosody)
  const to = await join(prosody, bob)
  const id = await service.stream(to.jid)
  await to.vanish()
  await eventually(() => service.state(id)['waiting'] === '1')
  service.deliver(id, ...numbers(1, 20).map((i) => delivery(`${i} ${'x'.repeat(20_000)}`)))
  await eventually(() => prosody.metric('im_streams_waiting'))
  for (const i of numbers(21, 40)) service.deliver(id, delivery(`${i} ${'x'.repeat(20_000)}`))
  await eventually(() => service.ended.has(id))
  t.equal(service.ended.get(id)?.attrs['confirmed'], '0')
})

/** Streams of alice by what they stand for. */
async function streamsOfAlice(service: MessageService, prosody: Awaited<ReturnType<typeof startProsody>>) {
  const token = 'a'.repeat(32)
  prosody.users.tokens.set(alice, { token, session: 'f'.repeat(64) })
  const byToken = await join(prosody, alice, { resource: 'token', password: token })
  const byPassword = await join(prosody, alice, { resource: 'password' })
  const sleeping = await join(prosody, alice, { resource: 'sleeping', password: token })
  const id = await service.stream(sleeping.jid)
  await sleeping.vanish()
  await eventually(() => service.state(id)['waiting'] === '1')
  return { byToken, byPassword, sleeping, id }
}

test('an order closes the streams of a session, of a password, of an id or of a user, sleeping ones too', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const { byToken, byPassword, sleeping, id } = await streamsOfAlice(service, prosody)
  const other = await join(prosody, bob)
  t.equal(service.state(await service.stream(byToken.jid))['login'], `t:${'f'.repeat(64)}`)
  t.equal(service.state(await service.stream(byPassword.jid))['login'], 'p:1')
  const order = (attributes: string) =>
    service.order(
      `<close-streams xmlns='${ours}' user='${alice}' ${attributes} condition='not-authorized' text='revoked'/>`,
    )
  t.equal((await order("logins='t:0 p:7'")).attrs['type'], 'result')
  t.equal(service.ended.size, 0)
  t.equal((await order(`logins='p:9 t:${'f'.repeat(64)}'`)).attrs['type'], 'result')
  t.ok(service.ended.has(id), 'done when answered')
  t.equal(service.ended.size, 2)
  t.equal(await byToken.streamError(), 'not-authorized')
  await byPassword.sync()
  const resumed = await new Client(prosody, alice).resume(sleeping)
  t.equal(resumed.name, 'failed')
  const [one, two] = [await join(prosody, alice, { resource: '1' }), await join(prosody, alice, { resource: '2' })]
  await order(`id='${await service.stream(one.jid)} unknown'`)
  t.equal(await one.streamError(), 'not-authorized')
  await two.sync()
  await order('')
  for (const client of [two, byPassword]) t.equal(await client.streamError(), 'not-authorized')
  await other.sync()
  t.equal((await service.order(`<close-streams xmlns='${ours}' user='${carol}'/>`)).attrs['type'], 'result')
})

test('only the component gives orders and frames', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const [client, other] = [await join(prosody, alice), await join(prosody, bob)]
  const id = await service.stream(other.jid)
  const answer = await client.ask(
    `<iq type='set' to='${prosody.domain}'><close-streams xmlns='${ours}' user='${bob}'/></iq>`,
  )
  t.ok(answer.getChild('error')?.getChild('forbidden'))
  client.write(`<message to='${prosody.domain}'>${service.frame([id], delivery('forged'))}</message>`)
  await eventually(() => service.entries.length === 1)
  service.write(`<message from='${prosody.component}' to='${other.jid}' type='chat'><body>routed</body></message>`)
  service.write(`<presence from='${prosody.component}' to='${other.jid}'/>`)
  service.deliver(id, delivery('told'))
  await eventually(() => other.contents().length > 0)
  t.strictSame(other.contents(), ['told'])
  service.write(`<message from='${alice}@im.test' to='${other.jid}'><body>{}</body></message>`)
  await eventually(() => !service.online)
})

test('a stream of presence and other stanzas for nobody costs nothing', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  service.tell(service.frame([], delivery('nobody')), `<deliver xmlns='${ours}' name='message' to=''/>`)
  const id = newId()
  const client = await join(prosody, alice)
  client.write(`<message id='${id}' to='${bob}@im.test'/>`)
  await eventually(() => service.entries.length > 0)
  t.equal(service.entries.length, 1, 'the feed goes on')
})
