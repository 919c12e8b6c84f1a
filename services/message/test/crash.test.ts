import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { archive } from '@im/contracts/message'
import { pairOf } from '@im/contracts/social'
import { StoreAwayError } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { holdCommits } from './hold-commits.ts'
import { alice, bob, carol, startMessage } from './start-message.ts'
import { type ClientStream, XmppServer } from './xmpp-server.ts'

/** What happens between two messages. */
const disturbance = fc.constantFrom(
  'nothing',
  'cut the connection',
  'crash the server',
  'restart the service',
  'the receiver comes',
  'the receiver goes',
  'the receiver sleeps',
  'the receiver stops confirming',
)

test('whatever is cut, killed or asleep: what was confirmed to its sender reaches its receiver, in order, stored once', async (t) => {
  let user = 10000001
  const xmpp = await XmppServer.start()
  const env = { NAMESPACE: `t${randomBytes(5).toString('hex')}` }
  let im = await startMessage(t, { xmpp, env })
  const close = xmpp.close.bind(xmpp)
  xmpp.close = async () => {}
  t.after(close)

  async function run(steps: readonly { what: string; count: number }[]): Promise<void> {
    const [alice, bob] = [user++, user++]
    await eventually(() => xmpp.connected)
    let sender = xmpp.connect(alice)
    const receivers: ClientStream[] = []
    let receiver: ClientStream | undefined
    const sent: string[] = []
    const receipts = new Set<string>()
    const collect = () => {
      for (const id of sender.receipts) receipts.add(id)
    }
    const say = (id: string) => sender.say({ to: bob, id, body: { messageId: id, content: id } })
    for (const { what, count } of steps) {
      for (let n = 0; n < count; n++) {
        const id = `${alice}-${sent.length}`
        sent.push(id)
        say(id)
      }
      collect()
      if (what === 'cut the connection') xmpp.cut()
      if (what === 'crash the server') {
        xmpp.crash()
        receiver = undefined
        await eventually(() => xmpp.connected)
        sender = xmpp.connect(alice)
        // Apps send again, in order, what was not confirmed.
        for (const id of sent.filter((id) => !receipts.has(id))) say(id)
      }
      if (what === 'restart the service') {
        await im.close()
        im = await startMessage(t, { xmpp, env, user: im.user })
      }
      if (what === 'the receiver comes' && !receiver) {
        receiver = xmpp.connect(bob)
        receivers.push(receiver)
      }
      if (what === 'the receiver goes') {
        receiver?.end()
        receiver = undefined
      }
      if (what === 'the receiver sleeps') receiver?.sleep()
      if (what === 'the receiver stops confirming' && receiver && !receiver.waiting) receiver.state.confirming = false
    }
    await xmpp.drained(30_000)
    receiver?.end()
    receiver = xmpp.connect(bob)
    receivers.push(receiver)
    // A receipt may be lost with a connection: apps send again, in order, what was not confirmed.
    await eventually(async () => {
      await xmpp.drained()
      collect()
      const missing = sent.filter((id) => !receipts.has(id))
      for (const id of missing) say(id)
      return missing.length === 0
    }, 15_000)
    const seen = () => [...new Set(receivers.flatMap(({ messages }) => messages.map(({ id }) => id)))]
    await eventually(() => seen().length === sent.length, 15_000)
    if (seen().join() !== sent.join()) throw new Error(`order: ${seen().join()} of ${sent.join()}`)
    const stored = await im.deps.messages.collection.countDocuments({ from: alice })
    if (stored !== sent.length) throw new Error(`${stored} stored of ${sent.length}`)
    await eventually(async () => (await im.deps.mailbox.collection.countDocuments({ user: bob })) === 0)
    receiver.end()
    sender.end()
  }

  const step = fc.record({ what: disturbance, count: fc.integer({ min: 0, max: 12 }) })
  await t.resolves(
    fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 7 }), (steps) => run(steps)),
      { numRuns: 12, endOnFailure: true },
    ),
  )
})

test('a message whose server is given up while it is being stored is taken when it comes by another server', async (t) => {
  const servers = await Promise.all([XmppServer.start(), XmppServer.start()])
  const { deps, online } = await startMessage(t, { servers })
  const [lost, other] = servers as [XmppServer, XmppServer]
  const first = await online(alice, { server: lost })
  const again = await online(alice, { server: other, resource: 'pc' })
  const receiver = await online(bob, { server: other })
  const { commit } = deps.outbox
  const failed = new Promise<void>((resolve) => {
    deps.outbox.commit = async () => {
      resolve()
      throw new Error('the database is away')
    }
  })
  const id = first.say({ to: bob })
  await failed
  // The server leaves the fleet.
  const left = deps.feeds.addresses.filter((address) => deps.feeds.at(address)?.holds?.server === other.name)
  Object.defineProperty(deps.xmppServers, 'addresses', { get: () => left })
  await lost.close()
  lost.close = async () => {}
  await eventually(() => deps.feeds.servers.length === 1)
  // Longer than it takes to see that it is not one's share any more.
  await delay(500)
  deps.outbox.commit = commit
  again.say({ to: bob, id })
  await eventually(() => again.receipts.includes(id))
  await eventually(() => receiver.messages.length === 1)
  t.equal(await deps.messages.collection.countDocuments(), 1)
})

test('a device whose server dies with all replicas gets what another device confirms after that', async (t) => {
  const servers = await Promise.all([XmppServer.start(), XmppServer.start()])
  const [left, right] = servers as [XmppServer, XmppServer]
  const env = { NAMESPACE: `t${randomBytes(5).toString('hex')}` }
  const before = await startMessage(t, { servers, env })
  const sender = await before.online(alice, { server: left })
  const pc = await before.online(bob, { server: left, resource: 'pc' })
  await before.online(bob, { server: right, resource: 'phone' })
  const seen = async () => (await before.deps.presences.of([bob])).get(bob)?.at.flatMap(({ resources }) => resources)
  await eventually(async () => (await seen())?.toSorted().join() === 'pc,phone')
  await before.close()
  const came = sender.say({ to: bob })
  right.crash()
  const { deps } = await startMessage(t, { servers, env, user: before.user })
  await left.drained()
  t.strictSame(
    pc.messages.map(({ id }) => id),
    [came],
  )
  const phone = right.connect(bob, { resource: 'phone' })
  await eventually(() => phone.messages.length > 0)
  t.equal(phone.messages[0]?.id, came)
  // It knows of the message, and is asked about no more by those that come now.
  const later = sender.say({ to: bob })
  await eventually(() => [pc, phone].every(({ messages }) => messages.some(({ id }) => id === later)))
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
})

test('a device whose server is out of reach when a message has been stored gets what another device confirms', async (t) => {
  const servers = await Promise.all([XmppServer.start(), XmppServer.start()])
  const [left, right] = servers as [XmppServer, XmppServer]
  const { online, deps } = await startMessage(t, { servers })
  const sender = await online(alice, { server: right })
  const pc = await online(bob, { server: left, resource: 'pc' })
  const phone = await online(bob, { server: right, resource: 'phone' })
  await eventually(async () => {
    const { at = [] } = (await deps.presences.of([bob])).get(bob) ?? {}
    return at.flatMap(({ resources }) => resources).length === 2
  })
  const commits = holdCommits(deps)
  const id = sender.say({ to: bob })
  await commits.asked
  const refusal = left.refuseConnections()
  left.cut()
  await eventually(() => deps.streams.find(left.name, pc.id) === undefined)
  commits.release()
  await eventually(() => phone.messages.length === 1)
  refusal.end()
  await eventually(() => pc.messages.length === 1)
  t.equal(pc.messages[0]?.id, id)
  await right.drained()
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  t.equal(phone.messages.length, 1)
})

/** Lets calls of a method wait until `go`. */
function holdCalls<K extends string>(target: Record<K, (...params: never[]) => Promise<unknown>>, method: K) {
  const original = target[method]
  const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  target[method] = async (...params) => {
    asked.resolve()
    await gate.promise
    return await original.apply(target, params)
  }
  return { asked: asked.promise, go: gate.resolve }
}

for (const waitsFor of ['facts', 'mailboxes'] as const)
  test(`a device whose server dies while a message waits for ${waitsFor} gets what another device confirms`, async (t) => {
    const servers = await Promise.all([XmppServer.start(), XmppServer.start()])
    const [left, right] = servers as [XmppServer, XmppServer]
    const { online, deps } = await startMessage(t, { servers })
    const sender = await online(alice, { server: right })
    const pc = await online(bob, { server: left, resource: 'pc' })
    const phone = await online(bob, { server: right, resource: 'phone' })
    const calls = waitsFor === 'facts' ? holdCalls(deps.contacts, 'ask') : holdCalls(deps.mailboxLimits, 'prepare')
    const id = sender.say({ to: bob })
    await calls.asked
    left.crash()
    await eventually(() => left.connected && deps.streams.find(left.name, pc.id) === undefined)
    calls.go()
    await eventually(() => phone.messages.length === 1)
    await right.drained()
    const back = left.connect(bob, { resource: 'pc' })
    await eventually(() => back.messages.length === 1)
    t.equal(back.messages[0]?.id, id)
  })

test('a recall that comes, or comes again, while the database is away is decided on when it is back', async (t) => {
  const { xmpp, online, deps } = await startMessage(t)
  const sender = await online(alice)
  const peer = await online(bob, { confirming: false })
  const { anyFrom } = deps.messages
  let failures = 0
  const leave = () => {
    failures = 0
    deps.messages.anyFrom = async () => {
      failures++
      throw new StoreAwayError('MongoDB', 'away')
    }
  }
  leave()
  const text = sender.say({ to: bob })
  const notice = sender.say({ to: bob, body: { type: 202, content: text } })
  await eventually(() => failures > 1)
  deps.messages.anyFrom = anyFrom
  await eventually(() => sender.receipts.includes(notice) && peer.messages.some(({ id }) => id === notice))

  // Its receiver has not confirmed it, and its replica is lost: it is told again, and nothing of it may get lost.
  leave()
  const refusal = xmpp.refuseConnections()
  peer.end()
  refusal.end()
  await eventually(() => xmpp.connected)
  deps.messages.anyFrom = anyFrom
  await xmpp.drained()
  const again = await online(bob)
  await eventually(() => again.messages.some(({ id }) => id === notice))
  t.equal(await deps.parked.collection.countDocuments(), 0)
})

test('what was refused is never taken when it comes again, nor what was taken refused; another attempt is decided anew', async (t) => {
  const xmpp = await XmppServer.start()
  const env = { NAMESPACE: `t${randomBytes(5).toString('hex')}` }
  const before = await startMessage(t, { xmpp, env })
  const sender = await before.online(alice)
  const slow = await before.online(carol, { confirming: false })
  // Nothing behind this one is released until its receiver confirms it.
  sender.say({ to: carol })
  await eventually(() => slow.messages.length === 1)
  const taken = sender.say({ to: bob })
  await eventually(() => sender.receipts.includes(taken))
  before.user.mode = 'is away'
  const types = [1, 201, 26, 500]
  const refused = types.map((type) => sender.say({ to: bob + 100, body: { type } }))
  await eventually(() => refused.every((id) => sender.refusals.get(id) === 'resource-constraint'))
  await before.close()

  before.user.mode = 'answers'
  before.user.pairs.set(pairOf(alice, bob), { high: { status: 0, hasBlocked: true } })
  const { deps, online } = await startMessage(t, { xmpp, env, user: before.user })
  const told = sender.received.length
  slow.confirm()
  await xmpp.drained()
  const again = sender.received.slice(told).map(({ stanza }) => stanza)
  t.notOk(
    again.some(({ attrs }) => attrs['type'] === 'error' && attrs['id'] === taken),
    'it was taken',
  )
  for (const id of refused) t.ok(again.some(({ attrs }) => attrs['type'] === 'error' && attrs['id'] === id))
  t.equal(await deps.messages.collection.countDocuments({ gone: { $exists: false } }), 2)
  t.equal(await deps.mailbox.collection.countDocuments({ user: bob + 100 }), 0)
  const stranger = await online(bob + 100)
  t.strictSame(stranger.messages, [])
  const peer = await online(bob)
  await eventually(() => peer.messages.length === 1)

  const [first] = refused
  sender.say({ to: bob + 100, id: first! })
  await eventually(() => sender.receipts.includes(first!) && stranger.messages.length === 1)
  t.equal(await deps.messages.collection.countDocuments({ messageId: first! }), 1)
})

test('what the archive does not keep is not refused when it comes again: it may have been passed on', async (t) => {
  const xmpp = await XmppServer.start()
  const env = { NAMESPACE: `t${randomBytes(5).toString('hex')}` }
  const before = await startMessage(t, { xmpp, env })
  const [sender, peer] = [await before.online(alice), await before.online(bob)]
  const slow = await before.online(carol, { confirming: false })
  sender.say({ to: carol })
  await eventually(() => slow.messages.length === 1)
  const passed = [100, 104].map((type) => sender.say({ to: bob, body: { type } }))
  await eventually(() => passed.every((id) => sender.receipts.includes(id)) && peer.messages.length === 2)
  await before.close()

  before.user.pairs.set(pairOf(alice, bob), { high: { status: 0, hasBlocked: true } })
  await startMessage(t, { xmpp, env, user: before.user })
  const told = sender.received.length
  slow.confirm()
  await xmpp.drained()
  const errors = () => sender.received.slice(told).filter(({ stanza }) => stanza.attrs['type'] === 'error')
  t.strictSame(errors(), [])
  t.equal(peer.messages.length, 2, 'nor passed on once more')

  const other = sender.say({ to: bob, body: { type: 104 } })
  await eventually(() => sender.refusals.has(other))
})

test('a copy that comes late by another server shares the fate of what was refused after it', async (t) => {
  const servers = await Promise.all([XmppServer.start(), XmppServer.start()])
  const [lost, other] = servers as [XmppServer, XmppServer]
  const { online, user, deps } = await startMessage(t, { servers })
  const first = await online(alice, { server: lost })
  const second = await online(alice, { server: other, resource: 'pc' })
  const refusal = lost.refuseConnections()
  const id = first.say({ to: bob + 100 })
  await delay(5)
  user.mode = 'is away'
  second.say({ to: bob + 100, id })
  await eventually(() => second.refusals.get(id) === 'resource-constraint')
  user.mode = 'answers'
  refusal.end()
  await lost.drained()
  t.equal(first.refusals.get(id), 'resource-constraint')
  t.equal(await deps.messages.collection.countDocuments({ gone: { $exists: false } }), 0)
  // A recall is for all attempts.
  second.say({ to: bob + 100, body: { type: 202, content: id } })
  second.say({ to: bob + 100, id })
  await other.drained()
  t.equal(await deps.messages.collection.countDocuments({ messageId: id, gone: { $exists: false } }), 0)
})

test('messages of one moment keep their order when copies come by another server', async (t) => {
  const servers = await Promise.all([XmppServer.start(), XmppServer.start()])
  const [lost, other] = servers as [XmppServer, XmppServer]
  const { online, api } = await startMessage(t, { servers })
  const first = await online(alice, { server: lost })
  const timeSend = Math.floor(Date.now() / 1000)
  const refusal = lost.refuseConnections()
  const say = (stream: ClientStream, n: number) =>
    stream.say({ to: bob, id: `m${n}`, body: { messageId: `m${n}`, timeSend, content: n } })
  for (const n of [1, 2, 3, 4]) say(first, n)
  await delay(20)
  const second = await online(alice, { server: other, resource: 'pc' })
  for (const n of [1, 2]) say(second, n)
  await eventually(() => second.receipts.length === 2)
  refusal.end()
  await lost.drained()
  for (const n of [3, 4, 5]) say(second, n)
  await other.drained()
  const rows = await api.call(archive.listSingleHistory, { receiver: bob }, { as: alice })
  t.strictSame(
    rows.map(({ messageId }) => messageId),
    ['m5', 'm4', 'm3', 'm2', 'm1'],
  )
})

/** How long ago (ms) the entries came that the archive gets late. */
for (const age of [0, 5000])
  test(`messages of one moment keep their order among those of another device, ${age} ms late`, async (t) => {
    const servers = await Promise.all([XmppServer.start(), XmppServer.start()])
    const [lost, other] = servers as [XmppServer, XmppServer]
    const { online, api } = await startMessage(t, { servers })
    const phone = await online(alice, { server: lost })
    const desk = lost.connect(alice, { resource: 'pc' })
    const refusal = lost.refuseConnections()
    const stamp = Date.now() - age
    const second = Math.floor(stamp / 1000)
    // One counts in seconds, the other more finely.
    const fromPhone = (stream: ClientStream, n: number, more = {}) =>
      stream.say({ to: bob, id: `m${n}`, body: { messageId: `m${n}`, timeSend: second }, ...more })
    const fromDesk = (stream: ClientStream, n: number, more = {}) =>
      stream.say({ to: bob, id: `d${n}`, body: { messageId: `d${n}`, timeSend: second + 0.9 }, ...more })
    for (const n of [1, 2]) fromPhone(phone, n, { stamp })
    fromDesk(desk, 1, { stamp })
    for (const n of [3, 4]) fromPhone(phone, n, { stamp })
    fromDesk(desk, 2, { stamp })
    await delay(20)
    const again = await online(alice, { server: other })
    for (const n of [1, 2]) fromPhone(again, n)
    fromDesk(again, 1)
    await eventually(() => again.receipts.length === 3)
    refusal.end()
    await lost.drained()
    const rows = await api.call(archive.listSingleHistory, { receiver: bob }, { as: alice })
    t.strictSame(
      rows.map(({ messageId }) => messageId),
      ['d2', 'd1', 'm4', 'm3', 'm2', 'm1'],
    )
  })
