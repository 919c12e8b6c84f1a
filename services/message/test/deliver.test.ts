import { setTimeout as delay } from 'node:timers/promises'
import { archive, internalMessages, messagesPassed } from '@im/contracts/message'
import { eventually, recordEvents } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, carol, startMessage } from './start-message.ts'
import { domain, XmppServer } from './xmpp-server.ts'

/** Of a refused message something else is kept: that it was. */
const stored = { refused: { $exists: false } }

test('a message is stored, confirmed to its sender, delivered byte for byte, and released when it is confirmed', async (t) => {
  const { xmpp, online, api } = await startMessage(t)
  const android = await online(alice)
  const ios = await online(bob, { resource: 'ios', confirming: false })
  const body = `{"type":1, "messageId":"m1","content":"a<b>&amp;\\"'\\u4f60好😀\\r\\n","x":{"y":[1.0]}}\r\n`
  android.say({ to: bob, id: 'm1', body })
  await eventually(() => android.receipts.includes('m1'))
  const [delivered] = await eventually(() => ios.messages.length === 1 && ios.messages)
  t.equal(delivered?.body, body)
  t.strictSame(delivered?.stanza.attrs, { to: ios.jid, from: `${alice}@${domain}/android`, id: 'm1', type: 'chat' })
  t.ok(delivered?.stanza.getChild('request', 'urn:xmpp:receipts'))
  const receipt = android.received[0]
  t.strictSame(receipt?.stanza.attrs, { to: android.jid, from: `${bob}@${domain}`, type: 'normal' })
  t.equal(xmpp.released, 0)
  ios.confirm()
  await xmpp.drained()
  for (const [owner, peer] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    const [row] = await api.call(archive.listSingleHistory, { receiver: peer }, { as: owner })
    t.equal(row?.body, body)
    t.equal(row?.content, 'a<b>&amp;"\'你好😀\r\n')
  }
})

test('a message whose id comes through no parameter is known by another one', async (t) => {
  const { xmpp, online, deps, internal } = await startMessage(t)
  const sender = await online(alice)
  for (const messageId of ['a\0b', ' a', '\uffff']) sender.say({ to: bob, body: { messageId } })
  await xmpp.drained()
  const ids = (await deps.messages.collection.find(stored).toArray()).map(({ messageId }) => messageId).sort()
  t.equal(ids.length, 3)
  const { messages } = await internal.call(internalMessages.readMessages, {
    userId: bob,
    messageIds: JSON.stringify(ids),
  })
  t.strictSame(messages.map(({ messageId }) => messageId).sort(), ids)
})

test('a message goes to all available devices of its receiver, or to the one it names', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const sender = await online(alice)
  const [phone, pc, hidden, away] = [
    await online(bob, { resource: 'ios', priority: 5 }),
    await online(bob, { resource: 'pc', priority: 0 }),
    await online(bob, { resource: 'web', priority: -1 }),
    await online(bob, { resource: 'mac', priority: undefined }),
  ]
  sender.say({ to: bob, body: { content: 'all' } })
  sender.say({ to: `${bob}@${domain}/pc`, body: { content: 'pc' } })
  sender.say({ to: `${bob}@${domain}/web`, body: { content: 'web' } })
  sender.say({ to: `${bob}@${domain}/gone`, body: { content: 'gone' } })
  await xmpp.drained()
  t.strictSame(phone.contents(), ['all', 'gone'])
  t.strictSame(pc.contents(), ['all', 'pc', 'gone'])
  t.strictSame(hidden.contents(), ['web'])
  t.strictSame(away.contents(), [])
})

test('between the devices of one user nothing is kept, checked or shown to others', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const phone = await online(alice)
  const [pc, web] = [await online(alice, { resource: 'pc' }), await online(alice, { resource: 'web' })]
  const forwarded = { type: 1, content: 'forwarded', fromUserId: String(bob) }
  const ids = [
    phone.say({ to: alice, body: { type: 200, content: '1' } }),
    phone.say({ to: `${alice}@${domain}/pc`, body: forwarded }),
    phone.say({ to: `${alice}@${domain}/gone`, body: forwarded }),
  ]
  await xmpp.drained()
  await eventually(() => phone.receipts.length === 3)
  t.strictSame(phone.receipts, ids)
  t.strictSame(pc.contents(), ['1', 'forwarded'])
  t.strictSame(web.contents(), ['1'])
  t.strictSame(phone.contents(), [])
  t.equal(pc.messages[0]?.from, phone.jid)
  t.equal(await deps.mailbox.collection.countDocuments(), 0)
  t.equal(await deps.messages.collection.countDocuments(), 0)
})

test('a stream that asked for carbons gets what the others send, once', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const phone = await online(alice, { carbons: true })
  const pc = await online(alice, { resource: 'pc', carbons: true })
  const web = await online(alice, { resource: 'web' })
  const peer = await online(bob)
  const id = phone.say({ to: bob, body: { content: '<x>&' } })
  await xmpp.drained()
  await eventually(() => pc.received.length === 1)
  const sent = pc.received[0]?.stanza.getChild('sent', 'urn:xmpp:carbons:2')
  const copy = sent?.getChild('forwarded', 'urn:xmpp:forward:0')?.getChild('message', 'jabber:client')
  t.strictSame(copy?.attrs, { xmlns: 'jabber:client', to: `${bob}@${domain}`, from: phone.jid, id, type: 'chat' })
  t.equal(JSON.parse(copy?.getChildText('body') ?? '{}').content, '<x>&')
  t.equal(pc.received[0]?.stanza.attrs['from'], `${alice}@${domain}`)
  t.strictSame([web.received, phone.contents(), peer.contents()], [[], [], ['<x>&']])
})

test('client receipts go to exactly the stream they are for', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const phone = await online(alice)
  const pc = await online(alice, { resource: 'pc' })
  const peer = await online(bob)
  const received = (to: string) =>
    `<message xmlns='jabber:client' to='${to}' type='chat'><received xmlns='urn:xmpp:receipts' id='m1'/></message>`
  for (const to of [phone.jid, `${alice}@${domain}/gone`, `${alice}@${domain}`, `0${phone.jid}`])
    peer.send(received(to))
  await xmpp.drained()
  t.strictSame([phone.received.length, pc.received.length, peer.received.length], [1, 0, 0])
  t.equal(phone.received[0]?.stanza.getChild('received', 'urn:xmpp:receipts')?.attrs['id'], 'm1')
  t.equal(phone.received[0]?.stanza.attrs['from'], peer.jid)
})

test('a message that is sent again is confirmed again, stored once and delivered once', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const peer = await online(bob)
  for (const type of [1, 500, 201, 0]) {
    const id = `id-${type}`
    for (let n = 0; n < 3; n++) sender.say({ to: bob, id, body: { type } })
    await xmpp.drained()
    sender.say({ to: bob, id, body: { type } })
  }
  sender.say({ to: bob, id: 'id-1', body: { type: 1, messageId: 'id-other' } })
  sender.say({ to: carol, id: 'id-1', body: { type: 1 } })
  await xmpp.drained()
  const of = (ids: string[], id: string) => ids.filter((other) => other === id).length
  t.strictSame(
    ['id-1', 'id-201', 'id-0'].map((id) => of(sender.receipts, id)),
    [6, 4, 4],
  )
  t.equal(sender.refusals.get('id-500'), 'not-allowed')
  t.strictSame(
    peer.messages.map(({ id }) => id),
    ['id-1', 'id-201', 'id-0', 'id-1'],
  )
  t.equal(await deps.messages.collection.countDocuments(stored), 3)
})

test('what no client may send is refused, and reaches nobody', async (t) => {
  const { xmpp, online, deps, user } = await startMessage(t)
  user.contacts.set(carol, { exists: 0, status: -1 })
  const locked = carol + 1
  user.contacts.set(locked, { status: -1 })
  const sender = await online(alice)
  const peer = await online(bob, { resource: 'android' })
  const text = { type: 1, content: 'x' }
  const refusals: Record<string, string> = {}
  const refuse = (condition: string, message: Parameters<typeof sender.say>[0]) => {
    refusals[sender.say(message)] = condition
  }
  for (const fromUserId of [String(bob), bob, '10000', `0${alice}`, '', true, {}])
    refuse('not-allowed', { to: bob, body: { ...text, fromUserId } })
  const serverTypes = [
    83, 86, 88, 93, 97, 301, 303, 304, 401, 403, 506, 511, 512, 515, 800, 803, 901, 908, 914, 926, 935,
  ]
  for (const type of serverTypes) {
    refuse('not-allowed', { to: bob, body: { type } })
    refuse('not-allowed', { to: bob, body: { type: String(type) } })
  }
  for (const type of [902.5, '902.5', true, 2 ** 32 + 902, '0b1', -1])
    refuse('bad-request', { to: bob, body: { type } })
  for (const type of ['groupchat', 'error', 'headline'])
    for (const to of [String(bob), peer.jid]) refuse('bad-request', { to, type, body: text })
  for (const body of [
    '',
    'text',
    '[]',
    '{"type":1,"type":903}',
    `{"type":1,"fromUserId":"${bob}","fromUserId":"${alice}"}`,
  ])
    refuse('bad-request', { to: bob, body })
  for (const to of [
    carol,
    locked,
    0,
    `0${bob}`,
    '2147483648',
    'admin',
    domain,
    `${bob}@example.org`,
    `x@api.${domain}`,
  ])
    refuse('service-unavailable', { to, body: text })
  refuse('policy-violation', { to: bob, body: { ...text, content: 'x'.repeat(65_536) } })
  await xmpp.drained()
  t.strictSame(Object.fromEntries(sender.refusals), refusals)
  t.strictSame([sender.receipts, peer.received], [[], []])
  t.equal(await deps.messages.collection.countDocuments(stored), 0)
  t.equal(await deps.mailbox.collection.countDocuments(), 0)
})

test('nothing is too long to be answered: whatever a stanza is called, others go on', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const [sender, peer] = [await online(alice), await online(bob)]
  const [quotes, brackets] = ["'", '>'].map((character) => character.repeat(200_000)) as [string, string]
  sender.say({ to: bob, id: quotes })
  sender.say({ to: bob, type: brackets })
  sender.send(`<presence xmlns='jabber:client' id='${brackets}' to='room@muc.${domain}/1'/>`)
  sender.send(
    `<iq xmlns='jabber:client' type='get' id='${brackets}' to='muc.${domain}'><ping xmlns='urn:xmpp:ping'/></iq>`,
  )
  const received = `<received xmlns='urn:xmpp:receipts' id='${brackets}'/>`
  sender.send(`<message xmlns='jabber:client' to='${peer.jid}'>${received}</message>`)
  const id = sender.say({ to: bob })
  await xmpp.drained()
  t.ok(sender.receipts.includes(id))
  t.strictSame(
    peer.messages.map((message) => message.id),
    [id],
  )
  t.equal(xmpp.connections, 1)
})

test('what is hidden in a body is text: those who read it as JSON.parse does see what was decided on', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const sender = await online(alice)
  const peer = await online(bob)
  const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`
  const bodies = [
    '{"type":1,"content":"\\ud800"}',
    `{"type":1,"__hash":["type",0,"fromUserId","${bob}"],"__array":[903]}`,
    '{"__proto__":{"type":903},"type":1}',
    `{"type":1,"content":${deep}}`,
    `{"type":1,"x":${deep}}`,
    '{"type":1,"content":"{\\"type\\":903}"}',
  ]
  const ids = bodies.map((body) => sender.say({ to: bob, body }))
  await xmpp.drained()
  // Not whole: a difference of 5,000 brackets helps nobody.
  t.strictSame(
    bodies.map((body, n) => peer.messages[n]?.body === body),
    bodies.map(() => true),
  )
  t.strictSame(sender.receipts, ids)
})

test('types that are not archived are delivered in their place, and wait only as long as they may', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const peer = await online(bob)
  const types = [1, 201, 26, 100, 202, 115, 0, 104, 5000, 1]
  const ids = types.map((type) => sender.say({ to: bob, body: { type } }))
  await xmpp.drained()
  t.strictSame(
    peer.messages.map(({ id }) => id),
    ids,
  )
  for (const type of types) sender.say({ to: carol, body: { type } })
  await xmpp.drained()
  const rows = await deps.mailbox.collection.find({ user: carol }).sort({ seq: 1 }).toArray()
  const month = 30 * 86_400
  // Some time passes until it is put.
  const life = ({ at, expireAt }: { at: number; expireAt: Date }) =>
    expireAt.getTime() - at === 60_000 ? 60 : month * Math.floor((expireAt.getTime() - at) / 1000 / month)
  t.strictSame(rows.map(life), [month, month, 60, month, 60, month, month, month, month])
  await eventually(() => sender.receipts.length === 2 * types.length)
})

test('a recall takes its message out of the mailbox, and is itself delivered', async (t) => {
  const { xmpp, online, api } = await startMessage(t)
  const sender = await online(alice)
  const recalled = sender.say({ to: bob, body: { content: 'secret' } })
  const byApi = sender.say({ to: bob, body: { content: 'secret, too' } })
  const kept = sender.say({ to: bob, body: { content: 'kept' } })
  await xmpp.drained()
  await api.call(archive.deleteMessages, { messageId: [byApi], delete: 2 }, { as: alice })
  const notice = sender.say({ to: bob, body: { type: 202, content: recalled } })
  const fast = sender.say({ to: bob, body: { content: 'recalled in the same moment' } })
  const fastNotice = sender.say({ to: bob, body: { type: 202, content: fast } })
  const burnt = sender.say({ to: bob, body: { content: 'not archived', isReadDel: 1 } })
  const burntNotice = sender.say({ to: bob, body: { type: 202, content: burnt } })
  await xmpp.drained()
  const peer = await online(bob)
  await eventually(() => peer.messages.length >= 4)
  const left = [kept, notice, fastNotice, burntNotice]
  t.strictSame(
    peer.messages.map(({ id }) => id),
    left,
  )
  const rows = await api.call(archive.listSingleHistory, { receiver: alice, maxType: 1000 }, { as: bob })
  t.strictSame(rows.map(({ messageId }) => messageId).reverse(), left)
})

test('a recall that names the peer’s message is refused', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const [sender, peer] = [await online(alice), await online(bob)]
  const foreign = peer.say({ to: alice })
  const own = sender.say({ to: bob })
  await xmpp.drained()
  const refused = [
    sender.say({ to: bob, body: { type: 202, content: foreign } }),
    sender.say({ to: bob, body: { type: 202, content: `${own}, ${foreign}` } }),
  ]
  const allowed = [
    sender.say({ to: bob, body: { type: 202, content: own } }),
    sender.say({ to: bob, body: { type: 202, content: 'unknown' } }),
  ]
  await xmpp.drained()
  t.strictSame([...sender.refusals.keys()], refused)
  t.match(sender.receipts.slice(-2), allowed)
})

test('an entry that we fail on is parked whole, and the others go on; many in a row stop the feed', async (t) => {
  const broken = new Set<string>()
  const { xmpp, online, deps } = await startMessage(t, {
    overrides: {
      relations: {
        peek: (_first, second) => {
          if (broken.has(String(second))) throw new TypeError('a bug')
          return {}
        },
        ask: async () => ({}),
      },
    },
  })
  const sender = await online(alice)
  const peer = await online(bob)
  broken.add(String(carol))
  const body = '{"type":1,"content":"whole & <kept>"}'
  const id = sender.say({ to: carol, body })
  sender.say({ to: bob })
  await xmpp.drained()
  t.equal(peer.messages.length, 1)
  const [parked] = await deps.parked.collection.find().toArray()
  t.match(parked, { from: sender.jid, error: /a bug/ })
  t.match(parked?.stanza, /whole &amp; &lt;kept&gt;/)
  t.notOk(sender.receipts.includes(id))
  const { connections } = xmpp
  for (let n = 0; n < 30; n++) sender.say({ to: carol })
  await eventually(() => xmpp.connections === connections && !xmpp.connected)
  t.ok(await deps.parked.collection.countDocuments())
})

test('holes of the log are passed over', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const sender = await online(alice)
  const peer = await online(bob)
  xmpp.cut()
  for (let n = 0; n < 3; n++) sender.say({ to: bob, body: { content: `lost ${n}` } })
  xmpp.damage(3)
  sender.say({ to: bob, body: { content: 'after' } })
  await xmpp.drained()
  // It may have been put into the mailbox first: then it comes from there.
  await eventually(() => peer.contents().length > 0)
  t.strictSame(peer.contents(), ['after'])
})

test('entries that come again after a lost connection are taken once', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const peer = await online(bob, { confirming: false })
  for (let n = 0; n < 20; n++) sender.say({ to: bob, body: { content: n } })
  await eventually(() => peer.messages.length === 20)
  xmpp.cut()
  for (let n = 20; n < 40; n++) sender.say({ to: bob, body: { content: n } })
  peer.set({ confirming: true })
  await xmpp.drained()
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  t.equal(await deps.messages.collection.countDocuments(), 40)
  const firsts = [...new Set(peer.contents())]
  t.strictSame(
    firsts,
    Array.from({ length: 40 }, (_, n) => n),
  )
})

test('what was settled and is told again is answered again, and neither delivered nor announced', async (t) => {
  const { xmpp, online, env } = await startMessage(t)
  const events = await recordEvents(t, env, messagesPassed)
  const [sender, pc, peer] = [await online(alice), await online(alice, { resource: 'pc' }), await online(carol)]
  await online(bob, { confirming: false })
  // Until it is confirmed, nothing behind it is released.
  sender.say({ to: bob })
  const ids = [
    sender.say({ to: carol, body: { content: 'stored' } }),
    sender.say({ to: carol, body: { type: 100 } }),
    sender.say({ to: carol, body: { type: 201 } }),
    sender.say({ to: alice, body: { content: 'to an own device' } }),
  ]
  const receiptsOf = (id: string) => sender.receipts.filter((other) => other === id).length
  await eventually(() => ids.every((id) => receiptsOf(id) === 1) && peer.messages.length === 3)
  xmpp.cut()
  await eventually(() => ids.every((id) => receiptsOf(id) === 2))
  await xmpp.drained()
  t.equal(peer.messages.length, 3)
  t.equal(pc.messages.length, 1)
  t.equal(events.flatMap(({ messages }) => messages).length, 1)
})

test('a server that came back at another address keeps its streams when the old connection ends', async (t) => {
  const [before, now] = [await XmppServer.start(), await XmppServer.start()]
  Object.defineProperty(now, 'name', { value: before.name })
  const outage = now.refuseConnections()
  const { online, deps } = await startMessage(t, { servers: [before, now] })
  await eventually(() => before.connected)
  outage.end()
  await eventually(() => now.connected)
  const [sender, peer] = [await online(alice, { server: now }), await online(bob, { server: now })]
  before.refuseConnections()
  await delay(100)
  sender.say({ to: bob })
  await eventually(() => peer.messages.length === 1)
  t.equal(sender.receipts.length, 1)
  const isThere = async () => (await deps.presences.of([bob])).get(bob)?.at.some(({ resources }) => resources.length)
  await eventually(isThere)
  peer.end()
  await eventually(async () => !(await isThere()))
})

test('what is pushed though it is not archived is announced once, with what push needs and no text', async (t) => {
  const { xmpp, online, env } = await startMessage(t)
  const events = await recordEvents(t, env, messagesPassed)
  const sender = await online(alice)
  const announced = [
    sender.say({ to: bob, body: { type: 100 } }),
    sender.say({ to: bob, body: { type: 103 } }),
    sender.say({ to: bob, body: { content: 'burns', isReadDel: 1 } }),
    sender.say({ to: bob, body: { type: 2, isReadDel: true, isEncrypt: '1' } }),
  ]
  const quiet = [
    sender.say({ to: bob, body: { content: 'archived' } }),
    sender.say({ to: bob, body: { type: 201 } }),
    sender.say({ to: bob, body: { type: 26, content: 'x' } }),
    sender.say({ to: bob, body: { type: 102 } }),
    sender.say({ to: alice, body: { content: 'to an own device', isReadDel: 1 } }),
  ]
  sender.say({ to: bob, body: { type: 100 }, id: announced[0]! }) // sent again
  await xmpp.drained()
  xmpp.cut() // the log is told again
  const last = sender.say({ to: bob, body: { type: 110 } })
  const all = () => events.flatMap(({ messages }) => messages)
  await eventually(() => all().some(({ messageId }) => messageId === last))
  t.strictSame(
    all().map(({ messageId }) => messageId),
    [...announced, last],
  )
  t.ok(quiet.every((id) => !JSON.stringify(events).includes(id)))
  t.match(all()[3], { from: alice, to: bob, contentType: 2, isEncrypt: true, isReadDel: true })
  t.match(all()[0], { contentType: 100, isEncrypt: false, isReadDel: false })
  t.notOk(JSON.stringify(events).includes('burns'))
})
