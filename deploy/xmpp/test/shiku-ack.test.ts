import { type Test, test } from 'tap'
import { alice, archive, bob, eventually, join, newId, type Person, register, textMessage } from './people.ts'
import { type Prosody, startProsody } from './prosody.ts'
import { RawStream } from './raw-stream.ts'

const texts = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

/** Asks for xmpp:shiku:ack; returns the answer. */
async function enable(stream: RawStream): Promise<string> {
  const id = newId()
  stream.write(`<iq type='set' id='${id}' to='im.test'><enable xmlns='xmpp:shiku:ack'>enable</enable></iq>`)
  return eventually(() => stream.stanzas.find((stanza) => stanza.includes(id)))
}

/** Confirms messages as the apps do. Their ids, in the order of their arrival. */
async function confirm(t: Test, stream: RawStream, ids: string[]): Promise<void> {
  const id = newId()
  stream.write(
    `<iq type='set' id='${id}'><body xmlns='xmpp:shiku:ack'>${ids.map((id) => `${id},`).join('')}</body><id>x</id></iq>`,
  )
  const answer = await eventually(() => stream.stanzas.find((stanza) => stanza.includes(id)))
  t.match(answer, /^<iq[^>]* type='result'[^>]*\/>$/)
}

const idsOf = (stream: RawStream) => [...new Set(stream.messages().map(({ id }) => id))]

async function sendAll(from: Person, contents: string[], type = 1): Promise<void> {
  await Promise.all(contents.map((content) => from.send(bob, textMessage(from.user, bob, content, newId(), type))))
  await from.sync()
}

async function stream(prosody: Prosody, { management = false, resource = 'android' } = {}): Promise<RawStream> {
  register(prosody, bob)
  const raw = await new RawStream(prosody, bob).bind(resource, { management })
  raw.answers = true
  return raw
}

/** What the next, simple stream of bob gets. */
async function left(prosody: Prosody, count: number): Promise<string[]> {
  const next = await (await stream(prosody, { resource: 'next' })).available()
  await eventually(() => next.contents().length >= count)
  await confirmNothing(next)
  await next.end()
  return next.contents()
}

/** Waits for an answer of the server. */
async function confirmNothing(raw: RawStream): Promise<void> {
  const id = newId()
  raw.write(`<iq type='get' id='${id}' to='im.test'><ping xmlns='urn:xmpp:ping'/></iq>`)
  await eventually(() => raw.stanzas.some((stanza) => stanza.includes(id)))
}

test('it is answered with the same child, confirmations with an empty result; without it they are refused', async (t) => {
  const prosody = await startProsody(t)
  const raw = await stream(prosody)
  t.match(await enable(raw), /^<iq[^>]*type='result'[^>]*><enable xmlns='xmpp:shiku:ack'>enable<\/enable><\/iq>$/)
  t.match(await enable(raw), /type='result'/)
  await confirm(t, raw, ['unknown'])
  raw.write("<iq type='set'><body xmlns='xmpp:shiku:ack'>other,</body></iq>") // no id
  await eventually(() => raw.stanzas.some((stanza) => /^<iq[^>]*id='confirmed'/.test(stanza)))
  const simple = await stream(prosody, { resource: 'simple' })
  simple.write("<iq type='set' id='s'><body xmlns='xmpp:shiku:ack'>x,</body></iq>")
  await eventually(() => simple.stanzas.some((stanza) => stanza.includes('service-unavailable')))
})

for (const management of [false, true]) {
  test(`unconfirmed messages go to the next stream, once and in order (stream management ${management})`, async (t) => {
    const prosody = await startProsody(t)
    await archive(prosody)
    const from = await join(prosody, alice)
    const raw = await stream(prosody, { management })
    await enable(raw)
    await raw.available()
    await confirmNothing(raw)
    await sendAll(from, texts(1, 10))
    await eventually(() => raw.contents().length === 10)
    await confirm(t, raw, idsOf(raw).slice(0, 4))
    await confirm(t, raw, idsOf(raw).slice(6, 7))
    for (const type of [200, 201, 101]) await sendAll(from, ['no'], type)
    await eventually(() => raw.contents().length === 13)
    if (management) await confirmNothing(raw) // acknowledged by stream management, not confirmed
    await raw.end()
    t.strictSame(await left(prosody, 5), ['5', '6', '8', '9', '10'])
    t.strictSame(await left(prosody, 0), [])
  })

  test(`offline messages come as fast as they are confirmed (stream management ${management})`, async (t) => {
    const prosody = await startProsody(t)
    await archive(prosody)
    register(prosody, bob)
    const from = await join(prosody, alice)
    await sendAll(from, texts(1, 1000))
    const raw = await stream(prosody, { management })
    await enable(raw)
    await raw.available()
    await eventually(() => raw.contents().length >= 200)
    await confirmNothing(raw)
    t.ok(raw.contents().length < 500)
    await sendAll(from, texts(1001, 1010))
    await confirm(t, raw, idsOf(raw).slice(0, 150))
    await eventually(() => raw.contents().length >= 350)
    await confirm(t, raw, idsOf(raw).slice(200, 210))
    await raw.end()
    const rest = await left(prosody, 850)
    t.strictSame(rest, [...texts(151, 200), ...texts(211, 1010)])
  })
}

test('what is not confirmed is sent again, ten times at most, to this stream only', async (t) => {
  const prosody = await startProsody(t, { XMPP_SHIKU_ACK_SECONDS: '0.15' })
  await archive(prosody)
  const from = await join(prosody, alice)
  const [raw, other] = [await stream(prosody), await stream(prosody, { resource: 'other' })]
  await enable(raw)
  for (const each of [raw, other]) {
    await each.available()
    await confirmNothing(each)
  }
  await sendAll(from, ['1', '2', '3'])
  await eventually(() => raw.contents().length === 3)
  await confirm(t, raw, idsOf(raw).slice(1, 2))
  await sendAll(from, ['ringing'], 100)
  const times = (content: string) => raw.contents().filter((each) => each === content).length
  await eventually(() => times('1') === 2 && times('3') === 2)
  await confirm(t, raw, idsOf(raw).slice(2, 3))
  const before = times('3')
  await eventually(() => times('1') === 11, 10_000)
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.strictSame([times('1'), times('2'), times('3'), times('ringing')], [11, 1, before, 1])
  t.strictSame(other.contents(), ['1', '2', '3', 'ringing'])
  await raw.end()
  await other.end()
  t.strictSame(await left(prosody, 1), ['1'])
})

test('a stream that confirms nothing gets no more than it can lose, and loses nothing', async (t) => {
  const prosody = await startProsody(t)
  await archive(prosody)
  const from = await join(prosody, alice)
  const raw = await stream(prosody)
  await enable(raw)
  await raw.available()
  await confirmNothing(raw)
  await sendAll(from, texts(1, 800))
  await eventually(() => raw.contents().length >= 500)
  await confirmNothing(raw)
  t.ok(raw.contents().length < 800)
  await confirm(t, raw, idsOf(raw))
  await eventually(() => raw.contents().length >= 700)
  await confirm(t, raw, idsOf(raw).slice(0, 600))
  await eventually(() => raw.contents().length === 800)
  t.strictSame(raw.contents(), texts(1, 800))
  await raw.vanish()
  t.strictSame(await left(prosody, 200), texts(601, 800))
})

test('a resumed stream goes on confirming', async (t) => {
  const prosody = await startProsody(t)
  await archive(prosody)
  const from = await join(prosody, alice)
  const lost = await stream(prosody, { management: true })
  await enable(lost)
  await lost.available()
  await sendAll(from, ['1', '2'])
  await eventually(() => lost.contents().length === 2)
  await lost.vanish()
  await sendAll(from, ['3'])
  const back = await new RawStream(prosody, bob).resume(lost)
  back.answers = true
  await sendAll(from, ['4', '5'])
  await eventually(() => back.contents().length === 3)
  await confirm(t, back, [...idsOf(lost), ...idsOf(back).slice(0, 2)])
  await back.end()
  t.strictSame(await left(prosody, 1), ['5'])
})
