import { setTimeout as delay } from 'node:timers/promises'
import { eventually, watchQueries } from '@im/service-kit/testing'
import { test } from 'tap'
import { mostBytes } from '../src/mailbox/mailbox-limits.ts'
import type { MailboxRow } from '../src/mailbox/mailbox-repository.ts'
import { type Outgoing, rowOf } from '../src/streams/delivery.ts'
import { alice, bob, startMessage } from './start-message.ts'

const numbers = (length: number, from = 0) => Array.from({ length }, (_, n) => n + from)

test('a message waits for who is not there, and is forgotten once it is confirmed', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  for (const content of numbers(3)) sender.say({ to: bob, body: { content } })
  await xmpp.drained()
  t.equal(await deps.mailbox.collection.countDocuments(), 3)
  const peer = xmpp.connect(bob, { confirming: false })
  await eventually(() => peer.messages.length === 3)
  t.strictSame(peer.contents(), numbers(3))
  t.ok(peer.messages.every(({ isDelayed }) => isDelayed))
  t.equal(await deps.mailbox.collection.countDocuments(), 3)
  peer.confirm(2)
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 1)
  peer.set({ confirming: true })
  peer.confirm()
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  sender.say({ to: bob, body: { content: 3 } })
  await eventually(() => peer.messages.length === 4)
  t.notOk(peer.messages[3]?.isDelayed)
})

test('a mailbox is handed over to streams that take it: also when a priority rises', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const sender = await online(alice)
  const peer = xmpp.connect(bob, { priority: undefined })
  sender.say({ to: bob, body: { content: 1 } })
  await xmpp.drained()
  peer.set({ priority: -1 })
  sender.say({ to: bob, body: { content: 2 } })
  await xmpp.drained()
  t.strictSame(peer.contents(), [])
  peer.set({ priority: 0 })
  await eventually(() => peer.messages.length === 2)
  t.strictSame(peer.contents(), [1, 2])
  peer.set({ priority: -1 })
  sender.say({ to: bob, body: { content: 3 } })
  await xmpp.drained()
  t.strictSame(peer.contents(), [1, 2])
  peer.set({ priority: 7 })
  await eventually(() => peer.messages.length === 3)
})

test('what comes while a mailbox is handed over waits behind it, no more at a time than a stream may owe', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  for (const content of numbers(1200)) sender.say({ to: bob, body: { content } })
  await xmpp.drained()
  const peer = xmpp.connect(bob, { confirming: false })
  await eventually(() => peer.messages.length === 500)
  for (const content of numbers(50, 1200)) sender.say({ to: bob, body: { content } })
  await xmpp.drained()
  await delay(200)
  t.equal(peer.messages.length, 500)
  peer.confirm(100)
  await delay(200)
  t.equal(peer.messages.length, 500, 'portions are worth their while')
  peer.confirm(260)
  await eventually(() => peer.messages.length === 760)
  peer.set({ confirming: true })
  peer.confirm()
  await eventually(() => peer.messages.length === 1250)
  t.strictSame(peer.contents(), numbers(1250))
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  sender.say({ to: bob, body: { content: 1250 } })
  await eventually(() => peer.messages.length === 1251)
  t.notOk(peer.messages[1250]?.isDelayed, 'live again')
})

test('large messages count by their size in bytes, and few are read at a time', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const content = '长'.repeat(20_000)
  const { read } = deps.mailbox
  const portions: number[] = []
  deps.mailbox.read = async (...args) => {
    const rows = await read.apply(deps.mailbox, args)
    portions.push([...rows.values()].reduce((sum, { text }) => sum + Buffer.byteLength(text), 0))
    return rows
  }
  for (const n of numbers(40)) sender.say({ to: bob, body: { content, n } })
  await xmpp.drained()
  const peer = xmpp.connect(bob, { confirming: false })
  await eventually(() => peer.messages.length >= 8)
  await delay(200)
  t.equal(peer.messages.length, 8)
  peer.set({ confirming: true })
  peer.confirm()
  await eventually(() => peer.messages.length === 40)
  t.strictSame(
    peer.messages.map(({ body }) => JSON.parse(body).n),
    numbers(40),
  )
  t.ok(Math.max(...portions) <= 128 * 1024, `${Math.max(...portions)} bytes at a time`)
})

test('a stream that owes too many confirmations gets the rest from the mailbox, in order', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const peer = await online(bob, { confirming: false })
  for (const content of numbers(700)) sender.say({ to: bob, body: { content } })
  await xmpp.drained()
  t.equal(peer.messages.length, 500)
  t.equal(await deps.mailbox.collection.countDocuments(), 700, 'all stand in the mailbox: released is not confirmed')
  peer.set({ confirming: true })
  peer.confirm()
  await eventually(() => peer.messages.length === 700)
  t.strictSame(peer.contents(), numbers(700))
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
})

test('what a stream has not confirmed when it ends comes again at the next one, and at the next one of its device', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const first = await online(bob, { confirming: false })
  for (const content of numbers(5)) sender.say({ to: bob, body: { content } })
  await eventually(() => first.messages.length === 5)
  first.confirm(2)
  first.end()
  await xmpp.drained()
  t.equal(await deps.mailbox.collection.countDocuments(), 3)
  const second = xmpp.connect(bob, { resource: 'ios' })
  await eventually(() => second.messages.length === 3)
  t.strictSame(second.contents(), [2, 3, 4])
  const third = xmpp.connect(bob)
  await eventually(() => third.messages.length === 3)
  t.strictSame(third.contents(), [2, 3, 4])
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
})

test('what nobody confirms for seconds stands in the mailbox, and leaves it when it is confirmed', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const peer = await online(bob, { confirming: false })
  sender.say({ to: bob })
  await eventually(() => peer.messages.length === 1)
  t.equal(await deps.mailbox.collection.countDocuments(), 0)
  await xmpp.drained(8000)
  t.equal(await deps.mailbox.collection.countDocuments(), 1)
  peer.confirm()
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  t.equal(peer.messages.length, 1)
})

test('a stream that waits for its resume is given messages; nothing of them is lost when it does not come back', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const phone = await online(bob)
  phone.sleep()
  for (const content of numbers(3)) sender.say({ to: bob, body: { content } })
  await xmpp.drained()
  t.equal(await deps.mailbox.collection.countDocuments(), 3)
  phone.wake()
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  t.strictSame(phone.contents(), numbers(3), 'once')
  phone.sleep()
  for (const content of numbers(3, 3)) sender.say({ to: bob, body: { content } })
  await xmpp.drained()
  xmpp.crash()
  const again = xmpp.connect(bob)
  await eventually(() => again.messages.length === 3)
  t.strictSame(again.contents(), numbers(3, 3))
})

test('a device that lost what another one confirmed gets it at its next login, and the other does not', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const phone = await online(bob, { resource: 'ios' })
  const pc = await online(bob, { resource: 'pc', confirming: false })
  sender.say({ to: bob, body: { content: 'both' } })
  await eventually(() => pc.messages.length === 1)
  pc.end()
  await xmpp.drained()
  const [row] = await deps.mailbox.collection.find().toArray()
  t.match(row, { owes: ['pc'], isTaken: true })
  sender.say({ to: bob, body: { content: 'next' } })
  await eventually(() => phone.messages.length === 2)
  const web = xmpp.connect(bob, { resource: 'web' })
  const back = xmpp.connect(bob, { resource: 'pc' })
  await eventually(() => back.messages.length === 1)
  t.strictSame(back.contents(), ['both'])
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  t.strictSame([phone.contents(), web.contents()], [['both', 'next'], []])
})

test('what two devices lose waits for each of them, and for whichever comes first', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const devices = await Promise.all(['ios', 'pc'].map((resource) => online(bob, { resource, confirming: false })))
  sender.say({ to: bob, body: { content: 'x' } })
  await eventually(() => devices.every(({ messages }) => messages.length === 1))
  for (const device of devices) device.end()
  await xmpp.drained()
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 1)
  const web = xmpp.connect(bob, { resource: 'web' })
  await eventually(() => web.messages.length === 1)
  const back = ['ios', 'pc'].map((resource) => xmpp.connect(bob, { resource }))
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  t.strictSame(
    [web, ...back].map((device) => device.contents()),
    [['x'], ['x'], ['x']],
  )
})

test('what was refused and taken in a later attempt waits for a device that lost it, as anything else', async (t) => {
  const { xmpp, online, user, deps } = await startMessage(t)
  const sender = await online(alice)
  const types = [1, 26]
  user.mode = 'is away'
  const ids = types.map((type) => sender.say({ to: bob, body: { type } }))
  await eventually(() => sender.refusals.size === types.length)
  user.mode = 'answers'
  const phone = await online(bob, { confirming: false })
  const pc = await online(bob, { resource: 'pc' })
  types.forEach((type, n) => {
    sender.say({ to: bob, id: ids[n]!, body: { type } })
  })
  await eventually(() => phone.messages.length === 2 && pc.messages.length === 2)
  phone.end()
  await xmpp.drained()
  t.equal(await deps.mailbox.collection.countDocuments(), 2)
  const again = await online(bob)
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  t.strictSame(
    again.messages.map(({ id }) => id),
    ids,
  )
  t.equal(pc.messages.length, 2)
})

test('what was recalled before a device confirmed it gets into no mailbox', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const phone = await online(bob, { confirming: false })
  const recalled = sender.say({ to: bob, body: { content: 'recalled' } })
  sender.say({ to: bob, body: { content: 'stays' } })
  await eventually(() => phone.messages.length === 2)
  const recall = sender.say({ to: bob, body: { type: 202, content: recalled } })
  await eventually(() => phone.messages.some(({ id }) => id === recall))
  phone.end()
  await xmpp.drained()
  const rows = await deps.mailbox.collection.find().toArray()
  t.equal(rows.length, 2)
  t.notOk(rows.some(({ id }) => id === recalled))
})

test('at most 5,000 messages and 64 MiB wait for a user; beyond that they are in the archive alone', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const expireAt = new Date(Date.now() + 60_000)
  const rows = (user: number, count: number, bytes: number) =>
    numbers(count).map((n) => ({
      _id: `${user}:${n}`,
      user,
      at: n,
      seq: n,
      text: `><body>{}</body></message>`,
      bytes,
      expireAt,
      owes: [],
    }))
  await deps.mailbox.collection.insertMany([...rows(bob, 4998, 100), ...rows(bob + 1, 63, 2 ** 20)])
  const sender = await online(alice)
  for (const n of numbers(4)) {
    sender.say({ to: bob, body: { n } })
    sender.say({ to: bob + 1, body: { n, content: 'x'.repeat(n === 3 ? 100 : 60_000) } })
  }
  for (const n of numbers(20)) sender.say({ to: bob + 1, body: { n, content: 'x'.repeat(60_000) } })
  await xmpp.drained()
  t.equal(await deps.mailbox.collection.countDocuments({ user: bob }), 5000)
  const usage = (await deps.mailbox.usage([bob + 1])).get(bob + 1)
  t.ok(usage && usage.bytes <= 64 * 2 ** 20 && usage.bytes > 64 * 2 ** 20 - 70_000, JSON.stringify(usage))
  t.equal(await deps.messages.collection.countDocuments(), 28)
  await eventually(() => sender.receipts.length === 28)
})

test('a batch that is stored at the third try fills a mailbox once, and holds up nobody', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const { outbox, deliverer, mailboxLimits } = deps
  const sender = await online(alice)
  const { commit } = outbox
  let failures = 2
  outbox.commit = (async (...args: Parameters<typeof commit>) => {
    if (failures && deliverer.writesFrom(bob)) {
      failures--
      throw new Error('away')
    }
    return await commit.apply(outbox, args)
  }) as typeof commit
  sender.say({ to: bob, body: { content: 'x'.repeat(60_000) } })
  await xmpp.drained()
  t.equal(failures, 0)
  t.ok(mailboxLimits.take(bob, mostBytes - 100_000))
  const peer = await online(bob)
  await eventually(() => peer.messages.length === 1)
  sender.say({ to: bob, body: { content: 'live' } })
  await eventually(() => peer.messages.length === 2)
  t.notOk(peer.messages[1]?.isDelayed)
})

test('what has expired is not handed over', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const sender = await online(alice)
  const soon = Date.now() / 1000 + 1
  sender.say({ to: bob, body: { content: 'expires', deleteTime: soon } })
  sender.say({ to: bob, body: { type: 100, content: 'an old call' }, stamp: Date.now() })
  sender.say({ to: bob, body: { content: 'stays', deleteTime: -1 } })
  await xmpp.drained()
  await delay(1100)
  const peer = xmpp.connect(bob)
  await eventually(() => peer.contents().includes('stays'))
  t.notOk(peer.contents().includes('expires'))
})

test('receipts and typing pass a stream that owes too much', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const sender = await online(alice)
  const peer = await online(bob, { confirming: false })
  for (const content of numbers(510)) sender.say({ to: bob, body: { content } })
  await xmpp.drained()
  sender.say({ to: bob, body: { type: 201 } })
  const id = peer.say({ to: alice })
  await eventually(() => peer.receipts.includes(id))
  t.match(peer.messages.at(-1)?.body, /"type":201/)
})

test('a row that nobody rang for is found', async (t) => {
  const { online, deps } = await startMessage(t)
  const peer = await online(bob)
  const at = Date.now()
  await deps.mailbox.collection.insertOne({
    ...{ _id: 'row', user: bob, at, seq: 1, bytes: 100 },
    text: `from='${alice}@x' type='chat'><body>{"content":"found"}</body></message>`,
    expireAt: new Date(at + 30 * 86_400_000),
    owes: [],
  })
  await eventually(() => peer.messages.length === 1)
  t.strictSame(peer.contents(), ['found'])
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
})

test('what a broadcast puts for others hides no row that nobody rang for', async (t) => {
  const { online, deps } = await startMessage(t)
  const queries = watchQueries(deps)
  const peer = await online(bob)
  const at = Date.now()
  const row = (user: number, before: number) => ({
    ...{ _id: `row of ${user}`, user, at, seq: 1, bytes: 100, owes: [] },
    text: `from='${alice}@x' type='chat'><body>{"content":"found"}</body></message>`,
    expireAt: new Date(at - before + 30 * 86_400_000),
  })
  const { collection } = deps.mailbox
  await collection.insertMany(Array.from({ length: 10_100 }, (_, n) => row(20_000_000 + n, 5000)))
  await collection.insertOne(row(bob, 0))
  await eventually(() => peer.messages.length === 1)
  t.strictSame(peer.contents(), ['found'])
  await queries.demandIndexes(t)
})

test('what waits for another device of somebody hides no row that nobody rang for', async (t) => {
  const { online, deps } = await startMessage(t)
  const [, peer] = [await online(alice), await online(bob)]
  const at = Date.now()
  const row = (user: number, n: number, owes: string[]) => ({
    ...{ _id: `${user}:${n}`, user, at, seq: n, bytes: 100, owes, ...(owes.length ? { isTaken: true as const } : {}) },
    text: `from='${alice}@x' type='chat'><body>{"content":"found"}</body></message>`,
    expireAt: new Date(at + 30 * 86_400_000),
  })
  await deps.mailbox.collection.insertMany([...numbers(10_100).map((n) => row(alice, n, ['pc'])), row(bob, 1, [])])
  await eventually(() => peer.messages.length === 1)
  t.strictSame(peer.contents(), ['found'])
})

test('a row that nobody rang for while there was no room is found, however long that was', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  for (const n of numbers(10)) sender.say({ to: bob, body: { content: n, padding: 'x'.repeat(60_000) } })
  await xmpp.drained()
  const peer = xmpp.connect(bob, { confirming: false })
  // What had been read ahead waits for room, and nobody reads on.
  await eventually(() => peer.messages.length === 8 && !deps.streams.ownOf(bob)[0]?.isDraining)
  const at = Date.now()
  await deps.mailbox.collection.insertOne({
    ...{ _id: 'row', user: bob, at, seq: 1, bytes: 100, owes: [] },
    text: `from='${alice}@x' type='chat'><body>{"content":"found"}</body></message>`,
    expireAt: new Date(at - 120_000 + 30 * 86_400_000),
  })
  peer.set({ confirming: true })
  peer.confirm()
  await eventually(() => peer.messages.length === 11)
  t.strictSame(peer.contents(), [...numbers(10), 'found'])
})

test('what is being written into a mailbox is not passed by what was sent later', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const lost = await online(bob, { confirming: false })
  const { apply } = deps.mailbox
  const gate = Promise.withResolvers<void>()
  deps.mailbox.apply = async (changes) => {
    await gate.promise
    await apply.call(deps.mailbox, changes)
  }
  for (const content of ['first', 'second']) sender.say({ to: bob, body: { content } })
  await eventually(() => lost.messages.length === 2)
  lost.end()
  const third = sender.say({ to: bob, body: { content: 'third' } })
  await eventually(() => sender.receipts.includes(third))
  t.equal(await deps.mailbox.collection.countDocuments(), 1)
  const again = xmpp.connect(bob)
  await delay(300)
  gate.resolve()
  await eventually(() => again.messages.length === 3)
  t.strictSame(again.contents(), ['first', 'second', 'third'])
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
})

test('what waits behind a row that is being written is handed over with it, whatever else is being written', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  sender.say({ to: bob, body: { content: 'waits' } })
  await xmpp.drained()
  const [earlier, later] = [0, Date.now() + 60_000].map((at) => ({ user: bob, at, seq: 0 }))
  deps.deliverer.rowsBegin([earlier!, later!])
  const peer = xmpp.connect(bob)
  await delay(300)
  t.strictSame(peer.contents(), [])
  deps.deliverer.rowsEnd([earlier!])
  await eventually(() => peer.messages.length === 1)
  deps.deliverer.rowsEnd([later!])
  await eventually(() => deps.streams.ownOf(bob)[0]?.mail === 'live')
})

test('a row that another replica puts long after its message came, and tells nobody of, is found', async (t) => {
  const { online, deps } = await startMessage(t)
  const peer = await online(bob)
  const message: Outgoing = {
    ...{ user: bob, from: alice, messageId: 'late', id: 'late', waits: 'month', audience: { kind: 'available' } },
    ...{ at: Date.now() - 600_000, seq: 1 },
    text: `from='${alice}@x' type='chat'><body>{"content":"late"}</body></message>`,
  }
  await deps.mailbox.collection.insertOne(rowOf('late', message, [], { isLate: false, now: Date.now() }))
  await eventually(() => peer.messages.length === 1)
  t.strictSame(peer.contents(), ['late'])
})

test('who does not take messages any more gets none that were read before', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  sender.say({ to: bob, body: { content: 'waits' } })
  await xmpp.drained()
  const { read } = deps.mailbox
  const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  deps.mailbox.read = async (...args) => {
    const rows = await read.apply(deps.mailbox, args)
    asked.resolve()
    await gate.promise
    return rows
  }
  const peer = xmpp.connect(bob)
  await asked.promise
  peer.set({ priority: -1 })
  await eventually(() => deps.streams.ownOf(bob)[0]?.mail === 'away')
  gate.resolve()
  await delay(200)
  t.strictSame(peer.contents(), [])
  peer.set({ priority: 0 })
  await eventually(() => peer.messages.length === 1)
})

test('a bell that rings between two portions for what comes behind all that is known is heard', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  for (const n of numbers(5)) sender.say({ to: bob, body: { content: n, padding: 'x'.repeat(60_000) } })
  await xmpp.drained()
  const { read, collection } = deps.mailbox
  const at = Date.now() + 1000
  deps.mailbox.read = async (...args) => {
    deps.mailbox.read = read.bind(deps.mailbox)
    const rows = await deps.mailbox.read(...args)
    await collection.insertOne({
      ...{ _id: 'row', user: bob, at, seq: 1, bytes: 100, owes: [] },
      text: `from='${alice}@x' type='chat'><body>{"content":"rung"}</body></message>`,
      expireAt: new Date(at - 120_000 + 30 * 86_400_000),
    })
    deps.mailboxDrain.wakeUser(bob, { at, seq: 1 })
    return rows
  }
  const peer = xmpp.connect(bob)
  await eventually(() => peer.messages.length === 6)
  t.strictSame(peer.contents(), [...numbers(5), 'rung'])
})

test('a bell that rings while the first portion is read is heard', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  sender.say({ to: bob, body: { content: 'waits' } })
  await xmpp.drained()
  const { waiting } = deps.mailbox
  const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  deps.mailbox.waiting = async (...args) => {
    const rows = await waiting.apply(deps.mailbox, args)
    asked.resolve()
    await gate.promise
    return rows
  }
  const peer = xmpp.connect(bob)
  await asked.promise
  const at = Date.now() - 600_000
  await deps.mailbox.collection.insertOne({
    ...{ _id: 'late', user: bob, at, seq: 1, bytes: 100 },
    text: `from='${alice}@x' type='chat'><body>{"content":"late"}</body></message>`,
    expireAt: new Date(at + 30 * 86_400_000),
    owes: [],
  })
  deps.mailboxDrain.wakeUser(bob, { at, seq: 1 })
  deps.mailboxDrain.wakeUser(bob, { at: Date.now() + 1000, seq: 1 })
  gate.resolve()
  await eventually(() => peer.messages.length === 2)
  t.strictSame(peer.contents(), ['late', 'waits'])
})

test('a row is written once, whoever writes it again, and waits for each of the devices it is owed', async (t) => {
  const { deps } = await startMessage(t)
  const message = (seq: number): Outgoing => ({
    ...{ user: bob, from: alice, messageId: 'same', id: 'same', waits: 'month', audience: { kind: 'available' } },
    ...{ at: Date.now(), seq, text: `from='${alice}@x' type='chat'><body>{}</body></message>` },
  })
  const row = (id: string, seq: number, owes: string[]) =>
    rowOf(id, message(seq), owes, { isLate: false, now: Date.now() })
  const add = (rows: MailboxRow[]) => deps.outbox.commit((change) => deps.mailbox.add(rows, change))
  await add([row('a', 1, ['ios'])])
  await add([row('a', 2, ['pc']), row('b', 3, []), row('b', 4, ['web'])])
  const rows = await deps.mailbox.collection.find().sort({ _id: 1 }).toArray()
  t.match(rows, [
    { _id: 'a', seq: 1, owes: ['ios', 'pc'] },
    { _id: 'b', seq: 3, owes: ['web'] },
  ])
  t.equal(rows.length, 2)
  const took = (id: string, resource: string) => ({
    kind: 'took' as const,
    id,
    user: bob,
    bytes: 1,
    resources: [resource],
    owes: [],
  })
  await add([row('b', 5, ['pc'])])
  await deps.mailbox.apply([took('a', 'ios'), took('b', 'web')])
  const left = async (resource: string) => [...(await deps.mailbox.read(['a', 'b'], resource)).keys()]
  t.strictSame(await Promise.all(['ios', 'web', 'other', 'pc'].map(left)), [[], [], [], ['a', 'b']])
  await deps.mailbox.apply([took('a', 'pc'), took('b', 'pc')])
  t.equal(await deps.mailbox.collection.countDocuments(), 0)
})

test('a device that has confirmed what another replica asked for is neither given it again nor owed it', async (t) => {
  const { deps, online } = await startMessage(t)
  const [pc, web] = [await online(bob, { resource: 'pc' }), await online(bob, { resource: 'web' })]
  const phone = await online(bob, { resource: 'phone', confirming: false })
  const devices = ['pc', 'web', 'phone']
  const message: Outgoing = {
    ...{ user: bob, from: alice, messageId: 'same', id: 'same', waits: 'month', audience: { kind: 'available' } },
    ...{ at: Date.now(), seq: 1, text: `from='${alice}@x' type='chat'><body>{}</body></message>`, devices },
  }
  deps.deliverer.deliverHere(message, () => {})
  await eventually(() => pc.confirmed && web.confirmed && phone.messages.length === 1)
  pc.end()
  await eventually(() => deps.streams.ownOf(bob).length === 2)
  deps.deliverer.deliver({ ...message, known: devices }, { settled() {} })
  // Whoever is owed it has a row by the time that another one is.
  phone.end()
  const { collection } = deps.mailbox
  await eventually(async () => (await collection.findOne())?.owes.includes('phone'))
  t.match(await collection.find().toArray(), [{ owes: ['phone'] }])
  t.equal(web.messages.length, 1)
})

test('a device that logged in while its server could not be heard gets what others of its user have got meanwhile', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const before = sender.say({ to: bob, body: { content: 'before' } })
  const web = xmpp.connect(bob, { resource: 'web' })
  await eventually(() => web.messages.length === 1)
  await delay(1500)
  const since = Date.now() - 300
  sender.say({ to: bob, body: { content: 'live' } })
  sender.say({ to: bob, body: { content: 'other type' }, type: 'normal', receipt: false })
  const gone = sender.say({ to: bob, body: { content: 'gone' } })
  await eventually(() => web.messages.length === 4)
  await deps.messages.collection.updateOne({ messageId: gone }, { $set: { deletedFor: [bob] } })
  web.end()
  sender.say({ to: bob, body: { content: 'waits' } })
  await xmpp.drained()
  await delay(1300)

  const pc = xmpp.connect(bob, { resource: 'pc', since })
  await eventually(() => pc.messages.length === 3)
  t.strictSame(pc.contents().sort(), ['live', 'other type', 'waits'])
  t.ok(pc.messages.every(({ id, isDelayed }) => isDelayed && id !== before))
  const [live, other] = ['live', 'other type'].map((content) => pc.messages.find((one) => one.content === content))
  t.equal(live?.stanza.attrs['type'], 'chat')
  t.ok(live?.stanza.getChild('request'))
  t.equal(other?.stanza.attrs['type'], undefined)
  t.notOk(other?.stanza.getChild('request'))
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)

  const quick = xmpp.connect(bob, { resource: 'mac' })
  sender.say({ to: bob, body: { content: 'last' } })
  await eventually(() => quick.messages.length === 1 && pc.messages.length === 4)
  await delay(300)
  t.strictSame(quick.contents(), ['last'], 'who is heard of at once has missed nothing')
})
