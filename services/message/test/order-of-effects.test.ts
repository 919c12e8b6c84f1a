/** Where the order of two effects decides whether something can get lost, the second is held back until the first is done. */
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { countRoundTrips, eventually } from '@im/service-kit/testing'
import { xml } from '@xmpp/component'
import { MongoServerError } from 'mongodb'
import { test } from 'tap'
import type { ArchiveEntry } from '../src/archive/archive-batch.ts'
import { EntryMarks } from '../src/feed/entry-marks.ts'
import { FrameWriter } from '../src/feed/frame-writer.ts'
import { Pipeline } from '../src/feed/pipeline.ts'
import { holdCommits } from './hold-commits.ts'
import { startArchive } from './start-archive.ts'
import { alice, bob, startMessage } from './start-message.ts'

/** Long enough for what must not happen to happen. */
const aWhile = 300

test('nobody hears of a message before it is stored: no receipt, no delivery, no release of its entry', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const [sender, receiver] = [await online(alice), await online(bob)]
  const before = xmpp.released
  const commits = holdCommits(deps)
  const id = sender.say({ to: bob })
  await commits.asked
  await delay(aWhile)
  t.strictSame([sender.receipts, receiver.messages, xmpp.released], [[], [], before])
  commits.release()
  await eventually(() => sender.receipts.includes(id) && receiver.messages.length === 1)
  await xmpp.drained()
})

test('an entry is not released before what was not confirmed stands in the mailbox', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const [sender, receiver] = [await online(alice), await online(bob, { confirming: false })]
  const { apply } = deps.mailbox
  const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  deps.mailbox.apply = async (changes) => {
    asked.resolve()
    await gate.promise
    await apply.call(deps.mailbox, changes)
  }
  const before = xmpp.released
  sender.say({ to: bob })
  await eventually(() => receiver.messages.length === 1)
  receiver.end()
  await asked.promise
  await delay(aWhile)
  t.equal(xmpp.released, before)
  t.ok(xmpp.stored > before)
  gate.resolve()
  await xmpp.drained()
  t.equal(await deps.mailbox.collection.countDocuments(), 1)
})

test('of a batch that is refused as a whole, what was stored apart is confirmed, though the end comes before the rest', async (t) => {
  const im = await startMessage(t)
  const { online, deps } = im
  const sender = await online(alice)
  const { messages, metrics } = deps
  const commits = holdCommits(deps)
  const before = sender.say({ to: bob })
  await commits.asked
  const [first, second] = [sender.say({ to: bob }), sender.say({ to: bob })]
  await eventually(async () => / [23]$/m.test(await metrics.getSingleMetricAsString('im_feed_queued')))
  const { store } = messages
  const reached = Promise.withResolvers<void>()
  messages.store = (stored, change) => {
    if (stored.length > 1) throw new MongoServerError({ code: 2, message: 'one of these is refused' })
    if (stored[0]?.messageId === second) {
      reached.resolve()
      throw new Error('the store is away')
    }
    store.call(messages, stored, change)
  }
  commits.release()
  await reached.promise
  await im.close()
  t.strictSame(sender.receipts, [before, first])
})

test('what comes while a mailbox is being handed over waits behind it', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const sent = [1, 2, 3].map(() => sender.say({ to: bob }))
  await xmpp.drained()
  const { read } = deps.mailbox
  const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  deps.mailbox.read = async (...of) => {
    asked.resolve()
    await gate.promise
    return await read.apply(deps.mailbox, of)
  }
  const receiver = xmpp.connect(bob)
  await asked.promise
  sent.push(sender.say({ to: bob }))
  await eventually(() => sender.receipts.length === sent.length)
  await delay(aWhile)
  t.strictSame(receiver.messages, [])
  gate.resolve()
  await eventually(() => receiver.messages.length >= sent.length)
  t.strictSame(
    receiver.messages.map(({ id }) => id),
    sent,
  )
})

test('what comes while a row is on its way into the mailbox waits behind it', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const [sender, before] = [await online(alice), await online(bob, { confirming: false })]
  const { apply } = deps.mailbox
  const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  deps.mailbox.apply = async (changes) => {
    asked.resolve()
    await gate.promise
    await apply.call(deps.mailbox, changes)
  }
  const sent = [sender.say({ to: bob })]
  await eventually(() => before.messages.length === 1)
  before.end()
  await asked.promise
  const receiver = xmpp.connect(bob)
  await eventually(() => deps.streams.find(xmpp.name, receiver.id))
  await delay(aWhile)
  sent.push(sender.say({ to: bob }))
  await eventually(() => sender.receipts.length === sent.length)
  await delay(aWhile)
  t.strictSame(receiver.messages, [])
  gate.resolve()
  await eventually(() => receiver.messages.length >= sent.length)
  t.strictSame(
    receiver.messages.map(({ id }) => id),
    sent,
  )
})

test('until a message is confirmed the database is asked few times, whatever is written with it', async (t) => {
  const { deps, log, pair } = await startArchive(t)
  const [low, high] = pair()
  await log.say(low, high)
  const commandsOf = async (...entries: ArchiveEntry[]) =>
    (await countRoundTrips(deps, () => log.archive(entries), { except: new Set(['replicas']) })).commands
  const written = ['find chats', 'bulkWrite messages searchBacklog chats sequences outbox', 'commitTransaction']
  t.strictSame(await commandsOf(log.entry(high, low), log.entry(low, high)), written)
  t.strictSame(await commandsOf(log.entry(low, high + 100), log.entry(low, high + 101)), written)
  const id = await log.say(low, high)
  const marked = await commandsOf(log.read(high, low, [id]))
  t.strictSame(
    marked.filter((command) => command !== 'commitTransaction'),
    ['find messages', 'update messages'],
  )
})

test('a list of chats that a death left unwritten is written when its entry comes again, whatever comes along', async (t) => {
  const { log, deps, pair, chats } = await startArchive(t)
  const [a, b] = pair()
  const [c, d] = pair()
  const entry = log.entry(a, b)
  for (const batch of [[entry], [entry, log.entry(c, d)]]) {
    await log.archive([entry])
    await deps.chats.collection.deleteMany({})
    await log.archive(batch)
    t.match(await chats(b), [{ messageId: entry.store.messageId }])
  }
})

test('what a server may forget is told with what is written next, or soon', async (t) => {
  const written: string[] = []
  const writer = new FrameWriter({ component: 'c', domain: 'd', epoch: 1, write: (xml) => void written.push(xml) })
  writer.marks(1, 0)
  await turn()
  t.match(written, [/<stored [^>]*seq='1'/], 'at once: more entries may come')
  writer.marks(1, 1)
  await turn()
  t.equal(written.length, 1)
  writer.deliverTo('s', 'message', 'text')
  await turn()
  t.match(written[1], /<deliver .*<released [^>]*seq='1'/)
  writer.marks(1, 2)
  await eventually(() => written.length > 2)
  t.match(written[2], /<released [^>]*seq='2'/)
  await delay(aWhile)
  t.equal(written.length, 3)
})

test('a message that comes alone waits for no company, however soon after another it comes', async (t) => {
  const { deps } = await startArchive(t)
  /** How long (ms) it takes to write messages, each of which comes when the one before it is written. */
  const timeOf = async (count: number) => {
    const done = Promise.withResolvers<void>()
    const begun = performance.now()
    const step = () => ({
      write: 'it',
      size: 0,
      run: () => void (seq < count ? setImmediate(take) : done.resolve()),
      fail() {},
    })
    const pipeline = new Pipeline<string>({
      ...{ marks: new EntryMarks('log', 0), maxBatch: 10, prepare: step, log: deps.log, metrics: deps.feedMetrics },
      ...{ write: async () => {}, park: async () => {}, giveUp: done.reject },
    })
    const place = { server: 'xmpp', log: 'log', stamp: Date.now(), stream: 's', from: `${alice}@im.localhost/ios` }
    let seq = 0
    const take = () => pipeline.take({ ...place, seq: ++seq, stanza: xml('message') })
    take()
    await done.promise
    await pipeline.close()
    return performance.now() - begun
  }
  const times = [await timeOf(50), await timeOf(50), await timeOf(50)]
  t.ok(Math.min(...times) < 150, `${times}`)
})
