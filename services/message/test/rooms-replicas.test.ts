import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { alice, bob, carol } from './start-message.ts'
import { joined, presencesOf, saidIn, sayIn, startRooms } from './start-rooms.ts'
import { XmppServer } from './xmpp-server.ts'

/** Two replicas, and two servers that are held by different ones. */
async function startTwo(t: Test) {
  const servers = await Promise.all(Array.from({ length: 8 }, () => XmppServer.start()))
  const started = await startRooms(t, { servers, replicas: 2 })
  const [first, second] = started.replicas
  const heldBy = (replica: typeof first) => servers.find(({ name }) => replica?.deps.feeds.of(name))
  await eventually(() => servers.every(({ connected }) => connected))
  const [left, right] = await eventually(() => {
    const pair = [heldBy(first), heldBy(second)]
    return pair[0] && pair[1] && ([pair[0], pair[1]] as const)
  })
  return { ...started, first: first!, second: second!, left, right }
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

test('of 300 messages across an HTTP answer none passes that it forbids, and none is missing that it allows', async (t) => {
  const { newRoom, left, right, rooms, deps } = await startTwo(t)
  const later = Math.floor(Date.now() / 1000) + 600
  const cases = [
    { change: (jid: string, user: number) => rooms.changeMember(jid, user, { talkTime: later }), mayBefore: true },
    { change: (jid: string, user: number) => rooms.remove(jid, user), mayBefore: true },
    { change: (jid: string) => rooms.change(jid, { locked: 1 }), mayBefore: true },
    { change: (jid: string, user: number) => rooms.add(jid, user), mayBefore: false },
  ]
  await Promise.all(
    cases.map(async ({ change, mayBefore }, n) => {
      const user = 10_000_100 + n
      const jid = await newRoom(alice, mayBefore ? [user] : [])
      const [owner, speaker] = [left.connect(alice, { resource: `r${n}` }), right.connect(user)]
      await joined(owner, jid)
      if (mayBefore) await joined(speaker, jid)
      const sent: string[] = []
      const say = () => void sent.push(sayIn(speaker, jid, sent.length))
      let answeredAt = Number.POSITIVE_INFINITY
      const changing = eventually(() => sent.length >= 100).then(async () => {
        await change(jid, user)
        answeredAt = sent.length
        // What comes right behind the answer.
        for (let count = 0; count < 100; count++) say()
      })
      while (sent.length < 200 || sent.length < answeredAt + 150) {
        say()
        await delay(10)
      }
      await changing
      const isAnswered = (id: string) => speaker.receipts.includes(id) || speaker.refusals.has(id)
      await eventually(() => sent.every(isAnswered), 30_000)
      const receipts = new Set(speaker.receipts)
      const wrong = sent.slice(...(mayBefore ? [answeredAt] : [0, 100])).filter((id) => receipts.has(id))
      t.strictSame(wrong, [], `${n}: accepted though forbidden`)
      const right_ = sent.slice(...(mayBefore ? [0, 100] : [answeredAt])).filter((id) => !receipts.has(id))
      t.strictSame(right_, [], `${n}: refused though allowed`)
      const accepted = sent.filter((id) => receipts.has(id))
      const heard = () => owner.messages.filter(({ id }) => sent.includes(id)).map(({ id }) => id)
      await eventually(() => heard().length >= accepted.length)
      await right.drained()
      t.strictSame(heard(), accepted, `${n}: all that was accepted is heard once, in order, and nothing else`)
      const rows = await deps.messages.collection.find({ roomJid: jid, contentType: 1 }).toArray()
      t.strictSame(rows.map(({ messageId }) => messageId).sort(), accepted.toSorted(), `${n}: and kept`)
      const echoes = speaker.messages.filter(({ id }) => sent.includes(id)).map(({ id }) => id)
      t.strictSame(
        echoes.filter((id) => !receipts.has(id)),
        [],
        `${n}: nothing refused is echoed`,
      )
    }),
  )
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
  const { rooms, online, xmpp } = await startRooms(t)
  const jids = Array.from({ length: 1000 }, (_, n) => n.toString(16).padStart(32, '0'))
  rooms.stock(jids, [alice, bob])
  const stream = await online(bob)
  for (const jid of jids)
    stream.send(
      `<presence xmlns='jabber:client' to='${jid}@muc.im.localhost/${bob}'><x xmlns='http://jabber.org/protocol/muc'><history seconds='60'/></x></presence>`,
    )
  await eventually(() => stream.received.filter(({ stanza }) => stanza.getChild('subject')).length === 1000, 30_000)
  await xmpp.drained()
  t.equal(stream.notes.size, 1000)
  t.ok(rooms.questions < 100, 'asked together')
})
