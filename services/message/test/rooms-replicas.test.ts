import { setTimeout as delay } from 'node:timers/promises'
import { eventually, slowProxy } from '@im/service-kit/testing'
import type { CommandStartedEvent } from 'mongodb'
import { type Test, test } from 'tap'
import type { Deps } from '../src/deps.ts'
import { closeMissed } from '../src/rooms/close-missed.ts'
import { alice, bob, carol, isSharedOut, startMessage } from './start-message.ts'
import { join, joined, presencesOf, saidIn, sayIn, startRooms } from './start-rooms.ts'
import { XmppServer } from './xmpp-server.ts'

/** Two replicas, and two servers that are held by different ones. */
async function startTwo(t: Test) {
  const servers = await Promise.all(Array.from({ length: 14 }, () => XmppServer.start()))
  const started = await startRooms(t, { servers, replicas: 2 })
  const [first, second] = started.replicas
  await eventually(() => second!.deps.peers.others.length && isSharedOut(servers, [first!, second!]))
  const heldBy = (replica: typeof first) => servers.find(({ name }) => replica?.deps.feeds.of(name))!
  return { ...started, first: first!, second: second!, left: heldBy(first), right: heldBy(second) }
}

test('streams on servers of two replicas hear each other in order, and joins show who is on the other one', async (t) => {
  const { newRoom, left, right, rooms } = await startTwo(t)
  const jid = await newRoom(alice, [bob, carol])
  const [near, far] = [left.connect(alice), right.connect(bob)]
  await joined(near, jid)
  await joined(far, jid)
  t.ok(presencesOf(far, jid).some(({ nick }) => nick === String(alice)))
  for (let n = 0; n < 50; n++) sayIn(n % 2 ? near : far, jid, n)
  await eventually(() => [near, far].every((stream) => saidIn(stream, jid).length === 50))
  for (const stream of [near, far])
    for (const odd of [0, 1]) {
      const own = saidIn(stream, jid).filter((n) => Number(n) % 2 === odd)
      t.strictSame(
        own,
        own.toSorted((a, b) => Number(a) - Number(b)),
      )
    }
  await Promise.all([left.drained(), right.drained()])
  // Each replica decides for its own server by what the other one was told.
  for (let round = 0; round < 5; round++) {
    await rooms.remove(jid, bob)
    const refused = sayIn(far, jid, 'removed')
    await eventually(() => far.refusals.get(refused) === 'forbidden')
    sayIn(near, jid, `private ${round}`)
    await eventually(() => saidIn(near, jid).includes(`private ${round}`))
    await left.drained()
    t.notOk(saidIn(far, jid).includes(`private ${round}`))
    await rooms.add(jid, bob)
    const taken = sayIn(far, jid, 'back')
    await eventually(() => far.receipts.includes(taken))
  }
})

test('no replica knows what a change made void when the call that puts it into force is answered', async (t) => {
  const { newRoom, first, second, left: xmpp, env } = await startTwo(t)
  const { user } = first
  const http = await startMessage(t, { xmpp, user, env: { ...env, MESSAGE_ROLE: 'http' } })
  await eventually(() => first.deps.peers.others.length === 2 && http.deps.peers.isInTouch)
  const jid = await newRoom(alice, [bob])
  const { bus } = http.deps
  const tell = bus.tell.bind(bus)
  let isTold = false
  bus.tell = async (subject, text) => {
    if (subject.startsWith('rooms.enforced.')) {
      await delay(100)
      isTold = true
    }
    tell(subject, text)
  }
  const replicas = [second.deps.roomFacts, http.deps.roomFacts]
  let sequence = 0
  for (const facts of replicas) {
    sequence = (await facts.ask(jid, bob)).sequence
    t.ok(facts.peek(jid, bob))
  }
  await first.deps.roomEnforcer.enforce({ jid, sequence: sequence + 1 })
  for (const facts of replicas) t.notOk(facts.peek(jid, bob))
  t.ok(isTold, 'one that answers requests alone is waited for, too')
})

test('of 300 messages across an HTTP answer none passes that it forbids, and none is missing that it allows', async (t) => {
  const { newRoom, left, right, rooms, deps } = await startTwo(t)
  const later = Math.floor(Date.now() / 1000) + 600
  const forbidding = {
    'who is muted': (jid: string) => rooms.changeMember(jid, bob, { talkTime: later }),
    'who is removed': (jid: string) => rooms.remove(jid, bob),
    'a locked room': (jid: string) => rooms.change(jid, { locked: 1 }),
  }
  for (const [name, change] of Object.entries(forbidding)) {
    const { before, after } = await across(change, [bob])
    t.strictSame([before.refused, after.accepted], [[], []], name)
  }
  const { before, after } = await across((jid) => rooms.add(jid, bob), [])
  t.strictSame([before.accepted, after.refused], [[], []], 'who is admitted')

  /** What became of messages that bob sent, and was answered, before the change was asked for, and of those after its answer. */
  async function across(change: (jid: string) => Promise<void>, members: number[]) {
    const jid = await newRoom(alice, members)
    const [owner, speaker] = [left.connect(alice, { resource: jid }), right.connect(bob, { resource: jid })]
    await joined(owner, jid)
    if (members.length) await joined(speaker, jid)
    const sent: string[] = []
    const say = () => void sent.push(sayIn(speaker, jid, sent.length))
    const sayNow = async (count: number) => {
      for (let n = 0; n < count; n++) {
        say()
        await delay(5)
      }
    }
    await sayNow(100)
    await eventually(() => sent.every((id) => speaker.receipts.includes(id) || speaker.refusals.has(id)), 30_000)
    const askedAt = sent.length
    let isOver = false
    const changing = change(jid).finally(() => {
      isOver = true
    })
    while (!isOver) await sayNow(1)
    await changing
    const answeredAt = sent.length
    for (let n = 0; n < 100; n++) say()
    await sayNow(100)
    const [receipts, refusals] = await eventually(() => {
      const known = [new Set(speaker.receipts), speaker.refusals] as const
      return sent.every((id) => known[0].has(id) || known[1].has(id)) && known
    }, 30_000)
    await right.drained()
    const accepted = sent.filter((id) => receipts.has(id))
    const heard = owner.messages.map(({ id }) => id).filter((id) => sent.includes(id))
    t.strictSame(heard, accepted, 'all that was accepted is heard once, in order, and nothing else')
    const rows = await deps.messages.collection.find({ roomJid: jid, contentType: 1 }).toArray()
    t.strictSame(rows.map(({ messageId }) => messageId).sort(), accepted.toSorted(), 'and kept')
    t.notOk(
      speaker.messages.some(({ id }) => refusals.has(id)),
      'what is refused is not echoed',
    )
    const became = (ids: string[]) => ({
      accepted: ids.filter((id) => receipts.has(id)),
      refused: ids.filter((id) => !receipts.has(id)),
    })
    return { before: became(sent.slice(0, askedAt)), after: became(sent.slice(answeredAt)) }
  }
})

test('an entry is settled when every server has taken what was said, and not before', async (t) => {
  const { newRoom, left, right } = await startTwo(t)
  const jid = await newRoom(alice, [bob])
  const [near, far] = [left.connect(alice), right.connect(bob)]
  for (const stream of [near, far]) await joined(stream, jid)
  await left.drained()
  right.answersPings = false
  const id = sayIn(near, jid, 'x')
  await eventually(() => near.receipts.includes(id) && saidIn(far, jid).includes('x'))
  await delay(300)
  t.ok(left.released < left.last, 'nobody knows yet that the other server has it')
  right.answerPings()
  await left.drained(3000)
  t.strictSame([saidIn(near, jid), saidIn(far, jid)], [['x'], ['x']])
})

test('a replica whose answer got lost is asked again', async (t) => {
  const { newRoom, left, right, second } = await startTwo(t)
  const jid = await newRoom(alice, [bob])
  const [near, far] = [left.connect(alice), right.connect(bob)]
  for (const stream of [near, far]) await joined(stream, jid)
  await left.drained()
  const { bus } = second.deps
  const tell = bus.tell.bind(bus)
  let lost = 0
  bus.tell = (subject, text) => {
    if (!subject.startsWith('rooms.done.') || lost++) tell(subject, text)
  }
  sayIn(near, jid, 'x')
  await left.drained(5000)
  t.ok(lost > 1 && saidIn(far, jid).includes('x'), `${lost} answers`)
})

test('what is said while a server changes hands reaches its streams, which need not join again', async (t) => {
  const { newRoom, left, right, second } = await startTwo(t)
  const jid = await newRoom(alice, [bob])
  const [near, far] = [left.connect(alice), right.connect(bob)]
  for (const stream of [near, far]) await joined(stream, jid)
  t.strictSame([...far.notes.keys()], [`room:${jid}`])
  const closing = second.close()
  for (let n = 0; n < 40; n++) {
    sayIn(near, jid, n)
    await delay(50)
  }
  await closing
  await eventually(() => new Set(saidIn(far, jid)).size === 40)
  await left.drained()
  const once = [...new Set(saidIn(far, jid))]
  t.strictSame(
    once,
    Array.from({ length: 40 }, (_, n) => n),
  )
})

test('streams that missed something while nobody could reach their server are closed, to come back for the history', async (t) => {
  const [here, away] = [await XmppServer.start(), await XmppServer.start()]
  const { newRoom, deps } = await startRooms(t, { servers: [here, away] })
  const jid = await newRoom(alice, [bob, carol])
  await eventually(() => here.connected && away.connected)
  const [speaker, lost, elsewhere] = [here.connect(alice), away.connect(bob), away.connect(carol)]
  for (const stream of [speaker, lost]) await joined(stream, jid)
  const isRefusing = away.refuseConnections()
  const id = sayIn(speaker, jid, 'missed')
  await eventually(() => speaker.receipts.includes(id))
  await here.drained(30_000)
  t.equal(await deps.missedRooms.collection.countDocuments(), 1)
  isRefusing.end()
  await eventually(() => lost.closedWith === 'reset', 20_000)
  t.equal(elsewhere.closedWith, undefined, 'who has not joined has missed nothing')
  await eventually(async () => (await deps.missedRooms.collection.countDocuments()) === 0)
})

test('what is missed once more, while streams are closed for what they had missed, is not forgotten', async (t) => {
  const { deps } = await startRooms(t)
  const { missedRooms } = deps
  await missedRooms.add('xmpp://away', 'a')
  const missed = await missedRooms.of(['xmpp://away'])
  await delay(5)
  await missedRooms.add('xmpp://away', 'a')
  await missedRooms.remove(missed)
  const again = await missedRooms.of(['xmpp://away'])
  t.equal(again.length, 1)
  // Whoever holds the server next closes its streams.
  const feeds = { addresses: ['xmpp://away'], at: () => undefined } as unknown as Deps['feeds']
  await closeMissed({ ...deps, feeds })
  t.equal((await missedRooms.of(['xmpp://away'])).length, 1)
  await missedRooms.remove(again)
  t.strictSame(await missedRooms.of(['xmpp://away']), [])
})

test('while the room service is away what is known counts, and nobody is refused by what is not known', async (t) => {
  const { newRoom, online, rooms, xmpp } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const [known, unknown] = [await online(alice), await online(bob)]
  await joined(known, jid)
  rooms.mode = 'is away'
  const [first, second] = [sayIn(known, jid, 'known'), sayIn(unknown, jid, 'unknown')]
  await eventually(() => known.receipts.includes(first) && unknown.refusals.has(second))
  t.equal(unknown.refusals.get(second), 'resource-constraint')
  rooms.mode = 'answers'
  const again = sayIn(unknown, jid, 'unknown')
  await eventually(() => unknown.receipts.includes(again))
  // Nothing of it counts any more when it was told that something changed.
  const questions = rooms.questions
  await rooms.changeMember(jid, alice, { name: 'A' })
  rooms.mode = 'is away'
  const void_ = sayIn(known, jid, 'void')
  await eventually(() => known.refusals.get(void_) === 'resource-constraint')
  t.ok(rooms.questions > questions)
  rooms.mode = 'answers'
  await xmpp.drained()
})

test('a restart of the message service forgets nobody who has joined', async (t) => {
  const { newRoom, online, xmpp, deps } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const streams = [await online(alice), await online(bob)]
  for (const stream of streams) await joined(stream, jid)
  xmpp.cut()
  await eventually(() => deps.feeds.of(xmpp.name) !== undefined && xmpp.connections > 1)
  sayIn(streams[0]!, jid, 'after')
  await eventually(() => streams.every((stream) => saidIn(stream, jid).includes('after')))
  t.strictSame(
    streams.map((stream) => saidIn(stream, jid)),
    [['after'], ['after']],
  )
})

test('a thousand joins after a login are all answered', async (t) => {
  const { rooms, online, xmpp, deps } = await startRooms(t)
  const jids = Array.from({ length: 1000 }, (_, n) => n.toString(16).padStart(32, '0'))
  rooms.stock(jids, [alice, bob])
  const stream = await online(bob)
  const reads = countFinds(t, deps, 'messages')
  for (const jid of jids) join(stream, jid, `seconds='60'`)
  await eventually(() => stream.received.filter(({ stanza }) => stanza.getChild('subject')).length === 1000, 30_000)
  await xmpp.drained()
  t.equal(stream.notes.size, 1000)
  t.ok(rooms.questions < 100, 'asked together')
  t.ok(reads.count < 100, `${reads.count} reads of the archive`)
})

test('who joins a room together is answered together: one read of its history, one frame for all who get the same', async (t) => {
  const { online, xmpp, rooms, deps } = await startRooms(t)
  await joinsTogether('a'.repeat(32), 20_000_000)
  // Nothing that is known counts: the room service is asked before each answer.
  Object.defineProperty(deps.peers, 'isInTouch', { value: false })
  await joinsTogether('b'.repeat(32), 30_000_000)

  async function joinsTogether(jid: string, firstUser: number) {
    const members = Array.from({ length: 30 }, (_, n) => firstUser + n)
    rooms.stock([jid], [alice, ...members])
    const speaker = await online(alice)
    await joined(speaker, jid)
    for (const content of ['one', 'two', 'three']) sayIn(speaker, jid, content)
    await eventually(() => saidIn(speaker, jid).length === 3)
    const streams = await Promise.all(members.map((user) => online(user)))
    const frames: string[] = []
    let notes = 0
    xmpp.onFrame = ({ name, attrs }) => {
      if (name === 'deliver') frames.push(attrs['to'] ?? '')
      if (name === 'note') notes++
    }
    const reads = countFinds(t, deps, 'messages')
    const { questions } = rooms
    for (const [n, stream] of streams.entries()) join(stream, jid, n % 2 ? `maxstanzas='2'` : `seconds='3600'`)
    await Promise.all(
      streams.map((stream) =>
        eventually(() => stream.received.some(({ stanza }) => stanza.getChild('subject')), 20_000),
      ),
    )
    for (const [n, stream] of streams.entries()) {
      t.strictSame(saidIn(stream, jid), n % 2 ? ['two', 'three'] : ['one', 'two', 'three'])
      const seen = presencesOf(stream, jid)
      t.equal(seen[0]?.nick, String(alice), 'the others come first')
      t.match(seen.at(-1), { nick: String(stream.user), codes: [100, 110] }, 'then the own one')
      t.equal(new Set(seen.map(({ nick }) => nick)).size, seen.length, 'each once')
    }
    // Presence of each who was there and of each who comes, three messages and a subject.
    t.ok(frames.length < 4 * members.length, `${frames.length} frames`)
    await xmpp.drained()
    t.ok(notes < members.length / 2, `${notes} notes`)
    t.ok(streams.every((each) => each.notes.size === 1))
    t.ok(reads.count < 10, `${reads.count} reads of the archive`)
    t.ok(rooms.questions - questions < 10, `${rooms.questions - questions} questions to the room service`)
  }
})

/** Counts how often a collection of the service is read. */
function countFinds(t: Test, { mongoClient, db }: Pick<Deps, 'mongoClient' | 'db'>, collection: string) {
  const counted = { count: 0 }
  const count = ({ databaseName, commandName, command }: CommandStartedEvent) => {
    if (databaseName === db.databaseName && ['find', 'aggregate'].includes(commandName))
      if (command[commandName] === collection) counted.count++
  }
  mongoClient.on('commandStarted', count)
  t.after(() => mongoClient.off('commandStarted', count))
  return counted
}

test('a replica that did not hear of a change, because NATS was out of its reach, does not decide by what it knew', async (t) => {
  const [left, right] = [await XmppServer.start(), await XmppServer.start()]
  const { rooms, newRoom, deps, env, user } = await startRooms(t, { servers: [left] })
  const nats = await slowProxy(t, process.env['NATS_URL']!)
  const second = await startMessage(t, {
    servers: [right],
    user,
    env: { NAMESPACE: env['NAMESPACE']!, ROOM_URL: deps.config.roomUrl, NATS_URL: nats.url },
  })
  t.after(() => right.close())
  const jid = await newRoom(alice, [bob])
  const stream = await second.online(bob, { server: right })
  await joined(stream, jid)
  const before = sayIn(stream, jid, 'in')
  await eventually(() => stream.receipts.includes(before))
  const cut = nats.cut()
  await eventually(() => !second.deps.peers.isInTouch)
  await rooms.remove(jid, bob)
  cut.open()
  await eventually(() => second.deps.peers.isInTouch)
  const after = sayIn(stream, jid, 'out')
  await eventually(() => stream.refusals.has(after) || stream.receipts.includes(after))
  t.equal(stream.refusals.get(after), 'forbidden')
})
