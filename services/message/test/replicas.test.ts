import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually, slowProxy } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, carol, isSharedOut, startMessage } from './start-message.ts'
import { live, startTwo } from './start-two.ts'
import { type ClientStream, domain, XmppServer } from './xmpp-server.ts'

test('replicas share the servers, each held by exactly one, and take over from one that ends or dies', async (t) => {
  const servers = await Promise.all(Array.from({ length: 6 }, () => XmppServer.start()))
  const env = { NAMESPACE: `t${randomBytes(5).toString('hex')}` }
  const first = await startMessage(t, { servers, env })
  await eventually(() => servers.every(({ connected }) => connected))
  const second = await startMessage(t, { servers, env, user: first.user })
  const held = () => [first, second].map(({ deps }) => deps.feeds.servers.length)
  await eventually(() => second.deps.feeds.servers.length > 0 || second.deps.peers.others.length > 0)
  await eventually(() => held()[0]! + held()[1]! === 6 && servers.every(({ connected }) => connected))
  const owners = new Set(servers.map(({ url }) => first.deps.peers.ownerOf(url)))
  await eventually(() => (owners.size === 2 ? held().every((count) => count > 0) : true))
  await delay(1000)
  const connections = servers.map((server) => server.connections)
  await delay(1500)
  t.strictSame(
    servers.map((server) => server.connections),
    connections,
    'nobody fights',
  )
  const at = Date.now()
  await second.close()
  await eventually(() => held()[0] === 6 && servers.every(({ connected }) => connected), 3000)
  t.ok(Date.now() - at < 3000)
})

test('a message reaches streams on servers of other replicas, once, and is released when they have confirmed it', async (t) => {
  const { replicas, left, right, first } = await startTwo(t)
  const sender = left.connect(alice)
  const [near, far] = [
    left.connect(bob, { resource: 'ios' }),
    right.connect(bob, { resource: 'pc', confirming: false }),
  ]
  await Promise.all([live(replicas, left, near), live(replicas, right, far)])
  for (let n = 0; n < 20; n++) sender.say({ to: bob, body: { content: n } })
  await eventually(() => near.messages.length === 20 && far.messages.length === 20)
  t.strictSame(near.contents(), far.contents())
  t.notOk(far.messages.some(({ isDelayed }) => isDelayed))
  await delay(500)
  t.equal(left.released, 0)
  t.equal(await first.deps.mailbox.collection.countDocuments(), 0, 'who has it waits for nothing in the mailbox')
  t.equal(near.messages.length, 20)
  far.confirm()
  await left.drained(3000)
  const typing = sender.say({ to: bob, body: { type: 201 } })
  await eventually(() => far.messages.at(-1)?.id === typing)
  const only = sender.say({ to: far.jid })
  await eventually(() => far.messages.at(-1)?.id === only)
  t.notOk(near.messages.some(({ id }) => id === only))
})

test('what the streams of another replica lose stands in the mailbox, and a mailbox that grows wakes them', async (t) => {
  const { replicas, left, right, first } = await startTwo(t)
  const sender = left.connect(alice)
  const far = right.connect(bob, { confirming: false })
  await live(replicas, right, far)
  sender.say({ to: bob, body: { content: 'lost' } })
  await eventually(() => far.messages.length === 1)
  right.crash()
  await left.drained()
  t.equal(await first.deps.mailbox.collection.countDocuments(), 1)
  const back = right.connect(bob)
  await eventually(() => back.messages.length === 1)
  await live(replicas, right, back)
  for (let n = 0; n < 50; n++) sender.say({ to: bob, body: { content: n } })
  await eventually(() => back.messages.length === 51)
  t.strictSame(
    back.contents().slice(1),
    Array.from({ length: 50 }, (_, n) => n),
  )
  await eventually(async () => (await first.deps.mailbox.collection.countDocuments()) === 0)
})

test('a message that comes back by another server is stored once', async (t) => {
  const { replicas, left, right, first } = await startTwo(t)
  const peer = right.connect(bob)
  await live(replicas, right, peer)
  const ids = Array.from({ length: 30 }, (_, n) => `id-${n}`)
  const streams = [left.connect(alice), right.connect(alice, { resource: 'pc' })]
  for (const id of ids) for (const stream of streams) stream.say({ to: bob, id })
  await Promise.all([left, right].map((server) => server.drained()))
  for (const stream of streams) await eventually(() => stream.receipts.length === 30)
  t.equal(await first.deps.messages.collection.countDocuments(), 30)
  await eventually(() => peer.messages.length >= 30)
  t.strictSame(new Set(peer.messages.map(({ id }) => id)), new Set(ids))
})

test('carbons, client receipts and messages between own devices cross replicas', async (t) => {
  const { replicas, left, right } = await startTwo(t)
  const phone = left.connect(alice)
  const pc = right.connect(alice, { resource: 'pc', carbons: true })
  const peer = right.connect(bob)
  await Promise.all([live(replicas, left, phone), live(replicas, right, pc), live(replicas, right, peer)])
  phone.say({ to: alice, body: { type: 200, content: '1' } })
  await eventually(() => pc.messages.length === 1)
  phone.say({ to: bob })
  await eventually(() => pc.received.some(({ stanza }) => stanza.getChild('sent', 'urn:xmpp:carbons:2')))
  peer.send(`<message xmlns='jabber:client' to='${phone.jid}'><received xmlns='urn:xmpp:receipts' id='m1'/></message>`)
  await eventually(() => phone.received.some(({ stanza }) => stanza.attrs['from'] === `${bob}@${domain}/android`))
  t.equal(phone.messages.length, 0)
})

test('a device that takes a row from the mailbox leaves it to a device of another replica that is owed it', async (t) => {
  const { replicas, left, right, first } = await startTwo(t)
  const sender = left.connect(alice)
  const pc = left.connect(bob, { resource: 'pc', confirming: false })
  const phone = right.connect(bob)
  await Promise.all([live(replicas, left, pc), live(replicas, right, phone)])
  // Beyond what a stream may owe, messages wait in the mailbox.
  for (let n = 0; n < 520; n++) sender.say({ to: bob, body: { content: n } })
  await eventually(() => new Set(phone.contents()).size === 520)
  await left.drained()
  pc.state.confirming = true
  pc.confirm()
  await eventually(() => pc.messages.length === 520)
  t.equal(new Set(pc.contents()).size, 520)
  await eventually(async () => (await first.deps.mailbox.collection.countDocuments()) === 0)
})

test('a device whose whereabouts a replica has missed gets what another one has confirmed', async (t) => {
  const { replicas, left, right, first } = await startTwo(t)
  const sender = left.connect(alice)
  const pc = left.connect(bob, { resource: 'pc' })
  const phone = right.connect(bob)
  await Promise.all([live(replicas, left, pc), live(replicas, right, phone)])
  const isSeen = async () => {
    const seen = (await first.deps.presences.of([bob])).get(bob)?.at.flatMap(({ resources }) => resources)
    return seen?.sort().join() === 'android,pc'
  }
  await eventually(isSeen)
  for (const { deps } of replicas) {
    deps.streams.removeFarWhere(() => true)
    // Nobody finds it by looking: who puts a row tells the others.
    deps.mailbox.usersOfLast = async () => new Set()
  }
  sender.say({ to: bob, body: { content: 'missed' } })
  // At least once: the replica may hear of the device again while the mailbox already has the row.
  await eventually(() => pc.messages.length > 0 && phone.messages.length > 0)
  t.strictSame([...new Set(phone.contents())], ['missed'])
  await eventually(async () => (await first.deps.mailbox.collection.countDocuments()) === 0)
})

test('devices that another replica is said to serve and does not are owed the message', async (t) => {
  const { replicas, left, right, first } = await startTwo(t)
  const sender = left.connect(alice)
  const [bobsPc, carolsPc] = [bob, carol].map((user) => left.connect(user, { resource: 'pc' }))
  const phone = right.connect(bob)
  for (const stream of [bobsPc!, carolsPc!]) await live(replicas, left, stream)
  await live(replicas, right, phone)
  const [near, far] = [left, right].map((server) => replicas.find(({ deps }) => deps.feeds.of(server.name))!.deps)
  const gone = {
    replica: far!.peers.id,
    server: right.name,
    since: 0,
    isAvailable: true,
    carbons: false,
    resource: 'ios',
  }
  for (const user of [bob, carol]) near!.streams.putFar({ ...gone, user, id: `gone-${user}`, key: `gone-${user}` })
  for (const to of [bob, carol]) sender.say({ to, body: { content: 'owed' } })
  for (const stream of [bobsPc!, carolsPc!, phone]) await eventually(() => stream.messages.length >= 1)
  await left.drained()
  t.match(await first.deps.mailbox.collection.find().toArray(), [{ owes: ['ios'] }, { owes: ['ios'] }])
  const back = [bob, carol].map((user) => right.connect(user, { resource: 'ios' }))
  for (const stream of back) await eventually(() => stream.messages.length >= 1)
  await eventually(async () => {
    const waiting = await first.deps.mailbox.collection.find().toArray()
    if (waiting.length) throw new Error(`waiting: ${JSON.stringify(waiting)}`)
    return true
  })
})

test('devices with names as long as XMPP allows make nothing too large that replicas tell each other', async (t) => {
  const { replicas, left, right } = await startTwo(t)
  const names = Array.from({ length: 10 }, (_, n) => `${'\\'.repeat(1000)}${n}`)
  const sender = left.connect(alice)
  const crowd = Array.from({ length: 60 }, (_, n) => n + 20_000_000)
  const others = crowd.flatMap((user) => names.map((resource) => right.connect(user, { resource })))
  const devices = names.map((resource) => right.connect(bob, { resource, confirming: false }))
  for (const stream of [others.at(-1)!, ...devices]) await live(replicas, right, stream)
  const sent = Array.from({ length: 400 }, (_, content) => sender.say({ to: bob, body: { content } }))
  await eventually(() => devices.every(({ messages }) => messages.length === sent.length), 20_000)
  for (const device of devices) device.confirm()
  await left.drained(3000)
  for (const device of devices) t.strictSame(new Set(device.messages.map(({ id }) => id)), new Set(sent))
})

test('a replica that hears late that it has lost a server knows where its streams are', async (t) => {
  const { replicas, left, right } = await startTwo(t)
  const [sender, phone] = [right.connect(alice), left.connect(bob, { carbons: true })]
  await Promise.all([live(replicas, right, sender), live(replicas, left, phone)])
  const [loser, winner] = [left, right].map((server) => replicas.find(({ deps }) => deps.feeds.of(server.name))!.deps)
  // The winner takes what it thinks nobody holds any more.
  left.tellsReplaced = false
  loser!.peers.holds = () => []
  await eventually(() => !winner!.peers.holderOf(left.url))
  winner!.peers.ownerOf = () => winner!.peers.id
  loser!.peers.ownerOf = () => winner!.peers.id
  await eventually(() => winner!.streams.find(left.name, phone.id))
  await delay(300)
  t.ok(loser!.streams.find(left.name, phone.id), 'it has not noticed')
  left.tellReplaced()
  await eventually(() => !loser!.streams.find(left.name, phone.id))
  const isOfWinner = ({ replica }: { replica: string }) => replica === winner!.peers.id
  t.ok(loser!.streams.farOf(bob).some(isOfWinner))
  t.equal(loser!.streams.farOf(bob).length, 1)
  phone.end()
  await eventually(() => !loser!.streams.farOf(bob).length)
})

test('a replica that was asked for one device, and then gets the entry, sees to the other devices, too', async (t) => {
  const { replicas, left, right, first } = await startTwo(t)
  const sender = left.connect(alice)
  const pc = left.connect(bob, { resource: 'pc' })
  const phone = right.connect(bob, { resource: 'phone' })
  await Promise.all([live(replicas, left, pc), live(replicas, right, phone)])
  const [dying, other] = [left, right].map((server) => replicas.find(({ deps }) => deps.feeds.of(server.name))!.deps)
  for (const device of [pc, phone]) device.sleep()
  // Nothing that the one does from here on counts, as if it were killed.
  const killed = Promise.withResolvers<never>()
  killed.promise.catch(() => {})
  dying!.mailbox.apply = () => killed.promise
  t.after(() => killed.reject(new Error('killed')))
  sender.say({ to: bob })
  await eventually(() => pc.received.length && phone.received.length)
  dying!.peers.holds = () => []
  await eventually(() => !other!.peers.holderOf(left.url))
  for (const { peers } of [dying!, other!]) peers.ownerOf = () => other!.peers.id
  await eventually(() => other!.streams.find(left.name, pc.id))
  await left.drained()
  // Neither comes back to its stream.
  for (const device of [phone, pc]) device.end()
  for (const resource of ['phone', 'pc']) {
    const back = right.connect(bob, { resource })
    await eventually(() => back.messages.length === 1)
    await eventually(() => back.confirmed === back.delivered)
  }
  await eventually(async () => (await first.deps.mailbox.collection.countDocuments()) === 0)
  t.ok(left.connections > 1)
})

test('a row that is written when its device has the message by another stream already does not stay', async (t) => {
  const { replicas, left, right, first } = await startTwo(t)
  const sender = left.connect(alice)
  right.onOrder = () => 'error'
  const old = right.connect(bob, { resource: 'ios', since: 1000 })
  await live(replicas, right, old)
  old.sleep()
  const moved = left.connect(bob, { resource: 'ios', since: 2000 })
  await live(replicas, left, moved)
  const seen = async () => (await first.deps.presences.of([bob])).get(bob)?.at.length
  await eventually(async () => (await seen()) === 2)
  const far = replicas.find(({ deps }) => deps.feeds.of(right.name))!
  const put = Promise.withResolvers<void>()
  const { apply } = far.deps.mailbox
  far.deps.mailbox.apply = async (changes) => {
    await apply.call(far.deps.mailbox, changes)
    if (changes.some(({ kind }) => kind === 'put')) put.resolve()
  }
  sender.say({ to: bob })
  await eventually(() => moved.messages.length === 1)
  old.end()
  await put.promise
  await eventually(async () => (await first.deps.mailbox.collection.countDocuments()) === 0)
  t.equal(moved.messages.length, 1)
})

test('what a replica never answers for stands in the mailbox after a while', async (t) => {
  const { replicas, left, right, first } = await startTwo(t)
  const [sender, phone] = [left.connect(alice), right.connect(bob, { confirming: false })]
  await Promise.all([live(replicas, left, sender), live(replicas, right, phone)])
  const silent = replicas.find(({ deps }) => deps.feeds.of(right.name))!
  silent.deps.deliverer.deliverHere = () => {}
  // It is told of the row, and does not happen to find it.
  silent.deps.mailbox.usersOfLast = async () => new Set()
  sender.say({ to: bob })
  await eventually(async () => (await first.deps.mailbox.collection.countDocuments()) === 1, 20_000)
  await eventually(() => phone.messages.length === 1)
  await left.drained()
  t.equal(left.released, left.last)
})

test('a replica that ends leaves its servers when clients have confirmed what they were given: nobody gets it twice', async (t) => {
  const { replicas, first, left } = await startTwo(t)
  const [sender, receiver] = [left.connect(alice), left.connect(bob, { confirming: false })]
  await Promise.all([live(replicas, left, sender), live(replicas, left, receiver)])
  const sent = Array.from({ length: 20 }, (_, content) => sender.say({ to: bob, body: { content } }))
  await eventually(() => receiver.messages.length === sent.length)
  const { connections } = left
  const closing = first.close()
  // Clients take a moment to confirm, and go on to write.
  await delay(300)
  t.equal(left.connections, connections, 'it has not left yet')
  sent.push(sender.say({ to: bob, body: { content: 20 } }))
  receiver.state.confirming = true
  receiver.confirm()
  await closing
  await left.drained()
  t.ok(left.connections > connections, 'the other replica has the server')
  await eventually(() => receiver.messages.length >= sent.length)
  t.strictSame(
    receiver.messages.map(({ id }) => id),
    sent,
  )
})

test('a replica that joins gets its share when clients have confirmed what they were given: nobody gets it twice', async (t) => {
  const servers = await Promise.all(Array.from({ length: 14 }, () => XmppServer.start()))
  const env = { NAMESPACE: `t${randomBytes(5).toString('hex')}` }
  const first = await startMessage(t, { servers, env })
  await eventually(() => servers.every(({ connected }) => connected))
  const heldAt = performance.now()
  const senders = servers.map((server, n) => server.connect(alice, { resource: `pc${n}` }))
  const receivers = servers.map((server, n) => server.connect(bob, { resource: `pc${n}`, confirming: false }))
  await Promise.all(servers.map((server, n) => live([first], server, receivers[n]!)))
  const sent = senders.map((sender) => sender.say({ to: bob }))
  await eventually(() => receivers.every(({ messages }) => messages.length === sent.length))
  const connections = servers.map((server) => server.connections)
  // What was not held for four seconds others take: how long nobody held it before it was held does not count.
  await delay(4200 - (performance.now() - heldAt))
  // It hears of the other one late, as on a busy machine.
  const nats = await slowProxy(t, process.env['NATS_URL']!)
  nats.delayMs = 300
  const second = await startMessage(t, { servers, env: { ...env, NATS_URL: nats.url }, user: first.user })
  const wanted = await eventually(() => {
    const wants = second.deps.peers.wants()
    return wants.length > 0 && wants
  })
  const [leaving, staying] = [true, false].map((isLeft) =>
    receivers.filter((_, n) => wanted.includes(servers[n]!.url) === isLeft),
  )
  const confirm = (some: readonly ClientStream[]) => {
    for (const receiver of some) {
      receiver.state.confirming = true
      receiver.confirm()
    }
  }
  confirm(leaving!)
  await delay(300)
  t.strictSame(
    servers.map((server) => server.connections),
    connections,
    'streams on other servers have not confirmed what came from these',
  )
  confirm(staying!)
  await eventually(() => isSharedOut(servers, [first, second]))
  t.ok(second.deps.feeds.servers.length > 0)
  await Promise.all(servers.map((server) => server.drained()))
  t.strictSame(
    servers.map((server) => server.connections),
    connections.map((count, n) => count + (second.deps.feeds.of(servers[n]!.name) ? 1 : 0)),
    'each server has changed hands once at most',
  )
  for (const receiver of receivers) t.strictSame(receiver.messages.map(({ id }) => id).sort(), sent.toSorted())
})
