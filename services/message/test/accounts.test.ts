import { AsyncLocalStorage } from 'node:async_hooks'
import { accountChats, archive, messageArchived, serverMessages } from '@im/contracts/message'
import { createMetrics } from '@im/service-kit'
import { eventually, failure, recordEvents, watchQueries, writesOf } from '@im/service-kit/testing'
import { test } from 'tap'
import { ChatFirst } from '../src/deliver/chat-first.ts'
import type { Peers } from '../src/peers/peers.ts'
import { alice, bob, carol, startMessage } from './start-message.ts'
import { startTwo } from './start-two.ts'
import { domain } from './xmpp-server.ts'

const news = 10000900
const idOf = (n: number) => n.toString(16).padStart(32, '0')
const send = { from: news, fromUserName: 'News', type: 1, content: '<b>hello</b>' }
const to = (n: number, ...users: number[]) =>
  JSON.stringify(users.map((userId) => ({ userId, name: `n${userId}`, messageId: idOf(n + userId) })))

test('a message of an account is archived, delivered, waits for who is away, and is sent once', async (t) => {
  const { api, internal, online, deps, env } = await startMessage(t)
  const events = await recordEvents(t, env, messageArchived)
  const stream = await online(alice)
  const params = { ...send, receivers: to(0, alice, bob, news) }
  const [first, second] = await Promise.all([
    internal.call(serverMessages.sendToUsers, params as never),
    internal.call(serverMessages.sendToUsers, params as never),
  ])
  t.strictSame([first.sent + second.sent, first.known + second.known], [2, 2])
  t.strictSame(await internal.call(serverMessages.sendToUsers, params as never), { sent: 0, known: 2 })
  await eventually(() => stream.messages.length === 1)
  t.match(JSON.parse(stream.messages[0]!.body), {
    ...{ type: 1, content: '<b>hello</b>', messageId: idOf(alice), fromUserId: String(news), fromUserName: 'News' },
    ...{ toUserId: String(alice), toUserName: `n${alice}` },
  })
  t.equal(stream.messages[0]!.from, `${news}@${domain}`)
  const late = await online(bob)
  await eventually(() => late.messages.length === 1)
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  const [row] = await api.call(archive.listSingleHistory, { receiver: news }, { as: bob })
  t.match(row, { content: '<b>hello</b>', direction: 1, sender: bob, receiver: news })
  await eventually(() => events.flatMap(({ messages }) => messages).length === 2)
  t.strictSame([stream.messages.length, late.messages.length], [1, 1])
})

test('further fields of the body go along, but none that would hide it or change how long it lives', async (t) => {
  const { internal, online } = await startMessage(t)
  const stream = await online(alice)
  const more = { fileName: 'a.png', fileSize: 7, isReadDel: 1, deleteTime: 5, isEncrypt: 1, fromUserId: '1', type: 9 }
  await internal.call(serverMessages.sendToUsers, { ...send, type: 2, more, receivers: to(0, alice) } as never)
  await eventually(() => stream.messages.length === 1)
  const body = JSON.parse(stream.messages[0]!.body)
  t.match(body, { type: 2, fileName: 'a.png', fileSize: 7, fromUserId: String(news) })
  for (const field of ['isReadDel', 'deleteTime', 'isEncrypt']) t.notOk(field in body, field)
  await t.rejects(
    internal.call(serverMessages.sendToUsers, { ...send, type: 201, receivers: to(9, alice) } as never),
    failure('InvalidParams'),
  )
})

test('what is sent again takes no more room of a mailbox', async (t) => {
  const { internal, deps } = await startMessage(t)
  const { take, give } = deps.mailboxLimits
  let room = 0
  deps.mailboxLimits.take = (user, bytes) => {
    room += bytes
    return take.call(deps.mailboxLimits, user, bytes)
  }
  deps.mailboxLimits.give = (user, bytes) => {
    room -= bytes
    give.call(deps.mailboxLimits, user, bytes)
  }
  const rooms: number[] = []
  for (const n of [0, 0, 1]) {
    await internal.call(serverMessages.sendToUsers, { ...send, receivers: to(n, bob) } as never)
    rooms.push(room)
  }
  t.equal(rooms[1], rooms[0])
  t.ok(rooms[0]! > 0 && rooms[2]! > rooms[1]!)
})

test('what is sent to many is stored in small parts, and chat before each of them', async (t) => {
  const { internal, online, deps } = await startMessage(t)
  const { chatFirst, mongoClient } = deps
  const parts: number[] = []
  mongoClient.on('commandStarted', (event) => {
    const stored = writesOf(event, deps.db).get('messages')
    if (stored) parts.push(stored)
  })
  const { store, part } = chatFirst
  const order: string[] = []
  chatFirst.part = (work, longestWait) => {
    order.push(`part ${longestWait}`)
    return part.call(chatFirst, work, longestWait) as ReturnType<typeof work>
  }
  chatFirst.store = (work, stamps) => {
    order.push('chat')
    return store.call(chatFirst, work, stamps) as ReturnType<typeof work>
  }
  let isChatting = true
  Object.defineProperty(chatFirst, 'isChatting', { get: () => isChatting })
  const sendToMany = (count: number) => {
    const many = Array.from({ length: count }, (_, n) => 10_100_000 + n)
    return internal.call(serverMessages.sendToUsers, { ...send, receivers: to(0, ...many) } as never)
  }
  t.strictSame(await sendToMany(60), { sent: 60, known: 0 })
  t.strictSame(parts.splice(0), [25, 25, 10])
  t.strictSame(order, Array(3).fill(`part ${4000 / 3}`))
  isChatting = false
  t.strictSame(await sendToMany(180), { sent: 120, known: 60 })
  t.strictSame(parts.splice(0).at(-1), 80, 'in large ones where nobody chats')
  t.strictSame(order.splice(3), Array(2).fill('part 500'))
  await internal.call(serverMessages.sendToUsers, { ...send, receivers: to(1, bob) } as never)
  t.equal(order.length, 3, 'one message is no crowd')
  const sender = await online(alice)
  sender.say({ to: bob })
  await eventually(() => sender.receipts.length === 1)
  t.equal(order.at(-1), 'chat')
})

test('what an account sends while a part gives way stands before it, for everybody', async (t) => {
  const { internal, online, api, deps } = await startMessage(t)
  const stream = await online(bob)
  const { chatFirst } = deps
  const { part } = chatFirst
  const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  chatFirst.part = async (work, longestWait) => {
    reached.resolve()
    await gate.promise
    return (await part.call(chatFirst, work, longestWait)) as Awaited<ReturnType<typeof work>>
  }
  const toMany = internal.call(serverMessages.sendToUsers, { ...send, receivers: to(0, alice, bob) } as never)
  await reached.promise
  const reply = { ...send, content: 'to bob alone', receivers: to(5, bob) }
  await internal.call(serverMessages.sendToUsers, reply as never)
  gate.resolve()
  await toMany
  await eventually(() => stream.messages.length === 2)
  const rows = await api.call(archive.listSingleHistory, { receiver: news }, { as: bob })
  t.strictSame(
    rows.map(({ messageId }) => messageId).reverse(),
    stream.messages.map(({ id }) => id),
  )
})

/** Replicas that tell each other. */
function joined(): () => Pick<ConstructorParameters<typeof ChatFirst>[0], 'bus' | 'peers'> {
  const ears: ((text: string) => void)[] = []
  const all: Pick<Peers, 'id' | 'others' | 'chats'>[] = []
  return () => {
    const peers: (typeof all)[number] = {
      id: `replica ${all.length}`,
      chats: () => false,
      get others() {
        return all.filter((one) => one !== peers).map(({ chats }) => ({ chats: chats() || undefined }) as never)
      },
    }
    all.push(peers)
    const bus = {
      tell: (_: string, text: string) => {
        for (const hear of ears) hear(text)
      },
      onTell: (_: string, hear: (text: string) => void) => {
        ears.push(hear)
        return { close: async () => {} } as never
      },
    }
    return { bus, peers }
  }
}

test('a part waits while chat is being stored, but not for ever, and behind the part before it', async (t) => {
  const chatFirst = new ChatFirst({ now: Date.now, metrics: createMetrics('message'), ...joined()() })
  const done: string[] = []
  const chat = Promise.withResolvers<void>()
  const storing = chatFirst.store(() => chat.promise, []).then(() => done.push('chat'))
  const call = new AsyncLocalStorage<string>()
  let running = 0
  const store = async () => {
    t.equal(++running, 1, 'one part at a time')
    await new Promise((resolve) => setImmediate(resolve))
    running--
    done.push(call.getStore() ?? 'of no call')
  }
  const parts = ['first', 'second'].map((name) => call.run(name, () => chatFirst.part(store, 10_000)))
  setImmediate(() => chat.resolve())
  await Promise.all([storing, ...parts])
  t.strictSame(done, ['chat', 'first', 'second'])
  void chatFirst.store(() => Promise.withResolvers<void>().promise, [])
  await chatFirst.part(async () => done.push('beside lasting chat'), 50)
  t.equal(done.at(-1), 'beside lasting chat')
  await t.rejects(
    chatFirst.part(async () => {
      throw new Error('of the part')
    }, 50),
    { message: 'of the part' },
  )
})

test('what is sent to many rests so long that one message of chats in a hundred is late beside it', async (t) => {
  let [now, time] = [0, 0]
  const metrics = createMetrics('message')
  const chatFirst = new ChatFirst({ now: () => now, metrics, clock: () => time, ...joined()() })
  const chat = async (count: number, ms: number) => {
    const stamp = now
    now += ms
    await chatFirst.store(async () => {}, Array(count).fill(stamp))
  }
  /** How long the rest before it was. */
  const part = async (longestWait = 1) => {
    const at = performance.now()
    return (await chatFirst.part(async () => performance.now(), longestWait)) - at
  }
  const restAfter = async (count: number, ms: number) => {
    await chat(count, ms)
    await part()
    return Math.round(chatFirst.restMs)
  }
  await part()
  t.equal(chatFirst.restMs, 0, 'nobody chats')
  time += 60_000
  await chat(1000, 10)
  t.ok(chatFirst.isChatting)
  t.equal(await restAfter(1, 10), 300, 'what begins beside chat begins slowly')
  t.equal(await restAfter(100, 12), 271, 'what takes a fifth longer than without it is not late')
  t.equal(await restAfter(20, 13), 1000)
  t.equal(await restAfter(500, 12), 1000, 'what a swarm wants beyond the longest rest is owed')
  t.equal(await restAfter(1000, 12), 439)
  const failing = chatFirst.store(() => Promise.reject(new Error('away')), Array(900).fill(now - 60_000))
  await t.rejects(failing, { message: 'away' })
  t.equal(await restAfter(100, 12), 397, 'what could not be stored says nothing')
  t.equal(await restAfter(2, 13), 484)
  t.equal(await restAfter(1000, 13), 1000)
  t.equal(await restAfter(10_100, 12), 905, 'no more is owed than for a hundred late ones')
  t.equal(await restAfter(9000, 12), 2)
  for (const ms of [9000, 9000, 1990]) {
    time += ms
    await chat(1, 10)
    t.ok((await part(200)) < 150)
  }
  time += 20
  t.ok((await part(200)) > 175, 'it stops to see how chat is without it')
  time += 20
  t.ok((await part(200)) < 150, 'and goes on for as long again')
  time += 1500
  t.equal(await restAfter(2000, 100), 2, 'now it is as slow without it')
  t.equal(await restAfter(100, 110), 2)
  time += 2000
  await part()
  t.equal(chatFirst.restMs, 0)
  t.notOk(chatFirst.isChatting)
})

test('a replica without chat rests as long as others need it', async (t) => {
  let [now, time] = [0, 0]
  const join = joined()
  const start = () => {
    const metrics = createMetrics('message')
    const one = new ChatFirst({ now: () => now, metrics, clock: () => time, ...join() })
    one.start()
    return one
  }
  const [sending, chatting] = [start(), start()]
  const chat = async (count: number, ms: number) => {
    const stamp = now
    now += ms
    await chatting.store(async () => {}, Array(count).fill(stamp))
  }
  const part = (by = sending) => by.part(async () => {}, 1)
  await part()
  t.equal(sending.restMs, 0)
  time += 5000
  await chat(1000, 10)
  t.strictSame([sending.isChattingHere, sending.isChatting], [false, true])
  await sending.part(() => chat(10, 30), 1)
  t.equal(sending.restMs, 300)
  t.equal(chatting.restMs, 300)
  await part()
  t.equal(Math.round(sending.restMs), 807, 'what came during a part is beside it, wherever that is stored')
  await chat(1000, 12)
  await part()
  await part()
  t.equal(Math.round(sending.restMs), 297)
  await chat(100, 12)
  await part(chatting)
  t.equal(Math.round(chatting.restMs), 269)
  await part()
  t.equal(Math.round(sending.restMs), 269, 'what one has taken into account the other does not')
})

test('replicas tell each other that people chat, and of parts', async (t) => {
  const { first, replicas } = await startTwo(t)
  const [sending, chatting] = replicas.map(({ deps }) => deps.chatFirst) as [ChatFirst, ChatFirst]
  const twice = { ...send, receivers: to(0, alice, bob) }
  await eventually(async () => {
    await chatting.store(async () => {}, [Date.now()])
    await first.internal.call(serverMessages.sendToUsers, twice as never)
    return sending.restMs > 0 && chatting.restMs === sending.restMs
  })
  t.notOk(sending.isChattingHere)
})

test('the chats of an account: what it has not read, who wrote last, and pages that count as read', async (t) => {
  const { internal, online, api, xmpp, deps } = await startMessage(t)
  const queries = watchQueries(deps)
  const [a, b] = [await online(alice), await online(bob)]
  const now = Math.floor(Date.now() / 1000)
  for (let n = 0; n < 3; n++)
    a.say({ to: carol, id: `a${n}`, body: { content: `from alice ${n}`, timeSend: now - 5 + n } })
  b.say({ to: carol, id: 'b0', body: { content: 'from bob' } })
  await xmpp.drained().catch(() => {})
  const unread = () => internal.call(accountChats.countUnread, { userId: carol })
  await eventually(async () => (await unread()).messages === 4)
  t.equal((await unread()).peers, 2)
  await internal.call(serverMessages.sendToUsers, {
    ...{ from: carol, type: 1, content: 'an answer' },
    receivers: JSON.stringify([{ userId: alice, messageId: idOf(77) }]),
  } as never)

  const newest = async () =>
    (await internal.call(accountChats.findNewestReceived, { userId: carol, peers: `${alice},${bob},${news}` })).messages
  t.strictSame(
    (await newest()).map(({ content }) => content),
    ['from alice 2', 'from bob'],
  )
  await api.call(archive.deleteMessages, { messageId: 'a2', delete: 2 }, { as: alice })
  t.equal((await newest())[0]?.content, 'from alice 1', 'what was recalled is not shown')

  const page = (more: object = {}) =>
    internal.call(accountChats.pageChat, { userId: carol, peer: alice, pageSize: 2, ...more })
  t.match(await page(), { total: 3, pageCount: 2, pageData: [{ content: 'an answer' }, { content: 'from alice 1' }] })
  t.equal((await unread()).messages, 3, 'looking alone reads nothing')
  await page({ read: 1 })
  t.strictSame(await unread(), { messages: 1, peers: 1 })
  t.match(await page({ pageIndex: 1 }), { pageData: [{ content: 'from alice 0' }] })
  t.match(await page({ pageIndex: 100_000 }), { pageData: [], total: 3 })
  t.match(await page({ peer: news }), { pageData: [], total: 0 })
  await api.call(archive.clearChats, { type: 1 }, { as: carol })
  t.match(await page(), { pageData: [], total: 0 })
  t.strictSame(await newest(), [])
  t.strictSame(await unread(), { messages: 0, peers: 0 })
  await queries.demandIndexes(t)
})

test('pages of a chat of very long messages are bounded in bytes, and hold each message once', async (t) => {
  const { internal, online, xmpp, deps } = await startMessage(t)
  const queries = watchQueries(deps)
  const sender = await online(alice)
  const letters = [...Array(40).keys()].map((n) => (n % 4 === 3 ? 'short' : `${n} ${'"'.repeat(30_000)}`))
  for (const content of letters) sender.say({ to: carol, body: { content } })
  await xmpp.drained()
  const page = (pageIndex: number) =>
    internal.call(accountChats.pageChat, { userId: carol, peer: alice, pageSize: 50, pageIndex, read: 0 })
  const seen: string[] = []
  for (let pageIndex = 0; ; pageIndex++) {
    const answer = await page(pageIndex)
    t.ok(JSON.stringify(answer).length < 10_000_000, 'an answer repeats the text a few times')
    t.ok(answer.pageData.length >= 15)
    t.match(answer, { pageIndex, pageSize: 50, total: 40 })
    seen.push(...answer.pageData.map(({ content }) => content))
    if (pageIndex + 1 >= answer.pageCount) break
  }
  t.strictSame(seen, letters.toReversed())
  t.match(await page(9), { pageData: [], total: 40, pageCount: 2 })

  sender.say({ to: carol, body: { content: '长'.repeat(20_000), fileName: 'f'.repeat(500), timeLen: 7 } })
  await xmpp.drained()
  const { messages } = await internal.call(accountChats.findNewestReceived, { userId: carol, peers: `${alice}` })
  t.equal(messages[0]?.content, '长'.repeat(4000), 'a list of chats shows the beginning')
  t.match(JSON.parse(messages[0]!.body), { type: 1, content: '长'.repeat(4000), timeLen: 7 })
  t.ok(messages[0]!.body.length < 5000)
  await queries.demandIndexes(t)
})
