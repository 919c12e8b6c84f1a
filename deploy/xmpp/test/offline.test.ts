import { readdir } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { type Test, test } from 'tap'
import { alice, archive, bob, carol, eventually, join, type Person, register, textMessage } from './people.ts'
import { type Prosody, startProsody } from './prosody.ts'
import { RawStream } from './raw-stream.ts'

const texts = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

async function sendAll(from: Person, contents: string[]): Promise<void> {
  await Promise.all(contents.map((content) => from.send(bob, textMessage(from.user, bob, content))))
  await from.sync()
}

const stored = async (prosody: Prosody) => (await readdir(joinPath(prosody.dataDir, 'offline'))).sort()

/** Receives until so many messages came, acknowledging what the server asks for. */
async function takeAll(stream: RawStream, count: number): Promise<string[]> {
  stream.answers = true
  stream.ack()
  await eventually(() => stream.contents().length >= count, 10_000)
  return stream.contents()
}

/** What the next stream of bob gets: all of it and nothing more. */
async function nextLogin(t: Test, prosody: Prosody, count: number): Promise<string[]> {
  const stream = await (await new RawStream(prosody, bob).bind('next')).available()
  await takeAll(stream, count)
  await eventually(async () => (await stored(prosody)).length === 0)
  await stream.end()
  const contents = stream.contents()
  const last = await (await new RawStream(prosody, bob).bind('last')).available()
  last.write("<iq type='get' id='ping' to='im.test'><ping xmlns='urn:xmpp:ping'/></iq>")
  await eventually(() => last.stanzas.some((stanza) => stanza.includes("id='ping'")))
  t.strictSame(last.contents(), [])
  await last.end()
  return contents
}

test('3000 offline messages: a stream cut after some acknowledgements leaves the rest, in order, for the next one', async (t) => {
  const prosody = await startProsody(t)
  await archive(prosody)
  register(prosody, bob)
  const from = await join(prosody, alice)
  await sendAll(from, texts(1, 3000))

  const first = await (await new RawStream(prosody, bob).bind()).available()
  // Presence and messages come in portions: not all at once, the next one after an acknowledgement.
  await eventually(() => first.contents().length >= 100)
  first.ack(first.stanzas.findIndex((stanza) => stanza.startsWith('<message')) + 100)
  await eventually(() => first.contents().length >= 200)
  const unasked = first.contents().length
  t.ok(unasked < 1000, `${unasked} messages before they were acknowledged`)
  first.ack()
  await eventually(() => first.contents().length > unasked)
  const acked = first.stanzas.findIndex((stanza) => stanza.includes(`${'&quot;'}${unasked + 10}${'&quot;'}`)) + 1
  first.ack(acked)
  const done = unasked + 10
  await new RawStream(prosody, bob).bind('other') // handled after the acknowledgement
  await first.end()

  const rest = await nextLogin(t, prosody, 3000 - done)
  t.strictSame(rest, texts(done + 1, 3000))
})

test('messages that come during the hand-over follow the stored ones, and go to other devices at once', async (t) => {
  const prosody = await startProsody(t)
  await archive(prosody)
  register(prosody, bob)
  const [one, other] = [await join(prosody, alice), await join(prosody, carol)]
  await sendAll(one, texts(1, 400))
  const to = await (await new RawStream(prosody, bob).bind()).available()
  await eventually(() => to.contents().length >= 200)
  const second = await join(prosody, bob, 'second')
  await sendAll(one, texts(401, 450))
  await other.send(bob, textMessage(carol, bob, 'calls', undefined, 100))
  await other.send(bob, textMessage(carol, bob, 'stops calling', undefined, 101))
  await other.sync()
  await eventually(() => second.contents().length === 52)
  t.strictSame(second.contents(), [...texts(401, 450), 'calls', 'stops calling'])
  // A receipt does not wait.
  one.write(`<message to='${bob}@im.test/android'><received xmlns='urn:xmpp:receipts' id='r'/></message>`)
  await eventually(() => to.stanzas.some((stanza) => stanza.includes('urn:xmpp:receipts')))
  t.ok(to.contents().length < 400)
  await takeAll(to, 452)
  await sendAll(one, texts(451, 500))
  await eventually(() => to.contents().length === 502)
  const expected = [...texts(1, 450), 'calls', 'stops calling', ...texts(451, 500)]
  t.strictSame(to.contents(), expected)
  t.strictSame(
    to.messages().map(({ delayed }) => delayed),
    expected.map((_, i) => i < 400),
  )
  await eventually(async () => (await stored(prosody)).length === 0)
})

test('live messages that a lost stream never got come after the stored ones', async (t) => {
  const prosody = await startProsody(t)
  await archive(prosody)
  register(prosody, bob)
  const from = await join(prosody, alice)
  await sendAll(from, texts(1, 300))
  const first = await (await new RawStream(prosody, bob).bind()).available()
  await eventually(() => first.contents().length >= 200)
  await sendAll(from, texts(301, 350))
  await from.send(bob, textMessage(alice, bob, 'typing', undefined, 201))
  await from.sync()
  first.ack(first.received)
  await eventually(() => first.contents().length === 351) // all sent, the end unacknowledged
  await sendAll(from, texts(351, 400))
  await eventually(() => first.contents().length === 401)
  await first.vanish()
  await sendAll(from, texts(401, 420)) // into the sleeping session
  const again = await (await new RawStream(prosody, bob).bind()).available() // replaces the lost one
  const rest = await takeAll(again, 220)
  t.strictSame(rest, texts(201, 420))
})

test('a resumed stream goes on with the hand-over where it was', async (t) => {
  const prosody = await startProsody(t)
  await archive(prosody)
  register(prosody, bob)
  const from = await join(prosody, alice)
  await sendAll(from, texts(1, 600))
  const lost = await (await new RawStream(prosody, bob).bind()).available()
  await eventually(() => lost.contents().length >= 200)
  await lost.vanish()
  await sendAll(from, texts(601, 650))
  const got = lost.contents()
  const back = await new RawStream(prosody, bob).resume(lost)
  await takeAll(back, 650 - got.length)
  t.strictSame([...got, ...back.contents()], texts(1, 650))
  await eventually(async () => (await stored(prosody)).length === 0)
  await sendAll(from, ['after'])
  await eventually(() => back.contents().at(-1) === 'after')
})

test('a stream that acknowledges nothing loses nothing, however much is sent to it', async (t) => {
  const prosody = await startProsody(t)
  await archive(prosody)
  const from = await join(prosody, alice)
  register(prosody, bob)
  const slow = await (await new RawStream(prosody, bob).bind()).available()
  await sendAll(from, texts(1, 1500))
  await eventually(() => slow.contents().length >= 450)
  await slow.vanish()
  await sendAll(from, texts(1501, 1600))
  const back = await new RawStream(prosody, bob).resume(slow)
  await takeAll(back, 1600 - slow.contents().length)
  const got = [...slow.contents(), ...back.contents()]
  t.strictSame(got, texts(1, 1600))
  back.answers = false
  await sendAll(from, texts(1601, 2900))
  await back.vanish()
  const again = await (await new RawStream(prosody, bob).bind()).available()
  await takeAll(again, 1300)
  t.strictSame(again.contents(), texts(1601, 2900))
})

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  test(`${signal} in the middle of a hand-over loses nothing`, async (t) => {
    const prosody = await startProsody(t)
    await archive(prosody)
    register(prosody, bob)
    const from = await join(prosody, alice)
    await sendAll(from, texts(1, 1000))
    const first = await (await new RawStream(prosody, bob).bind()).available()
    first.answers = true
    await eventually(() => first.contents().length >= 400)
    first.answers = false
    await sendAll(from, texts(1001, 1010))
    await prosody.end(signal)
    const got = first.contents().length
    await prosody.start()
    const second = await (await new RawStream(prosody, bob).bind()).available()
    second.answers = true
    await eventually(() => second.contents().includes('1010'))
    const all = second.contents()
    const rest = all.slice(0, all.indexOf('1010') + 1)
    const start = Number(rest[0])
    t.ok(start > 1 && start <= got + 1, `${got} delivered, then from ${start}`)
    t.strictSame(rest, texts(start, 1010))
    // What the tap routed a moment before the kill may come again.
    t.ok(all.slice(rest.length).every((content) => Number(content) < start))
  })
}

test('without stream management all stored messages come at once; two lost devices leave one copy', async (t) => {
  const prosody = await startProsody(t)
  await archive(prosody)
  register(prosody, bob)
  const from = await join(prosody, alice)
  await sendAll(from, texts(1, 1200))
  const simple = await (await new RawStream(prosody, bob).bind('simple', { management: false })).available()
  await eventually(() => simple.contents().length === 1200)
  t.strictSame(simple.contents(), texts(1, 1200))
  t.strictSame(await stored(prosody), [])
  await simple.end()
  const devices = [await new RawStream(prosody, bob).bind('a'), await new RawStream(prosody, bob).bind('b')]
  for (const device of devices) await device.available()
  await eventually(() => devices.every((device) => device.stanzas.some((s) => s.startsWith('<presence'))))
  await sendAll(from, ['to both'])
  await eventually(() => devices.every((device) => device.contents().length === 1))
  for (const device of devices) await device.end()
  t.strictSame(await nextLogin(t, prosody, 1), ['to both'])
})

test('what was torn by a power failure does not take the next message with it', async (t) => {
  const prosody = await startProsody(t)
  await archive(prosody)
  register(prosody, bob)
  const from = await join(prosody, alice)
  await sendAll(from, ['whole'])
  await prosody.end('SIGKILL')
  const { appendFile } = await import('node:fs/promises')
  await appendFile(joinPath(prosody.dataDir, 'offline', `${bob}.log`), '0123abcd\tM\t17\tx\t<messa')
  await prosody.start()
  const again = await join(prosody, alice)
  await sendAll(again, ['next'])
  t.strictSame(await nextLogin(t, prosody, 2), ['whole', 'next'])
})
