/** How the message service gets the log and the state of streams: order, window, replays, take-over, holes. */
import { createHash } from 'node:crypto'
import { appendFile, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { test } from 'tap'
import { alice, bob, join } from './client.ts'
import { eventually } from './eventually.ts'
import { delivery, MessageService, ours, startMessageService } from './message-service.ts'
import { type Prosody, startProsody } from './prosody.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

async function segments(prosody: Prosody): Promise<string[]> {
  const folder = joinPath(prosody.dataDir, 'log')
  const names = (await readdir(folder)).filter((name) => name.endsWith('.log')).sort()
  return names.map((name) => joinPath(folder, name))
}

test('a connection begins with hello and the state of all streams; then come entries', async (t) => {
  const startedAt = Date.now()
  const prosody = await startProsody(t, { XMPP_SERVER_NAME: 'xmpp-7' })
  const phone = await join(prosody, alice, { resource: "an'droid" })
  const pc = await join(prosody, alice, { resource: 'pc', managed: false, available: false })
  await pc.ask("<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
  phone.send(bob, 'early')
  await eventually(async () => (await prosody.metric('im_log_unsent_entries')) === 1)
  const service = await startMessageService(t, prosody)
  await eventually(() => service.entries.length === 1)
  const names = service.frames.map((frame) => frame.name)
  t.strictSame(names, ['hello', 'stream', 'stream', 'ready', 'entry'])
  t.match(service.hello, {
    version: '3',
    server: 'xmpp-7',
    log: /^[0-9a-f]{32}$/,
    released: '0',
    stored: '0',
    last: '1',
  })
  t.match(service.state(await service.stream(phone.jid)), {
    user: alice,
    resource: "an'droid",
    login: 'p:1',
    priority: '0',
    confirms: 'sm',
    delivered: '0',
    confirmed: '0',
    ip: '127.0.0.1',
    waiting: undefined,
    carbons: undefined,
  })
  const other = service.state(await service.stream(pc.jid))
  t.match(other, { confirms: 'write', carbons: '1', priority: undefined })
  t.not(other['id'], service.state(await service.stream(phone.jid))['id'])
  // Of two streams of one resource on different servers the older one is closed.
  const [first, second] = [phone, pc].map(async ({ jid }) => Number(service.state(await service.stream(jid))['since']))
  t.ok((await first!) >= startedAt && (await first!) <= (await second!) && (await second!) <= Date.now())
})

test('entries come again from the first that is not released, with the same number and content, whoever ended', async (t) => {
  const prosody = await startProsody(t)
  const first = await startMessageService(t, prosody, { stores: false })
  const from = await join(prosody, alice)
  for (const i of numbers(1, 6)) from.send(bob, String(i))
  await eventually(() => first.entries.length === 6)
  first.stored(5)
  first.released(2)
  await eventually(async () => (await prosody.metric('im_log_unreleased_entries')) === 4)
  first.disconnect()
  const second = await startMessageService(t, prosody, { stores: false })
  await eventually(() => second.entries.length === 4)
  t.match(second.hello, { log: first.hello['log'], released: '2', stored: '5', last: '6' })
  t.ok(Number(second.hello['epoch']) > Number(first.hello['epoch']))
  const told = (service: MessageService) =>
    service.frames.filter((frame) => frame.name === 'entry').map((frame) => frame.toString())
  t.strictSame(told(second), told(first).slice(2))
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await new Promise((resolve) => setTimeout(resolve, 200)) // marks are written a moment later
    await prosody.end(signal)
    await prosody.start()
    const next = await startMessageService(t, prosody, { stores: false })
    await eventually(() => next.entries.length === 4)
    t.match(next.hello, { log: first.hello['log'], released: '2', stored: '5', last: '6' })
    t.ok(Number(next.hello['epoch']) > Number(second.hello['epoch']))
    t.strictSame(told(next), told(first).slice(2))
  }
  await prosody.end('SIGKILL')
  // The clock is set back by a day.
  const epoch = Date.now() + 86_400_000
  const marks = `<log id='${first.hello['log']}' stored='5' released='2' epoch='${epoch}'/>`
  const checksum = createHash('md5').update(marks).digest('hex').slice(0, 16)
  await appendFile((await segments(prosody)).at(-1)!, `${checksum}\t${marks}\n`)
  await prosody.start()
  const last = await startMessageService(t, prosody, { stores: false })
  t.ok(Number(last.hello['epoch']) > epoch)
})

test('not more than the window is on its way; stored moves it, marks of another epoch do not', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody, { stores: false })
  const from = await join(prosody, alice)
  for (const i of numbers(1, 1200)) from.send(bob, String(i))
  await from.askCount()
  await eventually(() => service.entries.length === 512)
  service.tell(`<stored xmlns='${ours}' epoch='${Number(service.hello['epoch']) - 1}' seq='512'/>`)
  service.tell(`<released xmlns='${ours}' epoch='${service.hello['epoch']}' seq='512'/>`) // not stored yet
  await from.sync()
  t.equal(service.entries.length, 512)
  service.stored(100)
  await eventually(() => service.entries.length === 612)
  service.disconnect()
  const again = await startMessageService(t, prosody, { stores: false })
  await eventually(() => again.entries.length === 512)
  t.equal(again.hello['released'], '0')
  again.stores = true
  again.stored(512)
  await eventually(() => again.entries.length === 1200)
  t.strictSame(again.contents(), numbers(1, 1200).map(String))
})

test('what an earlier connection brought counts as stored before it is sent again', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody, { releases: false })
  const from = await join(prosody, alice)
  for (const i of numbers(1, 1200)) from.send(bob, String(i))
  await eventually(() => service.entries.length === 1200)
  service.disconnect()
  const again = await startMessageService(t, prosody, { stores: false })
  again.stored(1200)
  await eventually(() => again.entries.length === 1200)
  for (const i of numbers(1, 600)) from.send(bob, `later ${i}`)
  await eventually(() => again.entries.length === 1712)
  await from.sync()
  t.equal(again.entries.length, 1712, 'the window begins behind it')
})

test('entries on their way are bounded in bytes', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody, { stores: false })
  const from = await join(prosody, alice)
  // Each fits into one read: longer texts cost the test's own parser seconds.
  for (const i of numbers(1, 300)) from.send(bob, `${i} ${'x'.repeat(20_000)}`)
  await from.askCount()
  await eventually(() => service.entries.length >= 205)
  await from.sync()
  t.ok(service.entries.length < 225, String(service.entries.length))
  service.stores = true
  service.stored(service.entries.length)
  await eventually(() => service.entries.length === 300)
})

test('the newest connection counts; the one before is told conflict', async (t) => {
  const prosody = await startProsody(t)
  const old = await startMessageService(t, prosody)
  const errors: unknown[] = []
  old.component.on('error', (error) => errors.push(error))
  const stranger = new MessageService(prosody, 'wrong secret')
  await stranger.component.start().catch(() => {})
  t.teardown(() => stranger.disconnect())
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  from.send(bob, 'to the old')
  await eventually(() => old.entries.length === 1)
  const service = await startMessageService(t, prosody)
  await eventually(() => !old.online)
  t.match(String(errors), 'conflict')
  from.send(bob, 'to the new')
  await eventually(() => service.contents().includes('to the new'))
  t.strictSame(old.contents(), ['to the old'])
  service.deliver(await service.stream(to.jid), delivery('still here'))
  await eventually(() => to.contents().includes('still here'))
})

test('a message service and clients that vanish in the middle of a write harm nobody', async (t) => {
  const prosody = await startProsody(t)
  const from = await join(prosody, alice)
  for (const i of numbers(1, 3000)) from.send(bob, `${i} ${'x'.repeat(2000)}`)
  const receivers = await Promise.all(numbers(1, 20).map((i) => join(prosody, `1000010${i}`, { managed: i % 2 === 0 })))
  for (const i of numbers(1, 15)) {
    const service = await startMessageService(t, prosody, { stores: i % 2 === 0 })
    const ids = [...service.streams.keys()]
    for (const _ of numbers(1, 5)) service.tell(service.frame(ids, delivery('x'.repeat(50_000))))
    receivers.pop()?.socket.resetAndDestroy()
    if (i % 3 === 0) await eventually(() => service.entries.length > 100)
    service.disconnect()
  }
  const service = await startMessageService(t, prosody)
  await eventually(() => service.entries.at(-1)?.seq === 3000, 30_000)
  t.equal(service.entries.at(-1)?.seq, 3000, 'the feed goes on to its end')
  for (const receiver of receivers) receiver.socket.destroy()
})

test('the end of a stream comes after its last entry', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody, { stores: false })
  const from = await join(prosody, alice)
  const id = await service.stream(from.jid)
  for (const i of numbers(1, 700)) from.send(bob, String(i))
  await from.end()
  await eventually(() => service.entries.length === 512)
  t.notOk(service.ended.has(id))
  service.stores = true
  service.stored(512)
  await eventually(() => service.ended.has(id))
  t.equal(service.entries.length, 700)
  const order = service.frames.filter((frame) => frame.name === 'entry' || frame.name === 'stream-end')
  t.equal(order.at(-1)?.name, 'stream-end')
  t.match(service.ended.get(id)?.attrs, { user: alice, resource: 'android', confirmed: '0' })
  const next = await join(prosody, alice)
  t.not(await service.stream(next.jid), id)
})

test('the end of a stream is told, though its last entry is lost with others', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody, { stores: false })
  const [from, other] = [await join(prosody, alice), await join(prosody, bob)]
  const id = await service.stream(from.jid)
  for (const i of numbers(1, 1200)) from.send(bob, `content ${i}.`)
  await from.end()
  other.send(alice, 'content 1201.')
  await other.askCount()
  const [file] = await segments(prosody)
  const text = await readFile(file!)
  const disk = await open(file!, 'r+')
  for (const lost of ['content 1200.', 'content 1201.']) await disk.write('C', text.indexOf(lost))
  await disk.close()
  service.stores = true
  service.stored(512)
  await eventually(() => service.ended.has(id))
  t.equal(service.entries.at(-1)?.seq, 1199)
})

test('ids of streams never come again, not after a restart either', async (t) => {
  const prosody = await startProsody(t)
  const ids = new Set<string>()
  for (const _ of numbers(1, 2)) {
    const service = await startMessageService(t, prosody)
    for (const resource of ['a', 'b']) {
      const client = await join(prosody, alice, { resource, available: false })
      ids.add(await service.stream(client.jid))
      await client.end()
    }
    await prosody.end('SIGKILL')
    await prosody.start()
  }
  t.equal(ids.size, 4)
})

test('notes are kept with their stream, over connections of the message service', async (t) => {
  const prosody = await startProsody(t)
  const first = await startMessageService(t, prosody)
  const client = await join(prosody, alice)
  const id = await first.stream(client.jid)
  const other = await first.stream((await join(prosody, bob)).jid)
  const answer = await first.order(`<note xmlns='${ours}' to='${id}' name='room&apos;1' value='joined &lt;'/>`)
  t.equal(answer.attrs['type'], 'result')
  first.tell(
    `<note xmlns='${ours}' to='${other} ${id}' name='2' value=''/>`,
    `<note xmlns='${ours}' to='${id}' name='3' value='x'/>`,
    `<note xmlns='${ours}' to='${id}' name='3'/>`,
    `<note xmlns='${ours}' to='unknown' name='4' value=''/>`,
  )
  const notes = (service: MessageService, of = id) =>
    service.streams
      .get(of)
      ?.getChildElements()
      .map(({ attrs }) => `${attrs['name']}=${attrs['value']}`)
  const second = await startMessageService(t, prosody)
  await eventually(() => second.streams.has(id) && second.streams.has(other))
  t.strictSame(notes(second)?.sort(), ['2=', "room'1=joined <"])
  t.strictSame(notes(second, other), ['2='])
  client.write('<presence><priority>5</priority></presence>')
  await eventually(() => second.state(id)['priority'] === '5')
  t.strictSame(notes(second), [], 'there may be thousands of them: they are not told at each change')
})

test('the window has a bound in bytes, too', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody, { stores: false })
  const from = await join(prosody, alice)
  for (const i of numbers(1, 40)) from.send(bob, `${i} ${'x'.repeat(200_000)}`)
  await from.askCount()
  await eventually(async () => (await prosody.metric('im_log_unsent_entries')) === 40 - service.entries.length)
  t.ok(service.entries.length >= 20 && service.entries.length < 24, `${service.entries.length} on their way`)
  service.stores = true
  service.stored(service.entries.at(-1)!.seq)
  await eventually(() => service.entries.length === 40)
})

test('released segments go, the others stay', async (t) => {
  const prosody = await startProsody(t, { XMPP_LOG_SEGMENT_BYTES: '20000' })
  const service = await startMessageService(t, prosody, { stores: false })
  const from = await join(prosody, alice)
  for (const i of numbers(1, 400)) {
    from.send(bob, String(i))
    if (i % 20 === 0) await from.askCount()
  }
  await eventually(() => service.entries.length === 400)
  const before = await segments(prosody)
  t.ok(before.length > 4, String(before.length))
  service.stored(400)
  service.released(200)
  await eventually(async () => (await segments(prosody)).length < before.length)
  await prosody.end('SIGKILL')
  await prosody.start()
  const again = await startMessageService(t, prosody, { stores: false })
  await eventually(() => again.entries.at(-1)?.seq === 400)
  t.equal(again.hello['released'], '200')
  t.strictSame(again.seqs(), numbers(201, 400))
})

test('damage is a hole, never an end', async (t) => {
  const prosody = await startProsody(t, { XMPP_LOG_SEGMENT_BYTES: '3000' })
  const from = await join(prosody, alice)
  for (const i of numbers(1, 60)) {
    from.send(bob, `content ${i}.`)
    await from.askCount()
  }
  await prosody.end('SIGKILL')
  const files = await segments(prosody)
  t.ok(files.length > 5)
  const flip = async (content: string) => {
    for (const file of files) {
      const text = await readFile(file, 'utf8')
      if (text.includes(content)) await writeFile(file, text.replace(content, content.replace('content', 'cOntent')))
    }
  }
  await flip('content 3.')
  await flip('content 20.')
  await flip('content 21.')
  const newline = await readFile(files[3]!, 'utf8')
  const lost = [.../content (\d+)\./g[Symbol.matchAll](newline)].map((match) => Number(match[1])).slice(0, 2)
  await writeFile(files[3]!, newline.replace(/<\/entry>\n/, '</entry>x')) // two lines become one
  await flip('content 60.')
  await appendFile(files.at(-1)!, 'torn')
  await prosody.start()
  const service = await startMessageService(t, prosody)
  const again = await join(prosody, alice)
  again.send(bob, 'content 61.')
  await eventually(() => service.contents().includes('content 61.'))
  const damaged = [3, 20, 21, ...lost, 60]
  t.strictSame(
    service.seqs().slice(0, -1),
    numbers(1, 60).filter((seq) => !damaged.includes(seq)),
  )
  const holes = service.frames.filter((frame) => frame.name === 'hole')
  for (const seq of damaged)
    t.ok(
      holes.some(({ attrs }) => Number(attrs['from']) <= seq && seq <= Number(attrs['to'])),
      String(seq),
    )
  let next = 1
  for (const { name, attrs } of service.frames) {
    if (name !== 'entry' && name !== 'hole') continue
    t.equal(Number(attrs['seq'] ?? attrs['from']), next, 'numbers have no gaps but holes')
    next = Number(attrs['seq'] ?? attrs['to']) + 1
  }
  t.equal(await prosody.metric('im_log_holes_total'), holes.length)
  await eventually(async () => (await segments(prosody)).length < files.length)
})

test('a new folder is a new log, also while the message service knows the old one', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  from.send(bob, 'old')
  await eventually(() => service.entries.length === 1)
  await prosody.end('SIGKILL')
  await rm(joinPath(prosody.dataDir, 'log'), { recursive: true })
  await prosody.start()
  const again = await startMessageService(t, prosody)
  t.not(again.hello['log'], service.hello['log'])
  t.equal(again.hello['last'], '0')
})

test('two servers of one fleet share nothing', async (t) => {
  const [one, two] = [
    await startProsody(t, { XMPP_SERVER_NAME: 'xmpp-1' }),
    await startProsody(t, { XMPP_SERVER_NAME: 'xmpp-2' }),
  ]
  const services = [await startMessageService(t, one), await startMessageService(t, two)]
  t.strictSame(
    services.map(({ hello }) => hello['server']),
    ['xmpp-1', 'xmpp-2'],
  )
  const phones = [await join(one, alice), await join(two, alice)] // the same resource on both: the message service decides
  for (const phone of phones) phone.send(bob, 'x')
  await eventually(() => services.every((service) => service.entries.length === 1))
  t.not(services[0]!.hello['log'], services[1]!.hello['log'])
})
