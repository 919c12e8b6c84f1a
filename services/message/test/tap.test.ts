import { archive, messageArchived } from '@im/contracts/message'
import { on } from '@im/service-kit'
import { eventually, observeEvents } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, carol, startMessage } from './start-message.ts'
import { domain, parseStanza, XmppServer } from './xmpp-server.ts'

test('a message is stored byte for byte, shown to both sides and confirmed to its sender', async (t) => {
  const { xmpp, api } = await startMessage(t)
  await eventually(() => xmpp.connected)
  const body = `{"type":1, "messageId":"m1","fromUserName":"爱丽丝","content":"a<b>&amp;\\"'\\u4f60好😀\\r\\n","x":{"y":[1.0]},"timeSend":${Date.now() / 1000}}\r\n`
  xmpp.say({ from: alice, to: String(bob), id: 'm1', body })
  await xmpp.drained()
  const [receipt] = xmpp.receipts
  t.strictSame(receipt, { id: 'm1', status: '1', from: `${bob}@${domain}`, to: `${alice}@${domain}/android` })

  const [sent] = await api.call(archive.listSingleHistory, { receiver: bob }, { as: alice })
  const [received] = await api.call(archive.listSingleHistory, { receiver: alice }, { as: bob })
  t.equal(sent?.body, body)
  t.equal(sent?.content, 'a<b>&amp;"\'你好😀\r\n')
  t.equal(sent?.direction, 0)
  t.equal(sent?.receiver, bob)
  t.match(sent?.message ?? '', /^<message .*<body>.*爱丽丝.*<\/body><request xmlns="urn:xmpp:receipts"\/><\/message>$/s)
  t.equal(received?.direction, 1)
  t.equal(received?.sender, bob)
  t.equal(received?.receiver, alice)
  t.equal(received?.sender_jid, `${alice}@${domain}/android`)
})

test('the row shows the whole stanza, whether apps sent a plain one or more', async (t) => {
  const { xmpp, api, deps } = await startMessage(t)
  await eventually(() => xmpp.connected)
  const from = `${alice}@${domain}/a&b`
  const stanza = (id: string, more: string) =>
    `<message xmlns='jabber:client' id='${id}' type='chat' from='${from.replace('&', '&amp;')}' to='${bob}@${domain}'>` +
    `<body>{"type":1,"messageId":"${id}","content":"&lt;hi&gt;"}</body><request xmlns='urn:xmpp:receipts'/>${more}</message>`
  xmpp.append(from, Date.now(), stanza('plain', ''))
  xmpp.append(from, Date.now() + 1, stanza('more', '<thread>t</thread>'))
  await xmpp.drained()
  const [more, plain] = await api.call(archive.listSingleHistory, { receiver: bob }, { as: alice })
  for (const [row, extra] of [
    [plain, ''],
    [more, '<thread>t</thread>'],
  ] as const) {
    const document = parseStanza(row?.message ?? '')
    t.strictSame(document.attrs, {
      ...{ xmlns: 'jabber:client', type: 'chat', id: row?.messageId, from, to: `${bob}@${domain}` },
    })
    t.equal(document.getChildText('body'), row?.body)
    t.ok(document.getChild('request', 'urn:xmpp:receipts'))
    t.equal(document.getChildText('thread') ?? '', extra && 't')
  }
  const kept = await deps.messages.collection.find({ from: alice }).sort({ ts: 1 }).toArray()
  t.strictSame(
    kept.map(({ stanza }) => stanza !== undefined),
    [false, true],
  )
})

test('characters that lie across two network reads arrive whole', async (t) => {
  const { xmpp, api } = await startMessage(t)
  await eventually(() => xmpp.connected)
  const content = '你好，世界😀'.repeat(50)
  const body = JSON.stringify({ type: 1, messageId: 'split', content })
  const entry =
    `<message from='${domain}' to='api.${domain}'><tap xmlns='urn:yingchuang:im:1' seq='1' stamp='${Date.now()}' sender='${alice}@${domain}/ios'>` +
    `<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' id='split' type='chat' to='${bob}@${domain}'><body>${body}</body></message></forwarded></tap></message>`
  // One byte at a time: each character of several bytes is cut everywhere.
  for (const byte of Buffer.from(entry)) {
    xmpp.raw(Uint8Array.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  const rows = await eventually(async () => {
    const found = await api.call(archive.listSingleHistory, { receiver: alice }, { as: bob })
    return found.length > 0 && found
  })
  t.equal(rows[0]?.content, content)
})

test('a message sent again is stored once, confirmed again and announced once', async (t) => {
  const { xmpp, api, env } = await startMessage(t)
  const events: string[] = []
  await observeEvents(t, env, [
    on(messageArchived, async ({ messages }) => events.push(...messages.map(({ messageId }) => messageId))),
  ])
  await eventually(() => xmpp.connected)
  const id = xmpp.say({ from: alice, to: String(bob) })
  await xmpp.drained()
  xmpp.say({ from: alice, to: String(bob), id })
  xmpp.say({ from: alice, to: String(bob), id })
  const other = xmpp.say({ from: alice, to: String(bob) })
  await xmpp.drained()
  t.strictSame(
    xmpp.receipts.map((receipt) => receipt.id),
    [id, id, id, other],
  )
  t.equal((await api.call(archive.listSingleHistory, { receiver: bob }, { as: alice })).length, 2)
  await eventually(() => events.includes(other))
  t.strictSame(events, [id, other])
})

test('ids that are no ids: halves of surrogate pairs and texts of any length neither stop the feed nor swallow a message', async (t) => {
  const { xmpp, api, env } = await startMessage(t)
  const announced: string[] = []
  await observeEvents(t, env, [
    on(messageArchived, async ({ messages }) => announced.push(...messages.map(({ messageId }) => messageId))),
  ])
  await eventually(() => xmpp.connected)
  const long = 'x'.repeat(60_000)
  const ids = ['\\ud800', '\\ud801', `${long}1`, `${long}2`, `${long}1`, '\\u0000']
  for (const [n, id] of ids.entries())
    xmpp.say({ from: alice, to: String(bob), id: `s${n}`, body: `{"type":1,"messageId":"${id}","content":"${n}"}` })
  await xmpp.drained()
  const rows = await api.call(archive.listSingleHistory, { receiver: bob }, { as: alice })
  t.strictSame(rows.map(({ content }) => content).sort(), ['0', '1', '2', '3', '5'])
  t.equal(xmpp.receipts.length, ids.length)
  await eventually(() => announced.length === 5)
  t.ok(announced.every((id) => id.length <= 128))
})

test('messages of 60 KB each, many at once, are stored in several transactions', async (t) => {
  const { xmpp, deps, db } = await startMessage(t)
  const text = '长'.repeat(20_000)
  for (let n = 0; n < 120; n++)
    xmpp.say({ from: alice, to: String(bob), body: { content: `${n} ${text}`, timeSend: Date.now() / 1000 + n } })
  await eventually(() => xmpp.connected)
  await xmpp.drained(60_000)
  t.equal(await deps.messages.collection.countDocuments({ from: alice }), 120)
  t.equal(xmpp.receipts.length, 120)
  t.equal(await db.collection('poison').countDocuments(), 0)
})

test('the peer may use the same messageId without swallowing a message', async (t) => {
  const { xmpp, api } = await startMessage(t)
  await eventually(() => xmpp.connected)
  xmpp.say({ from: alice, to: String(bob), id: 'same', body: { messageId: 'same', content: 'from alice' } })
  xmpp.say({ from: bob, to: String(alice), id: 'same', body: { messageId: 'same', content: 'from bob' } })
  await xmpp.drained()
  const rows = await api.call(archive.listSingleHistory, { receiver: bob }, { as: alice })
  t.strictSame(rows.map(({ content }) => content).sort(), ['from alice', 'from bob'])
})

test('what is not archived is confirmed all the same, and poison never stops the feed', async (t) => {
  const { xmpp, db } = await startMessage(t)
  await eventually(() => xmpp.connected)
  const confirmed = [
    xmpp.say({ from: alice, to: String(bob), body: { type: 201 } }),
    xmpp.say({ from: alice, to: String(bob), body: { isReadDel: 1 } }),
    xmpp.say({ from: alice, to: String(bob), body: { isReadDel: true } }),
    xmpp.say({ from: alice, to: String(bob), body: { type: 0 } }),
    xmpp.say({ from: alice, to: String(alice), body: { content: 'my device' } }),
    xmpp.say({ from: alice, to: `${alice}@${domain}/pc`, body: { content: 'forwarded' } }),
    xmpp.say({ from: alice, to: String(bob), body: 'no json at all' }),
    xmpp.say({ from: alice, to: String(bob), body: '[1]' }),
    xmpp.say({ from: alice, to: String(bob), body: '{"type":"x","content":{"a":1},"timeSend":"never"}' }),
    xmpp.say({ from: alice, to: String(bob), body: { type: 26, content: 'unknown,ids' } }),
  ]
  xmpp.say({ from: alice, to: String(bob), body: { type: 201 }, receipt: false })
  xmpp.append(
    'nobody@elsewhere/x',
    Date.now(),
    `<message type='chat' id='q' to='${bob}@${domain}'><body>{}</body></message>`,
  )
  xmpp.append(
    `${alice}@${domain}/a`,
    Number.NaN,
    `<message type='chat' id='q2' to='garbage'><body>{"type":1}</body></message>`,
  )
  xmpp.append(`${alice}@${domain}/a`, Date.now(), `<message type='chat' id='q3'/>`)
  xmpp.append(
    `${alice}@${domain}/a`,
    Date.now(),
    `<message type='error' id='q4' to='${bob}@${domain}'><body>{"type":1}</body></message>`,
  )
  const last = xmpp.say({ from: alice, to: String(bob) })
  await xmpp.drained()
  t.strictSame(
    xmpp.receipts.map(({ id }) => id),
    [...confirmed, last],
  )
  const stored = await db.collection('messages').find().toArray()
  t.strictSame(
    stored.map(({ messageId }) => messageId),
    [last],
  )
  t.equal(xmpp.connections, 1)
})

test('an entry MongoDB refuses is kept aside without a receipt; those beside it are stored', async (t) => {
  const { xmpp, db, deps } = await startMessage(t)
  await eventually(() => xmpp.connected)
  await db.command({
    collMod: 'messages',
    validator: { content: { $ne: 'refused' } },
  })
  xmpp.cut()
  const ids = [1, 2, 3, 4, 5].map((n) =>
    xmpp.say({ from: alice, to: String(bob), body: { content: n === 3 ? 'refused' : 'fine' } }),
  )
  await xmpp.drained()
  t.strictSame(
    xmpp.receipts.map(({ id }) => id),
    ids.filter((_, index) => index !== 2),
  )
  t.equal(await deps.messages.collection.countDocuments(), 4)
  t.equal(await deps.poison.collection.countDocuments(), 1)
})

test('a gap in the sequence opens the connection anew and loses nothing', async (t) => {
  const { xmpp, db } = await startMessage(t)
  await eventually(() => xmpp.connected)
  xmpp.raw(
    `<message from='${domain}' to='api.${domain}'><tap xmlns='urn:yingchuang:im:1' seq='7' stamp='1' sender='${alice}@${domain}/a'><forwarded xmlns='urn:xmpp:forward:0'><message/></forwarded></tap></message>`,
  )
  await eventually(() => xmpp.connections === 2 && xmpp.connected)
  for (let n = 0; n < 20; n++) xmpp.say({ from: alice, to: String(bob) })
  await xmpp.drained()
  t.equal(await db.collection('messages').countDocuments(), 20)
})

test('connections cut at any moment: each message is stored once and confirmed', async (t) => {
  const { xmpp, db } = await startMessage(t, { env: { ARCHIVE_BATCH: '40' } })
  await eventually(() => xmpp.connected)
  const ids: string[] = []
  for (let round = 0; round < 10; round++) {
    for (let n = 0; n < 60; n++) ids.push(xmpp.say({ from: n % 2 ? alice : bob, to: String(n % 2 ? bob : alice) }))
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 30))
    xmpp.cut()
    await eventually(() => xmpp.connected)
  }
  await xmpp.drained()
  const stored = await db.collection('messages').find().sort({ _id: 1 }).toArray()
  t.strictSame(
    stored.map(({ messageId }) => messageId),
    ids,
  )
  t.strictSame(new Set(xmpp.receipts.map(({ id }) => id)), new Set(ids))
})

test('the end of the service finishes and acknowledges the batch in hand; the next start goes on', async (t) => {
  const xmpp = await XmppServer.start()
  const first = await startMessage(t, { xmpp })
  await eventually(() => xmpp.connected)
  for (let n = 0; n < 600; n++) xmpp.say({ from: alice, to: String(bob) })
  await eventually(() => xmpp.acked > 0)
  await first.close()
  const acked = xmpp.acked
  const second = await startMessage(t, { xmpp, env: { NAMESPACE: first.env['NAMESPACE']! } })
  await xmpp.drained()
  t.ok(acked > 0)
  t.equal(await second.deps.messages.collection.countDocuments(), 600)
  t.equal(xmpp.receipts.length, 600, 'nothing was delivered twice')
})

test('of two replicas one holds the connection; the other takes over', async (t) => {
  const xmpp = await XmppServer.start()
  const one = await startMessage(t, { xmpp })
  await eventually(() => xmpp.connected)
  const two = await startMessage(t, { xmpp, env: { NAMESPACE: one.env['NAMESPACE']! } })
  xmpp.say({ from: alice, to: String(bob) })
  await xmpp.drained()
  t.equal(xmpp.connections, 1)
  await one.close()
  xmpp.say({ from: alice, to: String(bob) })
  await xmpp.drained()
  t.equal(xmpp.connections, 2)
  t.equal(await two.deps.messages.collection.countDocuments(), 2)
})

test('a read receipt marks what the peer wrote, also in the same batch', async (t) => {
  const { xmpp, api } = await startMessage(t)
  await eventually(() => xmpp.connected)
  const early = xmpp.say({ from: alice, to: String(bob) })
  await xmpp.drained()
  const late = xmpp.say({ from: alice, to: String(bob) })
  const own = xmpp.say({ from: bob, to: String(alice) })
  const strange = xmpp.say({ from: alice, to: String(carol) })
  xmpp.say({ from: bob, to: String(alice), body: { type: 26, content: `${early}, ${late},${own},${strange}` } })
  await xmpp.drained()
  const rows = await api.call(archive.listSingleHistory, { receiver: bob }, { as: alice })
  t.strictSame(
    new Map(rows.map(({ messageId, isRead }) => [messageId, isRead])),
    new Map([
      [own, 0],
      [late, 1],
      [early, 1],
    ]),
  )
  const [toCarol] = await api.call(archive.listSingleHistory, { receiver: carol }, { as: alice })
  t.equal(toCarol?.isRead, 0)
})

test('a room message is stored as a row of the room', async (t) => {
  const { xmpp, db } = await startMessage(t)
  await eventually(() => xmpp.connected)
  const id = xmpp.say({
    from: alice,
    to: `7526ff27bce54d95bea9efd6be83862b@muc.${domain}`,
    type: 'groupchat',
    body: { fromUserName: 'A' },
  })
  await xmpp.drained()
  const [row] = await db.collection('messages').find().toArray()
  t.equal(row?.['conversation'], 'r:7526ff27bce54d95bea9efd6be83862b')
  t.equal(row?.['from'], alice)
  t.equal(row?.['to'], undefined)
  t.strictSame(xmpp.receipts[0], {
    id,
    status: '1',
    from: `7526ff27bce54d95bea9efd6be83862b@muc.${domain}`,
    to: `${alice}@${domain}/android`,
  })
})
