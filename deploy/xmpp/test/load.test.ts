/** What much of something costs: streams, bytes, logins. Bounds are twice of what a quiet machine needs. */
import { test } from 'tap'
import { bob, type Client, join, messageXml } from './client.ts'
import { eventually, within } from './eventually.ts'
import { delivery, type MessageService, startMessageService } from './message-service.ts'
import { type Prosody, startProsody } from './prosody.ts'
import { waitsDuring } from './watch-stalls.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

async function crowd(prosody: Prosody, size: number, managed: boolean): Promise<Client[]> {
  const clients: Client[] = []
  for (let first = 0; first < size; first += 50) {
    const users = numbers(first, Math.min(first + 49, size - 1)).map((i) => String(10_001_000 + i))
    clients.push(...(await Promise.all(users.map((user) => join(prosody, user, { managed, available: false })))))
  }
  return clients
}

for (const managed of [false, true]) {
  test(`one frame to 1,000 streams (stream management ${managed})`, async (t) => {
    const prosody = await startProsody(t, {}, undefined, 'test_heap')
    const service = await startMessageService(t, prosody)
    const clients = await crowd(prosody, 1000, managed)
    let received = 0
    for (const client of clients) client.onElement = ({ name }) => (received += name === 'message' ? 1 : 0)
    const ids = [...service.streams.keys()]
    const rounds = 10
    const [cpu, memory] = [prosody.cpu(), prosody.memory()]
    for (const round of numbers(1, rounds)) {
      service.tell(service.frame(ids, delivery('x'.repeat(400))))
      await eventually(() => received === round * clients.length, 60_000)
    }
    const each = (prosody.cpu() - cpu) / rounds / clients.length
    t.ok(each < 0.05, `${each.toFixed(4)} ms of CPU a stream`)
    // Nothing is acknowledged: with stream management all of it is kept, by reference; garbage is in this figure, too.
    const grown = (prosody.memory() - memory) / rounds / clients.length
    t.ok(grown < 2500, `${grown.toFixed(0)} bytes a delivery`)
    if (!managed)
      await t.test('of what a stream is given that says nothing, a hundred ids are kept and no texts', async (t) => {
        received = 0
        const heaps = [await prosody.heap()]
        for (const round of numbers(1, 300)) {
          service.tell(service.frame(ids, delivery('x'.repeat(400))))
          await eventually(() => received === round * clients.length, 60_000)
          if (round === 100 || round === 300) heaps.push(await prosody.heap())
        }
        const [first, then] = [1, 2].map((n) => (heaps[n]! - heaps[n - 1]!) / clients.length) as [number, number]
        t.ok(first < 3000 && then < 100, `${first.toFixed(0)} bytes a stream for 100, ${then.toFixed(0)} for 200 more`)
      })
    else
      await t.test('a delivery that 1,000 streams have not acknowledged is kept once', async (t) => {
        received = 0
        const heaps: number[] = []
        for (const round of numbers(1, 10)) {
          service.deliver(ids, delivery('x'.repeat(4000)))
          await eventually(() => received === round * clients.length, 60_000)
          if (round % 5 === 0) heaps.push(await prosody.heap())
        }
        const kept = (heaps[1]! - heaps[0]!) / 5 / clients.length
        t.ok(kept < 100, `${kept.toFixed(0)} bytes a delivery, of 4,000`)
      })
    const again = await startMessageService(t, prosody)
    const ready = again.frames.findIndex(({ name }) => name === 'ready')
    t.equal(again.frames.slice(0, ready).filter(({ name }) => name === 'stream').length, clients.length)
    for (const client of clients) client.socket.destroy()
  })
}

test('what is on the disk and taken is not kept in memory', async (t) => {
  const prosody = await startProsody(t, {}, undefined, 'test_heap')
  const service = await startMessageService(t, prosody)
  const client = await join(prosody, bob, { managed: false })
  const heapAfter = async (messages: number) => {
    const all = service.entries.length + messages
    for (let n = 0; n < messages; n++) client.send(bob, 'x'.repeat(1000))
    await eventually(() => service.entries.length === all, 30_000)
    return await prosody.heap()
  }
  const before = await heapAfter(1000)
  const kept = ((await heapAfter(3000)) - before) / 3000
  t.ok(kept < 300, `${kept.toFixed(0)} bytes a message of 1,000`)
})

/** Numbered deliveries of one text in the windows the protocol asks for. */
async function drain(service: MessageService, id: string, texts: number, bytes: number): Promise<void> {
  const window = Math.min(500, Math.floor((512 * 1024) / bytes))
  const [before, after] = service.frame(['HERE'], delivery('x'.repeat(bytes))).split('HERE') as [string, string]
  const isDone = new Promise<void>((resolve) => {
    const fill = () => {
      const confirmed = service.confirmed.get(id) ?? 0
      let last = service.numbered.get(id) ?? 0
      while (last < Math.min(texts, confirmed + window)) {
        last = service.next(id)
        service.tell(`${before}${id}:${last}${after}`)
      }
      if (confirmed === texts) resolve()
    }
    service.onConfirmed = fill
    fill()
  })
  await within(isDone, `${texts} deliveries are confirmed`, 90_000)
}

test('1,500 messages of 60 KB to one stream stall nobody and fill no memory', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const to = await join(prosody, bob)
  to.answers = true
  let received = 0
  to.onElement = ({ name }) => (received += name === 'message' ? 1 : 0)
  const id = await service.stream(to.jid)
  const memory = prosody.memory()
  const waits = await waitsDuring(prosody, () => drain(service, id, 1500, 60_000))
  t.equal(received, 1500)
  const grown = (prosody.memory() - memory) / 1e6
  t.ok(grown < 64, `${grown.toFixed(0)} MB more`)
  t.ok(
    waits.p99 < 50 && waits.most < 500,
    `others waited ${waits.p99.toFixed(0)} ms (p99), ${waits.most.toFixed(0)} ms at most`,
  )
})

test('a storm of logins leaves room for messages', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '1000' })
  const service = await startMessageService(t, prosody)
  service.onFrame = () => service.frames.splice(0)
  const waits = await waitsDuring(prosody, () =>
    Promise.all(numbers(1, 600).map((i) => join(prosody, String(10_001_000 + i), { available: false }))),
  )
  t.ok(waits.most < 1500, `others waited ${waits.p99.toFixed(0)} ms (p99), ${waits.most.toFixed(0)} ms at most`)
})

test('CPU of a message, from the socket to the disk and to the message service', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const senders = await crowd(prosody, 20, false)
  const [cpu, total] = [prosody.cpu(), 3000]
  const text = 'x'.repeat(400)
  for (const _ of numbers(1, total / senders.length)) {
    for (const sender of senders) sender.write(messageXml(`${bob}@im.test`, text))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await eventually(() => service.entries.length === total, 60_000)
  const each = (prosody.cpu() - cpu) / total
  t.ok(each < 0.15, `${each.toFixed(4)} ms`)
})
