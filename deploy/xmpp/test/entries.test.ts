/** What of a client reaches the message service, and what the server answers itself. */
import { test } from 'tap'
import { alice, bob, Client, join, messageXml, newId } from './client.ts'
import { eventually } from './eventually.ts'
import { startMessageService } from './message-service.ts'
import { startProsody } from './prosody.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

test('messages are entries, in the order in which they were sent', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  for (const i of numbers(1, 300)) from.send(bob, String(i))
  await eventually(() => service.entries.length === 300)
  t.strictSame(service.contents(), numbers(1, 300).map(String))
  t.strictSame(service.seqs(), numbers(1, 300))
  const [first] = service.entries
  t.equal(first?.from, from.jid)
  t.equal(first?.stream, await service.stream(from.jid))
  t.ok(Math.abs(Number(first?.stamp) - Date.now()) < 60_000)
  t.equal(first?.stanza.attrs['to'], `${bob}@im.test`)
})

test('a stanza keeps every character and loses only what it says about its sender', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  const bodies = [
    `{"type":1,"content":"a\\u0000b \\ud800", "unknown" :  1.50, "__hash":["x"] }`,
    `{"type":1,\r\n"content":"<&>'\\"]]>",\n\t"x":"😀 好\u2028"}\r`,
    `not JSON \r\r\n & <body>`,
  ]
  const xml = (text: string) => text.replace(/[&<>"'\r]/g, (c) => `&#${c.charCodeAt(0)};`)
  for (const body of bodies) {
    from.write(
      `<message from='forged@im.test' id='a&apos;&#10;&#9;b' type='chat' to='${bob}@im.test'><body>${xml(body)}</body><x xmlns='urn:x' a='1'><y/></x><body xmlns='urn:other'>2</body></message>`,
    )
  }
  await eventually(() => service.entries.length === 3)
  for (const [i, { stanza, from: sender }] of service.entries.entries()) {
    t.equal(stanza.getChildText('body'), bodies[i])
    t.strictSame(Object.keys(stanza.attrs).sort(), ['id', 'to', 'type', 'xmlns'])
    t.equal(stanza.attrs['id'], "a'\n\tb")
    t.equal(sender, from.jid)
    const x = stanza.getChildElements()[1]
    t.strictSame([x?.attrs, x?.children.map(String)], [{ xmlns: 'urn:x', a: '1' }, ['<y/>']])
    t.equal(stanza.getChildElements()[2]?.attrs['xmlns'], 'urn:other')
  }
})

test('a stanza whose id no answer could hold is refused here, and others go on', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  const id = "'".repeat(200_000)
  from.write(`<message id="${id}" type='chat' to='${bob}@im.test'><body>x</body></message>`)
  from.write(`<presence id="${id}" to='room@${prosody.rooms}/${alice}'/>`)
  from.send(bob, 'after')
  await eventually(() => service.entries.length === 1)
  t.strictSame(service.contents(), ['after'])
  const refused = await eventually(() => {
    const errors = from.elements.filter((element) => element.attrs['type'] === 'error')
    return errors.length === 2 ? errors : undefined
  })
  t.strictSame(
    refused.map((element) => [
      element.attrs['id'] === id,
      element.getChild('error')?.getChild('bad-request') !== undefined,
    ]),
    [
      [true, true],
      [true, true],
    ],
  )
})

test('a stanza of elements too deep in each other is refused, whatever it is', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  const nested = (levels: number) => '<a>'.repeat(levels) + '</a>'.repeat(levels)
  const refused = (id: string) =>
    eventually(() => from.elements.find(({ attrs }) => attrs['type'] === 'error' && attrs['id'] === id))
  const deep = nested(20_000)
  const private_ = `<query xmlns='jabber:iq:private'>${deep}</query>`
  for (const [id, stanza] of Object.entries({
    message: `<message id='message' type='chat' to='${bob}@im.test'><body>x</body>${deep}</message>`,
    presence: `<presence id='presence'>${deep}</presence>`,
    iq: `<iq id='iq' type='get'>${private_}</iq>`,
    edge: `<message id='edge' type='chat' to='${bob}@im.test'><body>x</body>${nested(101)}</message>`,
  })) {
    from.write(stanza)
    t.ok((await refused(id)).getChild('error')?.getChild('bad-request'), id)
  }
  from.write(`<message id='m' type='chat' to='${bob}@im.test'><body>{"content":"fits"}</body>${nested(100)}</message>`)
  await eventually(() => service.entries.length === 1)
  t.strictSame(service.contents(), ['fits'])
})

test('every message, presence to somebody and iq to the rooms is an entry, whatever it is; nothing is routed', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  const room = `room@${prosody.rooms}`
  const sent = [
    ...['chat', 'normal', 'groupchat', 'headline', 'error', 'odd'].flatMap((type) =>
      [to.jid, to.bare, room, prosody.domain, prosody.component, 'x@elsewhere.example', 'x@localhost'].map(
        (address) => `<message type='${type}' to='${address}'><body>x</body></message>`,
      ),
    ),
    `<message to='${to.jid}'><received xmlns='urn:xmpp:receipts' id='m'/></message>`,
    `<message to='0${bob}@im.test'><body>x</body></message>`,
    '<message><body>to nobody</body></message>',
    `<message to='${from.bare}'><body>to the own account</body></message>`,
    `<presence to='${room}/${alice}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`,
    `<presence type='unavailable' to='${room}/${alice}'/>`,
    `<presence type='subscribe' to='${to.bare}'/>`,
    `<presence to='${prosody.component}'/>`,
    `<iq id='1' type='get' to='${room}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
    `<iq id='2' type='set' to='${room}/nick'><query xmlns='urn:x'/></iq>`,
    `<iq id='3' type='result' to='${prosody.rooms}'/>`,
  ]
  for (const xml of sent) from.write(xml)
  await from.sync()
  await eventually(() => service.entries.length === sent.length)
  for (const [i, { stanza }] of service.entries.entries()) {
    const name = /^<(\w+)/.exec(sent[i]!)![1]
    const address = / to='([^']*)'/.exec(sent[i]!)?.[1] ?? from.bare
    t.strictSame([stanza.name, stanza.attrs['to'], stanza.attrs['xmlns']], [name, address, 'jabber:client'], sent[i]!)
  }
  await to.sync()
  t.equal(to.elements.filter((element) => element.name !== 'iq' && element.attrs['from'] !== to.jid).length, 0)
  t.equal(from.elements.filter((element) => element.attrs['type'] === 'error').length, 0)
})

test('iq to users, to the component and elsewhere is not available; malformed stanzas are answered', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  // Its library answers what it does not know in the same words: what counts is that nothing comes there.
  const asked: string[] = []
  service.component.on('stanza', ({ name, attrs }) => {
    if (name === 'iq') asked.push(attrs['to'] ?? '')
  })
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  for (const address of [
    to.jid,
    to.bare,
    `${alice}@im.test/other`,
    from.jid,
    prosody.component,
    `x@${prosody.component}`,
    'x@elsewhere.example',
  ]) {
    const answer = await from.ask(`<iq type='set' to='${address}'><x xmlns='urn:x'/></iq>`)
    t.ok(answer.getChild('error')?.getChild('service-unavailable'), address)
  }
  t.strictSame(asked, [])
  from.write(`<iq type='result' id='r' to='${to.jid}'/>`)
  const id = newId()
  from.write(`<message id='${id}' to='@@'><body>x</body></message>`)
  t.equal(await from.refusal(id), 'jid-malformed')
  await to.sync()
  t.equal(to.elements.filter((element) => element.attrs['from'] === from.jid).length, 0)
  from.write('<message><body>')
  from.write('</message>')
  t.equal(await from.streamError(), 'not-well-formed')
  t.equal(service.entries.length, 0)
})

test('before a resource is bound nothing is taken', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const client = await new Client(prosody, alice).login()
  client.write(messageXml(`${bob}@im.test`, 'early', { id: 'early' }))
  t.equal(await client.refusal('early'), 'service-unavailable')
  await client.bind()
  client.send(bob, 'late')
  await eventually(() => service.entries.length === 1)
  t.strictSame(service.contents(), ['late'])
})

test('what clients ask at the start is answered', async (t) => {
  const prosody = await startProsody(t)
  await startMessageService(t, prosody)
  const client = await join(prosody, alice)
  const own = async (type: string, child: string, to?: string) =>
    await client.ask(`<iq type='${type}'${to ? ` to='${to}'` : ''}>${child}</iq>`)
  const roster = await own('get', "<query xmlns='jabber:iq:roster'/>")
  t.strictSame([roster.attrs['type'], roster.getChild('query')?.children.length], ['result', 0])
  const change = await own('set', `<query xmlns='jabber:iq:roster'><item jid='${bob}@im.test'/></query>`)
  t.ok(change.getChild('error')?.getChild('not-allowed'))
  for (const to of [prosody.domain, `${alice}@im.test`, undefined]) {
    t.equal((await own('get', "<ping xmlns='urn:xmpp:ping'/>", to)).attrs['type'], 'result', `ping ${to}`)
  }
  t.equal((await own('get', "<query xmlns='jabber:iq:version'/>", prosody.domain)).attrs['type'], 'result')
  const features = (
    await own('get', "<query xmlns='http://jabber.org/protocol/disco#info'/>", prosody.domain)
  ).toString()
  for (const feature of ['urn:xmpp:carbons:2', 'urn:xmpp:ping']) t.match(features, feature)
  const stored = await own('get', "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>")
  t.match(stored.getChild('query')?.toString(), '<storage xmlns="storage:bookmarks"/>')
  t.ok((await own('get', "<vCard xmlns='vcard-temp'/>")).getChild('vCard'))
  const card = await own('set', "<vCard xmlns='vcard-temp'><FN>x</FN></vCard>")
  t.ok(card.getChild('error')?.getChild('not-allowed'))
  t.equal((await own('set', "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>")).attrs['type'], 'result')
})

test('availability is told to the message service and to this stream alone', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const phone = await join(prosody, alice, { available: false })
  const pc = await join(prosody, alice, { resource: 'pc' })
  const id = await service.stream(phone.jid)
  t.equal(service.state(id)['priority'], undefined)
  await phone.available(5)
  await eventually(() => service.state(id)['priority'] === '5')
  await phone.available(-300)
  await eventually(() => service.state(id)['priority'] === '-128')
  phone.write("<presence type='unavailable'/>")
  await eventually(() => service.state(id)['priority'] === undefined)
  phone.write("<presence type='probe'/>")
  await phone.sync()
  t.equal(service.state(id)['priority'], undefined)
  phone.write(`<presence to='${phone.bare}'><priority>3</priority></presence>`)
  await eventually(() => service.state(id)['priority'] === '3')
  await pc.sync()
  t.equal(pc.elements.filter((element) => element.name === 'presence' && element.attrs['from'] !== pc.jid).length, 0)
  t.equal(service.entries.length, 0)
})
