/** xmpp:shiku:ack: deliveries that expect it are confirmed by their ids, and sent again until then. */
import { test } from 'tap'
import { alice, bob, Client, join, newId } from './client.ts'
import { eventually } from './eventually.ts'
import { delivery, startMessageService } from './message-service.ts'
import { startProsody } from './prosody.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

const enable = (client: Client) =>
  client.ask(`<iq type='set' to='${client.prosody.domain}'><enable xmlns='xmpp:shiku:ack'>enable</enable></iq>`)

/** Confirms messages as the apps do. */
async function confirm(client: Client, ids: (string | undefined)[]): Promise<void> {
  const text = ids.map((id) => `${id},`).join('')
  const answer = await client.ask(`<iq type='set'><body xmlns='xmpp:shiku:ack'>${text}</body><id>x</id></iq>`)
  if (answer.attrs['type'] !== 'result' || answer.children.length) throw new Error(String(answer))
}

async function start(t: Parameters<typeof startMessageService>[0], managed: boolean, env = {}) {
  const prosody = await startProsody(t, env)
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, bob, { managed })
  await enable(client)
  const id = await service.stream(client.jid)
  await eventually(() => service.state(id)['confirms'] === 'ack')
  return { prosody, service, client, id }
}

test('it is answered with the same child, confirmations with an empty result; without it they are refused', async (t) => {
  const prosody = await startProsody(t)
  await startMessageService(t, prosody)
  const client = await join(prosody, bob, { managed: false })
  for (const _ of numbers(1, 2)) {
    const answer = await enable(client)
    t.equal(answer.attrs['type'], 'result')
    t.equal(answer.getChildElements()[0]?.toString(), '<enable xmlns="xmpp:shiku:ack">enable</enable>')
  }
  await confirm(client, ['unknown'])
  client.write("<iq type='set'><body xmlns='xmpp:shiku:ack'>other,</body></iq>") // some apps send no id
  await eventually(() => client.elements.some(({ attrs }) => attrs['id'] === 'confirmed' && attrs['type'] === 'result'))
  const other = await join(prosody, alice)
  const refused = await other.ask("<iq type='set'><body xmlns='xmpp:shiku:ack'>x,</body></iq>")
  t.ok(refused.getChild('error')?.getChild('service-unavailable'))
})

for (const managed of [false, true]) {
  test(`deliveries are confirmed up to the first id that is missing (stream management ${managed})`, async (t) => {
    const { service, client, id } = await start(t, managed)
    const sent = numbers(1, 6).map((i) => delivery(String(i), { expect: i !== 3 }))
    service.deliver(id, ...sent)
    await eventually(() => client.contents().length === 6)
    if (managed) client.ack()
    await confirm(client, [sent[1]?.id])
    t.equal(service.confirmed.get(id), 0)
    await confirm(client, [sent[0]?.id, sent[4]?.id])
    await eventually(() => service.confirmed.get(id) === 3) // the third needs no id
    await confirm(client, [sent[3]?.id])
    await eventually(() => service.confirmed.get(id) === 5)
    await client.end()
    await eventually(() => service.ended.has(id))
    t.equal(service.ended.get(id)?.attrs['confirmed'], '5')
  })
}

test('the end of a stream names what was said in rooms and not confirmed by its id', async (t) => {
  const { prosody, service, client, id } = await start(t, true)
  const said = numbers(1, 4).map((i) => {
    const { text, ...one } = delivery(String(i), { expect: true, from: `room@${prosody.rooms}/1` })
    return { ...one, text: text.replace("type='chat'", i === 4 ? "type='chat'" : "type='groupchat'") }
  })
  service.deliver(id, ...said)
  await eventually(() => client.contents().length === 4)
  client.ack()
  await confirm(client, [said[1]?.id])
  await client.end()
  await eventually(() => service.ended.has(id))
  t.equal(service.ended.get(id)?.attrs['missed'], `${said[0]?.id} ${said[2]?.id}`)
})

test('the end of a stream that confirms nothing names what came since its client was heard', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const said = numbers(1, 110).map((i) => {
    const one = delivery(String(i))
    return i === 3 ? { ...one, text: one.text.replace("type='chat'", "type='groupchat'") } : one
  })
  const missedBy = async (heardAfter: number, leave: (client: Client) => Promise<void>, count = 4) => {
    const client = await join(prosody, bob, { managed: false })
    const id = await service.stream(client.jid)
    service.deliver(id, ...said.slice(0, heardAfter))
    await eventually(() => client.contents().length === heardAfter)
    await client.sync()
    service.deliver(id, ...said.slice(heardAfter, count), { name: 'presence', text: "from='x@im.test'/>", id: 'no' })
    await eventually(() => client.contents().length === count)
    await leave(client)
    return (await eventually(() => service.ended.get(id))).attrs['missed']
  }
  const ids = (from: number, to: number) =>
    said
      .slice(from, to)
      .map(({ id }) => id)
      .join(' ')
  t.equal(await missedBy(1, (client) => client.vanish()), ids(1, 4))
  t.equal(await missedBy(4, (client) => client.vanish()), undefined)
  t.equal(await missedBy(1, (client) => client.end()), undefined, 'who takes leave is there')
  t.equal(await missedBy(0, (client) => client.vanish(), 110), ids(10, 110), 'the last hundred')
})

test('an id that several senders use confirms all of them', async (t) => {
  const { service, client, id } = await start(t, false)
  const same = newId()
  service.deliver(id, delivery('1', { id: same, expect: true }), delivery('2', { id: same, expect: true }))
  await eventually(() => client.contents().length === 2)
  await confirm(client, [same])
  await eventually(() => service.confirmed.get(id) === 2)
  t.strictSame(client.contents(), ['1', '2'], 'none of them is sent again')
})

test('what is not confirmed is sent again, ten times at most, to this stream only', async (t) => {
  const { prosody, service, client, id } = await start(t, false, { XMPP_SHIKU_ACK_SECONDS: '0.15' })
  const other = await join(prosody, bob, { resource: 'other', managed: false })
  const streams = [id, await service.stream(other.jid)]
  const sent = ['1', '2', '3'].map((content) => delivery(content, { expect: true }))
  service.deliver(streams, ...sent, delivery('ringing'))
  await eventually(() => client.contents().length >= 4)
  await confirm(client, [sent[1]?.id])
  const times = (content: string) => client.contents().filter((each) => each === content).length
  const second = times('2')
  await eventually(() => times('1') >= 3 && times('3') >= 3)
  await confirm(client, [sent[2]?.id])
  const third = times('3')
  await eventually(() => times('1') === 11)
  await new Promise((resolve) => setTimeout(resolve, 400))
  t.strictSame([times('1'), times('2'), times('3'), times('ringing')], [11, second, third, 1])
  t.strictSame(other.contents(), ['1', '2', '3', 'ringing'])
  t.equal(service.confirmed.get(id), 0)
})

test('a resumed stream goes on confirming; nothing is sent again while it sleeps', async (t) => {
  const { prosody, service, client, id } = await start(t, true, { XMPP_SHIKU_ACK_SECONDS: '0.3' })
  const sent = numbers(1, 4).map((i) => delivery(String(i), { expect: true }))
  service.deliver(id, sent[0]!, sent[1]!)
  await eventually(() => client.contents().length >= 2)
  await client.vanish()
  await eventually(() => service.state(id)['waiting'] === '1')
  service.deliver(id, sent[2]!)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const back = new Client(prosody, bob)
  await back.resume(client)
  await eventually(() => back.contents().length > 0)
  t.ok(back.contents().filter((content) => content === '3').length < 3, String(back.contents()))
  service.deliver(id, sent[3]!)
  await eventually(() => back.contents().includes('4'))
  back.answers = true
  await confirm(
    back,
    sent.map((each) => each.id),
  )
  back.ack()
  await eventually(() => service.confirmed.get(id) === 4)
})
