/** XEP-0198: what is counted, kept, resumed and forgotten. That counts wait for the disk is in durability.test.ts. */
import { test } from 'tap'
import { alice, attributeXml, bob, Client, contentOf, join, messageXml, sm } from './client.ts'
import { eventually } from './eventually.ts'
import { delivery, startMessageService } from './message-service.ts'
import { startProsody } from './prosody.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

test('it is offered, enabled once, after binding', async (t) => {
  const prosody = await startProsody(t)
  const client = await new Client(prosody, alice).login()
  t.ok(client.elements.some((element) => element.name === 'stream:features' && element.getChild('sm', sm)))
  client.write(`<enable xmlns='${sm}' resume='true'/>`)
  t.ok((await client.element('failed')).getChild('unexpected-request'))
  await client.bind()
  client.write(`<enable xmlns='${sm}' resume='true'/>`)
  t.match((await client.element('enabled')).attrs, { resume: 'true', max: '60', id: /^.{20,}$/ })
  client.write(`<enable xmlns='${sm}'/>`)
  t.ok((await client.element('failed')).getChild('unexpected-request'))
})

test('every kind of stanza is counted once it is handled, refused ones too', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, alice)
  client.send(bob, 'message')
  client.write(`<presence to='room@${prosody.rooms}/1'/>`)
  client.write(`<iq type='get' id='1' to='${bob}@im.test'><x xmlns='urn:x'/></iq>`)
  client.write("<iq type='odd' id='2'/>")
  client.write("<message to='@@'/>")
  await client.sync()
  await eventually(() => service.entries.length === 2)
  t.equal(await client.askCount(), 7)
})

test('a resumed stream is the same: what was not acknowledged comes again, in order, with what came meanwhile', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const lost = await join(prosody, bob)
  const id = await service.stream(lost.jid)
  service.deliver(id, ...numbers(1, 4).map((i) => delivery(String(i))))
  await eventually(() => lost.contents().length === 4)
  lost.ack(3)
  await eventually(() => service.confirmed.get(id) === 2)
  await lost.vanish()
  await eventually(() => service.state(id)['waiting'] === '1')
  service.deliver(id, delivery('5'))
  service.tell(service.frame([id], delivery('unnumbered')))
  service.deliver(id, delivery('6'))
  const back = new Client(prosody, bob)
  const resumed = await back.resume(lost, 4) // it has the third, too
  t.match(resumed.attrs, { h: '1', previd: lost.id })
  await eventually(() => back.contents().length === 4)
  t.strictSame(back.contents(), ['4', '5', 'unnumbered', '6'])
  await eventually(() => service.state(id)['waiting'] === undefined)
  t.equal(service.state(id)['confirmed'], '3')
  back.ack()
  await eventually(() => service.confirmed.get(id) === 6)
  back.send(alice, 'from the resumed')
  await eventually(() => service.entries.length === 1)
  t.strictSame([service.entries[0]?.stream, service.entries[0]?.from], [id, lost.jid])
  service.deliver(id, delivery('7'))
  await eventually(() => back.contents().includes('7'))
  await back.vanish()
  await eventually(() => service.state(id)['waiting'] === '1')
  const again = new Client(prosody, bob)
  await again.resume(back, back.received - 1)
  await eventually(() => again.contents().includes('7'))
  await again.end()
  await eventually(() => service.ended.has(id))
})

test('a resumed stream goes by the login that resumed it', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const lost = await join(prosody, bob)
  const id = await service.stream(lost.jid)
  t.equal(service.state(id)['login'], 'p:1')
  await lost.vanish()
  const token = 'a'.repeat(32)
  prosody.users.tokens.set(bob, { token, session: 'f'.repeat(64) })
  const back = new Client(prosody, bob)
  t.equal((await back.resume(lost, lost.received, token)).name, 'resumed')
  await eventually(() => service.state(id)['login'] === `t:${'f'.repeat(64)}`)
})

test('a stream is resumed while its old connection seems to live', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const old = await join(prosody, bob)
  const id = await service.stream(old.jid)
  const back = new Client(prosody, bob)
  t.equal((await back.resume(old)).name, 'resumed')
  t.equal(await old.streamError(), 'conflict')
  old.write(messageXml(`${alice}@im.test`, 'from the old connection'))
  service.deliver(id, delivery('to the new'))
  await eventually(() => back.contents().includes('to the new'))
  await back.sync()
  t.equal(service.entries.length, 0)
  t.notOk(service.ended.has(id))
})

test('a wrong count, user or id resumes nothing', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const lost = await join(prosody, bob)
  await lost.vanish()
  const stranger = await new Client(prosody, alice).resume(lost)
  t.ok(stranger.getChild('item-not-found'))
  t.equal(stranger.attrs['h'], undefined)
  const ahead = await new Client(prosody, bob).resume(lost, 99)
  t.strictSame([ahead.name, ahead.attrs['h']], ['failed', '1'])
  await eventually(() => service.ended.size === 1)
  const client = await join(prosody, bob)
  client.write(`<resume xmlns='${sm}' previd='${lost.id}' h='0'/>`)
  t.ok((await client.element('failed')).getChild('unexpected-request'))
  for (const h of ['-1', '1.5', 'x', '7', '', '0']) {
    const other = await join(prosody, alice)
    other.ack()
    other.write(`<a xmlns='${sm}' h='${h}'/>`)
    t.equal(await other.streamError(), 'undefined-condition', h)
  }
})

test('a stream that is not resumed in time ends, and its count is told', async (t) => {
  const prosody = await startProsody(t, { XMPP_RESUME_SECONDS: '1' })
  const service = await startMessageService(t, prosody)
  const lost = await join(prosody, bob)
  const id = await service.stream(lost.jid)
  lost.send(alice, 'x')
  service.deliver(id, delivery('1'), delivery('2'))
  await eventually(() => lost.contents().length === 2)
  lost.ack(2)
  await lost.sync()
  await lost.vanish()
  await new Promise((resolve) => setTimeout(resolve, 500))
  const back = new Client(prosody, bob)
  t.equal((await back.resume(lost, 2)).name, 'resumed')
  await back.vanish()
  const start = Date.now()
  await eventually(() => service.ended.has(id))
  t.ok(Date.now() - start > 750, 'each loss has its own time')
  t.equal(service.ended.get(id)?.attrs['confirmed'], '1')
  const failed = await new Client(prosody, bob).resume(lost)
  t.strictSame([failed.name, failed.attrs['h']], ['failed', '3'])
})

test('the end of a stream names what was said in rooms and not acknowledged', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, bob)
  const id = await service.stream(client.jid)
  const said = (messageId: string) => ({
    text: `from='room@${prosody.rooms}/1' id='${attributeXml(messageId)}' type='groupchat'><body>x</body></message>`,
    id: messageId,
  })
  service.tell(service.frame([id], said('first')))
  const has = (messageId: string) => eventually(() => client.elements.some(({ attrs }) => attrs['id'] === messageId))
  await has('first')
  client.ack()
  service.deliver(id, delivery('in a chat'))
  service.tell(
    ...['second', 'a blank', 'x'.repeat(129), "it's"].map((messageId) => service.frame([id], said(messageId))),
  )
  await has("it's")
  await client.end()
  await eventually(() => service.ended.has(id))
  t.equal(service.ended.get(id)?.attrs['missed'], "second it's")
})

test('without resumption a lost stream ends at once', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const client = await new Client(prosody, bob).login()
  await client.bind()
  await client.manage({ resume: false })
  const id = await service.stream(client.jid)
  service.deliver(id, delivery('1'))
  await eventually(() => client.contents().length === 1)
  await client.vanish()
  await eventually(() => service.ended.has(id))
  t.equal(service.ended.get(id)?.attrs['confirmed'], '0')
})

test('acknowledgements are asked for when something waits for one, and not in a circle', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, bob)
  const id = await service.stream(client.jid)
  const asked = () => client.elements.filter(({ name }) => name === 'r').length
  service.tell(service.frame([id], delivery('unnumbered')))
  await eventually(() => client.contents().length === 1)
  t.equal(asked(), 0)
  service.deliver(id, delivery('1'))
  service.deliver(id, delivery('2'))
  await eventually(() => client.contents().length === 3)
  t.equal(asked(), 1)
  client.ack(3) // some news
  await eventually(() => asked() === 2)
  for (const _ of numbers(1, 3)) client.ack(3) // none
  await client.sync()
  t.equal(asked(), 2)
  client.ack()
  await eventually(() => service.confirmed.get(id) === 2)
})

test('who gets nothing but answers is asked now and then, and stays', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '1000' })
  await startMessageService(t, prosody)
  const client = await join(prosody, bob)
  client.answers = true
  let [answers, asked] = [0, 0]
  client.onElement = ({ name }) => {
    if (name === 'iq') answers++
    if (name === 'r') asked++
  }
  // As many as a stream may have waiting, and more.
  const total = 9000
  const ping = `<iq type='get' id='p' to='${prosody.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`
  for (let sent = 0; sent < total; sent += 100) {
    client.write(ping.repeat(100))
    await eventually(() => answers === sent + 100)
  }
  t.notOk(client.closed)
  t.ok(asked >= 50 && asked <= total / 50, `asked ${asked} times`)
})

test('what is kept of answers is bounded in bytes, and asked about before that', async (t) => {
  const prosody = await startProsody(t, { XMPP_STREAM_MAX_BYTES: '500000' })
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, bob)
  const id = await service.stream(client.jid)
  const presence = `<presence><status>${'x'.repeat(50_000)}</status></presence>`
  client.answers = true
  for (const round of numbers(1, 20)) {
    client.write(presence)
    await eventually(() => client.received === round + 1)
  }
  t.notOk(client.closed)
  client.answers = false
  client.write(presence.repeat(20)) // all of it is read, none acknowledged
  await eventually(() => service.ended.has(id))
})

test('a stream has its last word before it is closed', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, bob)
  client.send(alice, 'x')
  await eventually(() => service.entries.length === 1)
  const next = await join(prosody, bob)
  t.equal(await client.streamError(), 'conflict')
  t.equal(client.elements.findLast(({ name }) => name === 'a')?.attrs['h'], '2')
  await next.sync()
  const failed = await new Client(prosody, bob).resume(client)
  t.strictSame([failed.name, failed.attrs['h']], ['failed', '2'])
})

test('what waits on the way to a resumed stream is not lost in any order of loss and delivery', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  let client = await join(prosody, bob)
  const id = await service.stream(client.jid)
  const seen: string[] = []
  let sent = 0
  for (const round of numbers(1, 12)) {
    const batch = 1 + ((round * 7) % 5)
    for (const _ of numbers(1, batch)) service.deliver(id, delivery(String(++sent)))
    if (round % 3 === 0) await eventually(() => client.contents().length > 0)
    if (round % 4 === 0) client.ack()
    await client.vanish()
    for (const stanza of client.messages()) if (!seen.includes(contentOf(stanza))) seen.push(contentOf(stanza))
    if (round % 2 === 0) service.deliver(id, delivery(String(++sent)))
    const next = new Client(prosody, bob)
    await next.resume(client)
    client = next
  }
  service.deliver(id, delivery('last'))
  await eventually(() => client.contents().includes('last'))
  client.ack()
  await eventually(() => service.confirmed.get(id) === sent + 1)
  for (const stanza of client.messages()) if (!seen.includes(contentOf(stanza))) seen.push(contentOf(stanza))
  t.strictSame(seen.slice(0, sent), numbers(1, sent).map(String))
})
