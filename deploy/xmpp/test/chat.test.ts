import { test } from 'tap'
import {
  alice,
  archive,
  bob,
  bodyOf,
  carol,
  eventually,
  join,
  newId,
  ours,
  Person,
  register,
  textMessage,
} from './people.ts'
import { startProsody } from './prosody.ts'

test('messages that pretend, that only the server sends or that are too long are refused', async (t) => {
  const prosody = await startProsody(t)
  const taken = await archive(prosody)
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  for (const type of [83, 86, 88, 93, 97, 301, 403, 506, 511, 515, 800, 803, 901, 935]) {
    const id = await from.send(bob, textMessage(alice, bob, 'x', newId(), type))
    t.equal(await from.refusal(id), 'not-allowed', String(type))
  }
  t.equal(await from.refusal(await from.send(bob, textMessage(carol, bob, 'x'))), 'not-allowed')
  const long = await from.send(bob, textMessage(alice, bob, 'x'.repeat(65537)))
  t.equal(await from.refusal(long), 'policy-violation')
  await from.send(from.bare, textMessage(bob, alice, 'forwarded between own devices'))
  await from.send(bob, bodyOf({ type: 1, messageId: newId(), fromUserId: Number(alice), content: 'number' }))
  await from.send(bob, 'no JSON')
  await from.send(bob, textMessage(alice, bob, 'x'.repeat(60_000)))
  await eventually(() => to.messages().length === 3 && taken.entries.length === 4)
  await from.write(`<message to='${prosody.component}'><body>x</body></message>`)
  await from.write(`<message to='@@'><body>x</body></message>`)
  await from.write(`<message><body>a</body><body>b</body></message>`)
  await from.write(`<iq type='set'/>`)
  await from.sync()
  await from.write('<message><body>')
  await from.write('</message>')
  await eventually(() => from.errors.length > 0)
})

test('the message service decides on relations, and its answers bridge a break', async (t) => {
  const prosody = await startProsody(t)
  const taken = await archive(prosody)
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  prosody.services.check = (_from, _to, type) =>
    type === 501 ? { allow: 0, condition: 'not-allowed', text: 'no friends' } : { allow: 1 }
  const refused = await from.send(bob, textMessage(alice, bob, 'friends?', newId(), 501))
  await from.send(bob, textMessage(alice, bob, 'one'))
  await from.send(bob, textMessage(alice, bob, 'two'))
  t.equal(await from.refusal(refused), 'not-allowed')
  t.match(String(from.error(refused)), /no friends/)
  await eventually(() => to.messages().length === 2)
  t.strictSame(to.contents(), ['one', 'two'])
  const checks = prosody.services.calls.filter((call) => call.path === '/internal/xmpp/check').map((call) => call.body)
  t.strictSame(checks, [
    { from: Number(alice), to: Number(bob), type: 501 },
    { from: Number(alice), to: Number(bob), type: 1 },
  ])
  prosody.services.check = () => ({ allow: 0 })
  await taken.order(`<forget-user xmlns='${ours}' user='${bob}'/>`)
  const blocked = await from.send(bob, textMessage(alice, bob, 'blocked'))
  t.equal(await from.refusal(blocked), 'not-allowed')
  prosody.services.mode = 'down'
  const bridged = await from.send(bob, textMessage(alice, bob, 'still blocked'))
  t.equal(await from.refusal(bridged), 'not-allowed')
  const unknown = await from.send(carol, textMessage(alice, carol, 'x'))
  t.equal(await from.refusal(unknown), 'resource-constraint')
  t.equal(taken.entries.length, 2)
})

test('each recall notice is decided by the messages it names', async (t) => {
  const prosody = await startProsody(t)
  const taken = await archive(prosody)
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  const asked: unknown[] = []
  prosody.services.check = (_from, _to, type, messageIds) => {
    asked.push([type, messageIds])
    return messageIds?.includes('foreign') ? { allow: 0, condition: 'not-allowed' } : { allow: 1 }
  }
  const recall = (content: string) => from.send(bob, textMessage(alice, bob, content, newId(), 202))
  const many = Array.from({ length: 1000 }, (_, n) => `id${n}`)
  await recall('one')
  await recall('one')
  const refused = [await recall('one, foreign'), await recall(`${many},more`)]
  await recall(`${many},id7,`)
  await recall('')
  await from.send(bob, bodyOf({ type: 202, messageId: newId(), content: 42 }))
  await from.send(bob, textMessage(alice, bob, 'foreign'))
  for (const id of refused) t.equal(await from.refusal(id), 'not-allowed')
  await from.sync()
  t.strictSame(asked, [
    [202, ['one']],
    [202, ['one']],
    [202, ['one', 'foreign']],
    [202, many],
    [202, ['42']],
    [1, undefined],
  ])
  await eventually(() => to.messages().length === 6 && taken.entries.length === 6)
  prosody.services.mode = 'down'
  t.equal(await from.refusal(await recall('one')), 'resource-constraint')
})

test('a locked receiver is not available', async (t) => {
  const prosody = await startProsody(t)
  const from = await join(prosody, alice)
  prosody.services.states.set(bob, { exists: 1, status: -1 })
  const id = await from.send(bob, textMessage(alice, bob, 'x', newId(), 202))
  t.equal(await from.refusal(id), 'service-unavailable')
})

test('waiting for a check does not reorder what a user sends', async (t) => {
  const prosody = await startProsody(t)
  const [from, toBob, toCarol] = [await join(prosody, alice), await join(prosody, bob), await join(prosody, carol)]
  prosody.services.mode = 100
  await from.send(bob, textMessage(alice, bob, '1'))
  await from.send(carol, textMessage(alice, carol, '2'))
  await from.write(
    `<message to='${toBob.bare}' type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>`,
  )
  await from.send(bob, textMessage(alice, bob, '3'))
  await eventually(() => toBob.messages().length === 2 && toCarol.messages().length === 1)
  const order = toBob.stanzas.filter((s) => s.name === 'message').map((s) => (s.getChild('body') ? 'body' : 'state'))
  t.strictSame(order, ['body', 'state', 'body'])
})

test('who is offline gets messages once, in order, with their time, also after a crash', async (t) => {
  const prosody = await startProsody(t)
  const from = await join(prosody, alice)
  register(prosody, bob)
  const kinds = [1, 26, 202, 100, 0, 500, 200, 201, 101, 116, 121, 130]
  for (const type of kinds) await from.send(bob, textMessage(alice, bob, String(type), newId(), type))
  const expired = bodyOf({ type: 1, messageId: newId(), content: 'expired', deleteTime: 1000 })
  await from.send(bob, expired)
  await from.write(`<message to='${bob}@im.test'><received xmlns='urn:xmpp:receipts' id='x'/></message>`)
  await from.sync()
  await new Promise((resolve) => setTimeout(resolve, 300))
  await prosody.end('SIGKILL')
  await prosody.start()
  const silent = await new Person(prosody, bob, 'pc').online({ priority: -1 })
  await silent.sync()
  t.strictSame(silent.messages(), [])
  const back = await new Person(prosody, bob, 'android').online()
  await eventually(() => back.messages().length === 6)
  await back.sync()
  t.strictSame(back.contents(), ['1', '26', '202', '100', '0', '500'])
  const stamp = back.messages()[0]?.getChild('delay', 'urn:xmpp:delay')?.attrs.stamp
  t.ok(Math.abs(Date.parse(String(stamp)) - Date.now()) < 60_000, String(stamp))
  const other = await new Person(prosody, bob, 'ios').online()
  await other.sync()
  t.strictSame(other.messages(), [])
})

test('a bare JID reaches all available devices, a full JID one', async (t) => {
  const prosody = await startProsody(t)
  const from = await join(prosody, alice, 'android')
  const ownPc = await join(prosody, alice, 'pc')
  const [low, high] = [
    await join(prosody, bob, 'android'),
    await new Person(prosody, bob, 'pc').online({ priority: 5 }),
  ]
  const unavailable = await new Person(prosody, bob, 'web').online({ presence: false })
  await from.send(bob, textMessage(alice, bob, 'all'))
  await from.send(low.jid, textMessage(alice, bob, 'low'))
  await from.send(`${bob}@im.test/gone`, textMessage(alice, bob, 'gone'))
  await from.send(from.bare, textMessage(alice, alice, 'own', newId(), 200))
  await from.send(ownPc.jid, textMessage(bob, alice, 'copy'))
  await from.send(`${alice}@im.test/gone`, textMessage(bob, alice, 'lost'))
  await from.send(bob, textMessage(alice, bob, 'last'))
  await eventually(() => high.messages().length === 3)
  await eventually(() => ownPc.messages().length === 2)
  t.strictSame(high.contents(), ['all', 'gone', 'last'])
  t.strictSame(low.contents(), ['all', 'low', 'gone', 'last'])
  t.strictSame(ownPc.contents(), ['own', 'copy'])
  t.equal(ownPc.messages()[0]?.attrs.from, from.jid)
  t.strictSame(unavailable.messages(), [])
  t.strictSame(from.messages(), [])
  await ownPc.offline()
  await from.send(from.bare, textMessage(alice, alice, 'nobody'))
  await from.sync()
  const again = await join(prosody, alice, 'pc')
  await again.sync()
  t.strictSame(again.messages(), [])
})

test('what a lost stream did not acknowledge comes later', async (t) => {
  const prosody = await startProsody(t)
  const from = await join(prosody, alice)
  const to = await join(prosody, bob)
  to.vanish()
  await from.send(bob, textMessage(alice, bob, 'for later'))
  await from.sync()
  const back = await join(prosody, bob)
  await eventually(() => back.messages().length === 1)
  t.strictSame(back.contents(), ['for later'])
  t.equal(from.stanzas.filter((s) => s.attrs.type === 'error').length, 0)
})

test('the message service knows who is available; other users do not', async (t) => {
  const prosody = await startProsody(t)
  const early = await join(prosody, alice, 'android')
  const taken = await archive(prosody)
  await eventually(() => taken.snapshots.length === 1)
  t.strictSame(taken.snapshots, [{ complete: true, resources: [`${alice}/android`] }])
  const late = await join(prosody, bob, 'ios')
  await late.write(`<presence type='subscribe' to='${early.bare}'/>`)
  await late.write(`<presence to='${early.jid}'/>`)
  const id = newId()
  await late.write(`<iq type='set' id='${id}'><query xmlns='jabber:iq:roster'><item jid='${early.bare}'/></query></iq>`)
  t.equal(await late.refusal(id), 'not-allowed')
  await late.write("<presence type='unavailable'/>")
  await late.available()
  await late.offline()
  await eventually(() => taken.presence.length === 4)
  t.strictSame(
    taken.presence.map((p) => `${p.user}/${p.resource} ${p.online}`),
    [`${bob}/ios 1`, `${bob}/ios 0`, `${bob}/ios 1`, `${bob}/ios 0`],
  )
  await early.sync()
  t.equal(early.stanzas.filter((s) => s.name === 'presence' && s.attrs.from !== early.jid).length, 0)
})

test('orders close streams and deliver messages; only the component gives them', async (t) => {
  const prosody = await startProsody(t)
  const taken = await archive(prosody)
  const [phone, pc] = [await join(prosody, alice, 'android'), await join(prosody, alice, 'pc')]
  register(prosody, bob)
  for (const to of [alice, bob]) {
    const body = textMessage('10005', to, 'notice', newId(), 907).replaceAll('"', '&quot;')
    const done = await taken.order(
      `<deliver xmlns='${ours}'><message from='10005@im.test' to='${to}@im.test' type='chat' id='n'><body>${body}</body></message></deliver>`,
    )
    t.equal(done.attrs.type, 'result')
  }
  await eventually(() => phone.messages().length === 1 && pc.messages().length === 1)
  t.strictSame(phone.contents(), ['notice'])
  t.equal(phone.messages()[0]?.attrs.from, '10005@im.test')
  const later = await join(prosody, bob)
  await eventually(() => later.contents().length === 1)
  taken.write(
    `<message type='normal' from='${bob}@im.test' to='${phone.jid}'><received xmlns='urn:xmpp:receipts' id='M' status='1'/></message>`,
  )
  await eventually(() => phone.stanzas.some((s) => s.getChild('received', 'urn:xmpp:receipts')))
  const id = newId()
  await later.write(
    `<iq type='set' id='${id}' to='im.test'><close-streams xmlns='${ours}' user='${alice}' condition='reset'/></iq>`,
  )
  t.equal(await later.refusal(id), 'forbidden')
  const closed = await taken.order(
    `<close-streams xmlns='${ours}' user='${alice}' resource='pc' condition='not-authorized' text='changed'/>`,
  )
  t.equal(closed.attrs.type, 'result')
  await eventually(() => pc.errors.length > 0)
  await phone.sync()
  await taken.order(`<close-streams xmlns='${ours}' user='${alice}' condition='not-authorized'/>`)
  await eventually(() => phone.errors.some((error) => (error as { condition?: string }).condition === 'not-authorized'))
  t.equal((await taken.order(`<deliver xmlns='${ours}'/>`)).attrs.type, 'error')
  t.equal(taken.entries.length, 0)
})
