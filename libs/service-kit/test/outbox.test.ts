import { setTimeout as delay } from 'node:timers/promises'
import type { EventEnvelope } from '@im/contracts'
import { messageRecalled } from '@im/contracts/message'
import { userLocked, userUpdated } from '@im/contracts/user'
import {
  connectMongo,
  createOutbox,
  ensureIndexes,
  exactlyOnce,
  isDuplicateKey,
  type Outbox,
  on,
  type Runtime,
} from '@im/service-kit'
import { eventually, ownServer } from '@im/service-kit/testing'
import type { IndexDescription } from 'mongodb'
import { type Test, test } from 'tap'
import { StoreAwayError } from '../src/store-away.ts'
import { handle, ownNamespace, startProcess, startRuntime, update } from './runtime.ts'

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Calls give up sooner: on a busy machine twenty changes of one document may take longer than anybody waits for an answer. */
const patient = 30_000

/** All that a service hears from now on and was announced before, in the order in which it hears of each user. */
async function listen(t: Test, env: Record<string, string>): Promise<EventEnvelope[]> {
  const heard: EventEnvelope[] = []
  const hear = async (_payload: unknown, envelope: EventEnvelope) => heard.push(envelope)
  handle(t, await startRuntime(t, env, 'social'), [on(userUpdated, hear), on(userLocked, hear)])
  return heard
}

const nicknames = (heard: readonly EventEnvelope[]) => heard.map(({ data }) => (data as { nickname: string }).nickname)

const announce = (outbox: Outbox, aggregate: number, nickname: string) =>
  outbox.commit(async (change) => change.announce(userUpdated, String(aggregate), update(aggregate, nickname)))

const isPublished = ({ db }: Runtime) =>
  eventually(async () => (await db.collection('outbox').countDocuments()) === 0, 20_000)

test('a unique index refuses doubles by name, and making indexes again changes nothing', async (t) => {
  const { db } = await startRuntime(t)
  const people = db.collection('people')
  const indexes: IndexDescription[] = [{ key: { telephone: 1 }, unique: true }, { key: { nickname: 1 } }]
  await ensureIndexes(people, indexes)
  await ensureIndexes(people, indexes)
  await people.insertOne({ telephone: '8613', nickname: 'alice' })
  const error = await people.insertOne({ telephone: '8613', nickname: 'bob' }).catch((thrown) => thrown)
  t.ok(isDuplicateKey(error))
  t.ok(isDuplicateKey(error, 'telephone'))
  t.notOk(isDuplicateKey(error, 'nickname'))
  t.notOk(isDuplicateKey(new Error('other')))
})

test('a change and its event become visible together', async (t) => {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  const heard = await listen(t, env)
  const people = runtime.db.collection('people')
  const result = await runtime.outbox.commit(async (change) => {
    await people.insertOne({ userId: 7, nickname: 'alice' }, { session: change.session })
    change.announce(userUpdated, '7', update(7, 'alice'))
    return 'done'
  })
  t.equal(result, 'done')
  await eventually(() => heard.length === 1)
  t.match(heard[0], { data: update(7, 'alice'), aggregate: '7', sequence: Number, id: /^[0-9a-f]{32}$/ })
  t.ok(await people.findOne({ userId: 7 }))
  await isPublished(runtime)
})

test('a change that fails leaves nothing and announces nothing, not even a number', async (t) => {
  const { db, outbox } = await startRuntime(t)
  const failing = outbox.commit(async (change) => {
    await db.collection('people').insertOne({ userId: 8 }, { session: change.session })
    change.announce(userUpdated, '8', update(8, 'bob'))
    throw new Error('no')
  })
  await t.rejects(failing, { message: 'no' })
  for (const name of ['people', 'outbox', 'sequences']) t.equal(await db.collection(name).countDocuments(), 0, name)
})

test("an event that does not fit its schema, is too large or is another service's stops the change", async (t) => {
  const { db, outbox, bus } = await startRuntime(t)
  const people = db.collection('people')
  const failing = (announceWrongly: Parameters<Outbox['commit']>[0]) =>
    outbox.commit(async (change) => {
      await people.insertOne({ userId: 8 }, { session: change.session })
      await announceWrongly(change)
    })
  await t.rejects(
    failing(async (change) => change.announce(userUpdated, '8', { userId: 'x' } as never)),
    { message: /user\.updated\.v1 does not fit its schema/ },
  )
  const large = 'x'.repeat(bus.maxEventBytes)
  await t.rejects(
    failing(async (change) => change.announce(userUpdated, '8', update(8, large))),
    { message: /user\.updated\.v1 has \d+ bytes; NATS takes \d+/ },
  )
  const recalled = { conversation: '', messageIds: [], by: 8, at: 1 }
  await t.rejects(
    failing(async (change) => change.announce(messageRecalled, '8', recalled)),
    { message: /announced by message, not by user/ },
  )
  t.equal(await people.countDocuments(), 0)
  await failing(async (change) => change.announce(userUpdated, '8', update(8, large.slice(1000))))
  await eventually(async () => (await db.collection('outbox').countDocuments()) === 0)
})

test('changes of the same document at the same time are tried again until each is done', async (t) => {
  const { db, outbox } = await startRuntime(t)
  const counters = db.collection<{ _id: string; value: number }>('counters')
  await counters.insertOne({ _id: 'a', value: 0 })
  const one = () =>
    outbox.commit(async ({ session }) => {
      const { value = 0 } = (await counters.findOne({ _id: 'a' }, { session })) ?? {}
      await counters.updateOne({ _id: 'a' }, { $set: { value: value + 1 } }, { session })
    }, patient)
  await Promise.all(Array.from({ length: 20 }, one))
  t.equal((await counters.findOne({ _id: 'a' }))?.value, 20)
})

test('events of one user come in the order of their changes, whoever commits them, several at once too', async (t) => {
  const env = ownNamespace(t)
  const replicas = [await startRuntime(t, env), await startRuntime(t, env)]
  const heard = await listen(t, env)
  const tallies = replicas[0]!.db.collection<{ _id: number; value: number }>('tallies')
  const people = [1, 2, 3, 4]
  await tallies.insertMany(people.map((_id) => ({ _id, value: 0 })))
  const raise = async ({ outbox, db }: Runtime, userId: number) =>
    outbox.commit(async (change) => {
      const tally = await db
        .collection<{ _id: number; value: number }>('tallies')
        .findOneAndUpdate({ _id: userId }, { $inc: { value: 1 } }, { session: change.session, returnDocument: 'after' })
      change.announce(userUpdated, String(userId), update(userId, String(tally?.value)))
      change.announce(userLocked, String(userId), { userId, locked: true, at: 1 })
    }, patient)
  await Promise.all(people.flatMap((userId) => numbers(10).map((n) => raise(replicas[n % 2]!, userId))))
  await eventually(() => heard.length === 80, 20_000)
  for (const userId of people) {
    const ofUser = heard.filter(({ aggregate }) => aggregate === String(userId))
    const sequences = ofUser.map(({ sequence }) => sequence)
    t.strictSame(
      sequences,
      [...new Set(sequences)].sort((a, b) => a - b),
    )
    t.strictSame(
      nicknames(ofUser.filter(({ name }) => name === userUpdated.name)),
      numbers(10).map((n) => String(n + 1)),
    )
  }
})

test('the order holds when the clock of a replica is wrong, and more events wait than are relayed at once', async (t) => {
  const env = ownNamespace(t)
  const { NAMESPACE: namespace = '', MONGODB_URL: url = '' } = env
  const { db, client, close } = await connectMongo({ url, namespace, service: 'user' })
  t.after(close)
  const bus = { service: 'user', maxEventBytes: 1_000_000 }
  // Nobody relays yet.
  const outbox = await createOutbox({ db, client, bus, wake() {} })
  const ahead = await createOutbox({ db, client, bus, wake() {} })
  const now = Date.now
  t.teardown(() => {
    Date.now = now
  })
  await announce(outbox, 1, 'first')
  Date.now = () => now() + 3_600_000
  await announce(ahead, 1, 'second')
  Date.now = now
  await announce(outbox, 1, 'third')
  // More than are relayed at once: by the clock the third is among the oldest, and the second is the last of all.
  await outbox.commit(async (change) => {
    for (const n of numbers(700)) change.announce(userUpdated, String(n + 2), update(n + 2))
  })
  const heard = await listen(t, env)
  await startRuntime(t, env)
  await eventually(() => heard.length === 703, 20_000)
  t.strictSame(nicknames(heard.filter(({ aggregate }) => aggregate === '1')), ['first', 'second', 'third'])
})

test('two replicas that announce events of one user in turns seldom run a change twice, and give each number once', async (t) => {
  const env = ownNamespace(t)
  const { db, bus } = await startRuntime(t, env)
  const heard = await listen(t, env)
  const { client } = db
  const replicas = await Promise.all(numbers(2).map(() => createOutbox({ db, client, bus, wake() {} })))
  let runs = 0
  const announceBy = (replica: number, n: number) =>
    replicas[replica]!.commit(async (change) => {
      runs++
      change.announce(userUpdated, '7', update(7, String(n)))
    }, patient)
  for (const n of numbers(20)) await announceBy(n % 2, n)
  t.ok(runs <= 22, `${runs} runs`)
  await Promise.all(numbers(20).map((n) => announceBy(n % 2, n)))
  await eventually(() => heard.length === 40, 20_000)
  t.ok(heard.every(({ sequence }, n) => n === 0 || sequence > heard[n - 1]!.sequence))
  t.strictSame(nicknames(heard).slice(0, 20), numbers(20).map(String))
})

test('an event that could not be published comes later, and before those of its user that follow it', async (t) => {
  const env = ownNamespace(t)
  const { outbox, bus } = await startRuntime(t, env)
  const heard = await listen(t, env)
  const { publish } = bus
  let failures = 3 // as many tries as what NATS refuses has
  bus.publish = async (envelope, ...rest) => {
    if (failures && nicknames([envelope])[0] === 'first') {
      failures--
      throw new StoreAwayError('NATS', 'away')
    }
    await publish(envelope, ...rest)
  }
  await outbox.commit(async (change) => {
    for (const nickname of ['first', 'second']) change.announce(userUpdated, '1', update(1, nickname))
  })
  await eventually(() => heard.length === 2)
  t.equal(failures, 0)
  t.strictSame(nicknames(heard), ['first', 'second'])
})

test('a relay that stood still while it published leaves the rest to whoever relays now', async (t) => {
  const env = ownNamespace(t)
  const { outbox, bus, replicas } = await startRuntime(t, env)
  const heard = await listen(t, env)
  const { publish } = bus
  let published = 0
  bus.publish = async (...event) => {
    await publish(...event)
    if (++published === 1) Object.defineProperty(replicas, 'isAlive', { configurable: true, value: false })
  }
  await outbox.commit(async (change) => {
    for (const nickname of ['first', 'second']) change.announce(userUpdated, '1', update(1, nickname))
  })
  await eventually(() => heard.length === 1)
  await delay(100)
  t.equal(published, 1)
  delete (replicas as { isAlive?: boolean }).isAlive
  await eventually(() => heard.length === 2)
  t.strictSame(nicknames(heard), ['first', 'second'])
})

test('rows that can never be published are set aside and hold up neither their user nor others', async (t) => {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  const { db, outbox, metrics } = runtime
  const heard = await listen(t, env)
  // As a release could leave them whose event was deleted since.
  const row = { stream: 'user', name: 'nobody.came.v1', at: 1, sequence: 0, data: {} }
  const rows = numbers(600).map((n) => ({ ...row, _id: `poison${n}` as never, aggregate: String(n) }))
  await db.collection('outbox').insertMany(rows)
  for (const userId of [1, 2, 3]) await announce(outbox, userId, 'good')
  await eventually(() => heard.length === 3, 20_000)
  await isPublished(runtime)
  t.equal(await db.collection('outbox_parked').countDocuments(), 600)
  t.match(await metrics.metrics(), /im_outbox_parked_total\{event="nobody\.came\.v1",service="user"\} 600/)
})

test('rows that are larger than NATS takes by now are set aside and hold up nobody', async (t) => {
  const { db, outbox, bus } = await startRuntime(t)
  const row = { stream: 'user', name: userUpdated.name, at: 1, aggregate: '1' }
  const rows = numbers(600).map((n) => ({ ...row, _id: `n${n}` as never, sequence: n + 1, data: update(1) }))
  const large = { ...row, _id: 'large' as never, sequence: 0, data: update(1, 'x'.repeat(bus.maxEventBytes + 2000)) }
  await db.collection('outbox').insertMany([large, ...rows])
  await announce(outbox, 2, 'good')
  await eventually(async () => (await db.collection('outbox').countDocuments()) === 0, 20_000)
  t.equal(await db.collection('outbox_parked').countDocuments(), 1)
})

test('who announces much does not make others wait', async (t) => {
  const env = ownNamespace(t)
  const { NAMESPACE: namespace = '', MONGODB_URL: url = '' } = env
  const { db, client, close } = await connectMongo({ url, namespace, service: 'user' })
  t.after(close)
  // Nobody relays yet.
  const outbox = await createOutbox({ db, client, bus: { service: 'user', maxEventBytes: 1_000_000 }, wake() {} })
  await outbox.commit(async (change) => {
    for (const n of numbers(3000)) change.announce(userUpdated, '1', update(1, String(n)))
  })
  await announce(outbox, 2, 'good')
  const heard = await listen(t, env)
  await startRuntime(t, env)
  await eventually(() => heard.length === 3001, 20_000)
  t.strictSame(nicknames(heard.filter(({ aggregate }) => aggregate === '1')), numbers(3000).map(String))
})

test('the numbers of a database that was restored from a backup are new', async (t) => {
  const env = ownNamespace(t)
  const { db, outbox } = await startRuntime(t, env)
  const social = await startRuntime(t, env, 'social')
  const heard: string[] = []
  handle(t, social, [exactlyOnce(userUpdated, async ({ nickname }) => heard.push(nickname))])
  await announce(outbox, 1, 'a')
  const backup = await db.collection('sequences').find().toArray()
  await announce(outbox, 1, 'b')
  const startedAt = Date.now()
  await announce(outbox, 1, 'c')
  await eventually(() => heard.length === 3)
  const given = await db.collection<{ last: number }>('sequences').findOne()
  t.ok(given!.last >= startedAt, 'they follow the time, also where the last one is not asked for')
  await db.collection('sequences').deleteMany({})
  await db.collection('sequences').insertMany(backup)
  await announce(outbox, 1, 'd')
  t.ok(await eventually(() => heard.includes('d')))
})

test('a stream that takes nothing holds up no other', async (t) => {
  const env = ownNamespace(t)
  const { db, outbox } = await startRuntime(t, env, 'message')
  // No stream of that name: what is published there is stored by nobody.
  const row = { stream: 'message', name: 'user.updated.v1', at: 1, data: {} }
  const rows = numbers(600).map((n) => ({ ...row, _id: `stuck${n}` as never, aggregate: String(n), sequence: 1 }))
  await db.collection('outbox').insertMany(rows)
  const { presenceChanged } = await import('@im/contracts/message')
  await outbox.commit(async (change) => change.announce(presenceChanged, '1', { userId: 1, online: true, at: 1 }))
  await eventually(async () => (await db.collection('outbox').countDocuments({ stream: 'presence' })) === 0)
  t.equal(await db.collection('outbox').countDocuments({ stream: 'message' }), 600, 'they wait: they are not at fault')
})

test('a commit has the relay look for events of its own streams only', async (t) => {
  const runtime = await startRuntime(t, ownNamespace(t), 'message')
  const { presenceChanged } = await import('@im/contracts/message')
  const announce = async (userId: number) => {
    await runtime.outbox.commit(async (change) =>
      change.announce(presenceChanged, String(userId), { userId, online: true, at: 1 }),
    )
    await isPublished(runtime)
  }
  await announce(1)
  const looks = { presence: 0, message: 0 }
  runtime.mongoClient.on('commandStarted', ({ commandName, command }) => {
    if (commandName === 'find' && command['find'] === 'outbox') looks[command['filter'].stream as keyof typeof looks]++
  })
  const before = performance.now()
  for (const n of numbers(20)) await announce(n + 2)
  t.ok(looks.presence >= 20)
  // Each stream is looked at once a second all the same.
  t.ok(looks.message <= 2 + (performance.now() - before) / 1000, `${looks.message} looks`)
})

test('a service that announces nothing takes no lease', async (t) => {
  const { mongoClient } = await startRuntime(t, ownNamespace(t), 'push')
  const collections: string[] = []
  mongoClient.on('commandStarted', ({ commandName, command }) => collections.push(String(command[commandName])))
  await eventually(() => collections.filter((name) => name === 'replicas').length >= 3)
  t.notOk(collections.includes('leases'))
})

test('events flow without Redis', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const env = ownNamespace(t, { REDIS_URL: server.url })
  const { outbox } = await startRuntime(t, env)
  const heard = await listen(t, env)
  await server.kill()
  await announce(outbox, 1, 'a')
  await eventually(() => heard.length === 1)
  await server.start()
  server.freeze()
  await announce(outbox, 1, 'b')
  await eventually(() => heard.length === 2)
  t.strictSame(nicknames(heard), ['a', 'b'])
})

for (const signal of ['SIGKILL', 'SIGSTOP'] as const)
  test(`a relay that gets ${signal} loses nothing and has nothing handled twice or out of order`, async (t) => {
    const env = ownNamespace(t)
    const child = await startProcess(t, 'announcing-process.ts', env, '300')
    child.kill(signal)
    const runtime = await startRuntime(t, env)
    const { db } = runtime
    const heard = db.collection<{ userId: number; nickname: string }>('heard')
    await db.createCollection('heard')
    handle(t, runtime, [
      exactlyOnce(userUpdated, async ({ userId, nickname }, { session }) => {
        await heard.insertOne({ userId, nickname }, { session })
      }),
    ])
    // Who stood still goes on with what it had in hand, while the other relays.
    await eventually(async () => (await heard.countDocuments()) >= 60, 20_000)
    child.kill('SIGCONT')
    const committed = () => db.collection('people').countDocuments()
    await eventually(async () => signal === 'SIGKILL' || (await committed()) === 300, 20_000)
    await eventually(async () => (await heard.countDocuments()) >= (await committed()), 20_000)
    await isPublished(runtime)
    t.ok((await committed()) > 0)
    t.equal(await heard.countDocuments(), await committed())
    for (const userId of [1, 2, 3, 4, 5]) {
      const ofUser = (await heard.find({ userId }).sort({ _id: 1 }).toArray()).map(({ nickname }) => Number(nickname))
      t.strictSame(
        ofUser,
        [...ofUser].sort((a, b) => a - b),
      )
    }
  })
