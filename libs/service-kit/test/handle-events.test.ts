import { setTimeout as delay } from 'node:timers/promises'
import { ContractError, type EventEnvelope, streams } from '@im/contracts'
import { presenceChanged } from '@im/contracts/message'
import { configChanged, userLocked, userUpdated } from '@im/contracts/user'
import { exactlyOnce, handleEvents, on, onMany, type Runtime } from '@im/service-kit'
import { eventually, slowProxy } from '@im/service-kit/testing'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { type Test, test } from 'tap'
import { natsServers } from '../src/events/nats-servers.ts'
import { subjectOf } from '../src/events/partition.ts'
import { Shards } from '../src/events/shards.ts'
import { envelope, handle, ownNamespace, startProcess, startRuntime, update } from './runtime.ts'

async function nats(t: Test, env: Record<string, string>) {
  const connection = await connect(natsServers(env['NATS_URL'] ?? ''))
  t.after(() => connection.close())
  return connection
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Publishes events about users 1 to `users`, those up to number `last` about each of them, their numbers as nicknames. */
async function publishUpdates({ bus }: Runtime, users: number, last: number, first = 1): Promise<void> {
  for (let sequence = first; sequence <= last; sequence++)
    await Promise.all(
      numbers(users).map((n) => bus.publish(envelope(n + 1, { sequence, data: update(n + 1, String(sequence)) }))),
    )
}

test('events come in order, and one published twice comes once', async (t) => {
  const runtime = await startRuntime(t)
  const { bus } = runtime
  const heard: number[] = []
  const about = (sequence: number) => envelope(7, { sequence })
  await bus.publish(about(1))
  handle(t, runtime, [on(userUpdated, async (_payload, { sequence }) => heard.push(sequence))])
  for (let n = 2; n < 50; n++) await bus.publish(about(n))
  await bus.publish(about(7))
  await bus.publish(about(50))
  await eventually(() => heard.length >= 50)
  t.strictSame(
    heard,
    numbers(50).map((n) => n + 1),
  )
})

for (const make of [on, exactlyOnce] as const)
  test(`${make.name}: events of one user keep their order across names, also when the first can't be handled at once`, async (t) => {
    const runtime = await startRuntime(t)
    const heard: string[] = []
    let left = 2
    handle(t, runtime, [
      make(userLocked, async () => {
        if (left-- > 0) throw new Error('not yet')
        heard.push('locked')
      }),
      make(userUpdated, async () => heard.push('updated')),
    ])
    const data = { userId: 7, locked: true, at: 1 }
    await runtime.bus.publish({ ...envelope(7), id: 'lock', name: userLocked.name, data } as EventEnvelope)
    await runtime.bus.publish(envelope(7, { sequence: 2 }))
    await eventually(() => heard.length === 2)
    t.strictSame(heard, ['locked', 'updated'])
  })

for (const make of [on, exactlyOnce] as const)
  test(`${make.name}: a poison event is put aside after its tries; those before and behind it are handled once`, async (t) => {
    const env = ownNamespace(t)
    const runtime = await startRuntime(t, env)
    const { db, bus, metrics } = runtime
    const heard: number[] = []
    const handled = db.collection('handled')
    const about = (sequence: number) => bus.publish(envelope(7, { sequence }))
    for (const n of [1, 2, 3, 4]) await about(n)
    handle(t, runtime, [
      make(
        userUpdated,
        async (_payload: unknown, second: unknown, third?: unknown) => {
          const { sequence } = (make === on ? second : third) as EventEnvelope
          heard.push(sequence)
          const session = make === on ? undefined : (second as { session: never }).session
          await handled.insertOne({ sequence }, { session })
          if (sequence === 3) throw new Error('poison')
        },
        { attempts: 3 },
      ),
    ])
    await eventually(() => heard.includes(4))
    t.equal(heard.filter((sequence) => sequence === 3).length, make === on ? 3 : 4, 'once in the batch, and alone')
    const dead = await (await jetstreamManager(await nats(t, env))).streams.getMessage(`${env['NAMESPACE']}_dead`, {
      last_by_subj: `${env['NAMESPACE']}.dead.user.${userUpdated.name}`,
    })
    t.equal(dead?.json<EventEnvelope>().id, 'e7-3')
    t.match(await metrics.metrics(), /im_events_handled_total\{event="user\.updated\.v1",outcome="dead",.*\} 1/)
    if (make === on) return
    const rows = await eventually(async () => {
      const found = await handled.find().sort({ sequence: 1 }).toArray()
      return found.length >= 3 && found
    })
    t.strictSame(
      rows.map(({ sequence }) => sequence),
      [1, 2, 4],
    )
  })

test('a dead letter that is published again where it came from is handled, unless a later event of its aggregate was', async (t) => {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  const heard: string[] = []
  let isMended = false
  const hear = async ({ userId }: { userId: number }, _change: unknown, { sequence }: EventEnvelope) => {
    if (sequence === 1 && !isMended) throw new Error('poison')
    heard.push(`${userId}-${sequence}`)
  }
  handle(t, runtime, [exactlyOnce(userUpdated, hear, { attempts: 2 })])
  const lost = [envelope(7, { sequence: 1 }), envelope(8, { sequence: 1 })]
  for (const event of [...lost, envelope(8, { sequence: 2 })]) await runtime.bus.publish(event)
  await eventually(async () => {
    const dead = /outcome="dead",.*\} 2/.test(await runtime.metrics.metrics())
    return dead && heard.includes('8-2')
  })
  isMended = true
  const operator = await nats(t, env)
  // As `nats pub SUBJECT PAYLOAD` does it: without the header by which NATS knows what it had.
  for (const event of lost.toReversed()) operator.publish(subjectOf(env['NAMESPACE']!, event), JSON.stringify(event))
  t.ok(await eventually(() => heard.includes('7-1')))
  await runtime.bus.publish(envelope(8, { sequence: 3 }))
  t.ok(await eventually(() => heard.includes('8-3')))
  t.strictSame(heard, ['8-2', '7-1', '8-3'])
})

test('onMany: what stands one behind the other comes together, in order; a poison event among it is put aside alone', async (t) => {
  const runtime = await startRuntime(t)
  const heard: string[] = []
  const tried: number[] = []
  for (const sequence of [1, 2, 3, 4, 5]) await runtime.bus.publish(envelope(7, { sequence }))
  const data = { userId: 7, locked: true, at: 1 }
  await runtime.bus.publish({ ...envelope(7), id: 'lock', name: userLocked.name, data } as EventEnvelope)
  await runtime.bus.publish(envelope(7, { sequence: 6 }))
  const take = async (events: readonly EventEnvelope[]) => {
    const sequences = events.map(({ sequence }) => sequence)
    if (sequences.includes(3)) tried.push(sequences.length)
    if (sequences.includes(3)) throw new Error('poison')
    heard.push(sequences.join(' '))
  }
  handle(t, runtime, [onMany(userUpdated, take, { attempts: 2 }), on(userLocked, async () => heard.push('locked'))])
  await eventually(() => heard.includes('6'))
  t.strictSame(heard, ['1', '2', '4 5', 'locked', '6'])
  // How many come at first is up to the network.
  const [together, alone] = [tried.slice(0, -2), tried.slice(-2)]
  t.match(together.join(), /^(5,)?(4,)?3$/)
  t.strictSame(alone, [1, 1], 'the fault of one is no fault of those before it')
  t.match(await runtime.metrics.metrics(), /outcome="dead",.*\} 1/)
})

for (const make of [on, exactlyOnce] as const)
  test(`${make.name}: an event whose handler never ends is put aside, and those behind it are handled`, async (t) => {
    const runtime = await startRuntime(t)
    const heard: number[] = []
    const hear = async ({ nickname }: { nickname: string }) => {
      if (nickname === 'hangs') await new Promise(() => {})
      heard.push(Number(nickname))
    }
    for (const [n, nickname] of ['1', 'hangs', '3'].entries())
      await runtime.bus.publish(envelope(7, { sequence: n + 1, data: update(7, nickname) }))
    handle(t, runtime, [make(userUpdated, hear, { attempts: 2, timeoutMs: 200 })])
    await eventually(() => heard.includes(3))
    t.match(await runtime.metrics.metrics(), /outcome="dead",.*\} 1/)
  })

test('while a store or another service is away an event waits and is never put aside; other users do not wait', async (t) => {
  const runtime = await startRuntime(t)
  let tries = 0
  const heard: number[] = []
  handle(t, runtime, [
    on(
      userUpdated,
      async ({ userId }) => {
        if (userId === 1 && ++tries < 6) throw new ContractError('ServiceUnavailable')
        heard.push(userId)
      },
      { attempts: 1 },
    ),
  ])
  for (const userId of numbers(20)) await runtime.bus.publish(envelope(userId + 1))
  await eventually(() => heard.length === 20)
  t.equal(tries, 6)
  t.ok(heard.indexOf(1) > 10, 'those in other partitions came first')
})

test('what is no event is put aside and stops nothing', async (t) => {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  const heard = runtime.db.collection('heard')
  const publish = jetstream(await nats(t, env))
  for (let partition = 0; partition < 8; partition++)
    for (const text of ['no JSON', '1', 'null', '{}'])
      await publish.publish(`${env['NAMESPACE']}.user.${partition}.${userUpdated.name}`, text)
  handle(t, runtime, [exactlyOnce(userUpdated, ({ userId }, { session }) => heard.insertOne({ userId }, { session }))])
  for (const userId of numbers(20)) await runtime.bus.publish(envelope(userId + 1))
  t.ok(await eventually(async () => (await heard.countDocuments()) === 20))
})

test('replicas share the partitions: each event goes to one of them, in the order of its user, while they come and go', async (t) => {
  const env = ownNamespace(t)
  const [first, second] = [await startRuntime(t, env), await startRuntime(t, env)]
  const heard = first.db.collection<{ userId: number; nickname: string; by: string }>('heard')
  await first.db.createCollection('heard')
  const record = (by: string, { db }: Runtime) =>
    exactlyOnce(userUpdated, ({ userId, nickname }, { session }) =>
      db.collection('heard').insertOne({ userId, nickname, by }, { session }),
    )
  handle(t, first, [record('first', first)])
  const leaving = handle(t, second, [record('second', second)])
  await eventually(async () => (await first.db.collection('event_shards').distinct('owner')).length === 2)
  let published = 0
  let isShared = false
  const publishing = (async () => {
    while (!isShared) {
      await publishUpdates(first, 20, published + 20, published + 1)
      published += 20
      // There is always something to do, and never much.
      await eventually(async () => (await heard.countDocuments()) > 20 * published - 800, 60_000)
    }
  })()
  const countOf = (by: string) => heard.countDocuments({ by })
  await eventually(async () => (await countOf('first')) > 100 && (await countOf('second')) > 100, 60_000).finally(
    () => {
      isShared = true
    },
  )
  await leaving.close()
  await second.close()
  await publishing
  await eventually(async () => (await heard.countDocuments()) >= 20 * published, 60_000)
  for (const n of numbers(20)) {
    const rows = await heard
      .find({ userId: n + 1 })
      .sort({ _id: 1 })
      .toArray()
    t.strictSame(
      rows.map(({ nickname }) => nickname),
      numbers(published).map((sequence) => String(sequence + 1)),
    )
  }
})

test('while replicas of two builds run, each event is handled, whatever streams a build knows', async (t) => {
  const env = ownNamespace(t)
  const { bus } = await startRuntime(t, env)
  const { bus: messageBus } = await startRuntime(t, env, 'message')
  const heard = new Set<string>()
  const hearUsers = on(userUpdated, async ({ userId }) => heard.add(`user ${userId}`))
  const hearPresences = on(presenceChanged, async ({ userId }) => heard.add(`presence ${userId}`))
  const [before, after] = [await startRuntime(t, env, 'social'), await startRuntime(t, env, 'social')]
  handle(t, before, [hearUsers])
  handle(t, after, [on(configChanged, async () => {}), hearPresences, hearUsers])
  await eventually(async () => (await before.db.collection('event_shards').distinct('owner')).length === 2)
  for (const n of numbers(30)) {
    await bus.publish(envelope(n))
    const data = { userId: n, online: true, at: 1 }
    await messageBus.publish({ ...envelope(n), id: `p${n}`, name: presenceChanged.name, data } as EventEnvelope)
  }
  t.ok(await eventually(() => heard.size === 60))
})

test('a long transaction gets through beside short ones that write the same', async (t) => {
  const runtime = await startRuntime(t)
  const tallies = runtime.db.collection<{ _id: string; value: number }>('tallies')
  await tallies.insertOne({ _id: 'a', value: 0 })
  await Promise.all(numbers(40).map((n) => runtime.bus.publish(envelope(1, { sequence: n + 1 }))))
  const events = new WeakMap<object, number>()
  handle(t, runtime, [
    exactlyOnce(userUpdated, async (_payload, { session }, { sequence }) => {
      // Meanwhile the others arrive, and come in long transactions.
      if (sequence === 1) await delay(500)
      const count = (events.get(session) ?? 0) + 1
      events.set(session, count)
      if (sequence % 20 !== 0) return
      // In the time of five events somebody else has written it.
      if (count > 5) await tallies.updateOne({ _id: 'a' }, { $inc: { value: 1 } })
      await tallies.updateOne({ _id: 'a' }, { $inc: { value: 1_000_000 } }, { session })
    }),
  ])
  t.ok(await eventually(async () => ((await tallies.findOne())?.value ?? 0) >= 2_000_000, 20_000))
})

test('handlers that could not all keep their promise are refused', async (t) => {
  const runtime = await startRuntime(t)
  const once = exactlyOnce(userUpdated, async () => {})
  const often = on(userUpdated, async () => {})
  const projection = { name: 'x', stream: streams.social }
  for (const [handlers, message] of [
    [[once, once], /two handlers/],
    [[often, often], /two handlers/],
    [[once, often], /two handlers/],
    [[exactlyOnce(userUpdated, async () => {}, { projection })], /not in the stream of x/],
  ] as const)
    t.throws(() => handleEvents(runtime, handlers), { message })
})

test('reading goes on soon after somebody deleted the consumers, or the stream', async (t) => {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  const heard: number[] = []
  handle(t, runtime, [on(userUpdated, async ({ userId }) => heard.push(userId))])
  await runtime.bus.publish(envelope(1))
  await eventually(() => heard.includes(1))
  const manager = await jetstreamManager(await nats(t, env))
  const stream = `${env['NAMESPACE']}_user`
  for await (const { name } of manager.consumers.list(stream)) await manager.consumers.delete(stream, name)
  await runtime.bus.publish(envelope(2))
  await eventually(() => heard.includes(2), 12_000)
  await manager.streams.delete(stream)
  await eventually(() => runtime.bus.publish(envelope(3)).then(() => true))
  t.ok(await eventually(() => heard.includes(3), 12_000))
})

test('two services each hear every event; one may be there before the stream is', async (t) => {
  const env = ownNamespace(t)
  const heard: string[] = []
  for (const service of ['social', 'room'])
    handle(t, await startRuntime(t, env, service), [
      on(userUpdated, async ({ userId }) => heard.push(`${service} ${userId}`)),
    ])
  const { bus } = await startRuntime(t, env)
  await bus.publish(envelope(1))
  await bus.publish(envelope(2))
  await eventually(() => heard.length === 4)
  t.strictSame(heard.sort(), ['room 1', 'room 2', 'social 1', 'social 2'])
})

test('a service reads on where it stopped', async (t) => {
  const env = ownNamespace(t)
  const { bus } = await startRuntime(t, env)
  const heard: number[] = []
  for (const userId of [1, 2, 3]) {
    await bus.publish(envelope(userId))
    const social = await startRuntime(t, env, 'social')
    const handling = handle(t, social, [on(userUpdated, async (payload) => heard.push(payload.userId))])
    await eventually(() => heard.includes(userId))
    await handling.close()
    await social.close()
  }
  t.strictSame(heard, [1, 2, 3])
})

test('how far events were handled is stored soon, also when no other follows', async (t) => {
  const runtime = await startRuntime(t)
  const shards = runtime.db.collection<{ position?: { sequence: number } }>('event_shards')
  const heard: number[] = []
  handle(t, runtime, [on(userUpdated, async (_payload, { sequence }) => heard.push(sequence))])
  const stored = async () => (await shards.find().toArray()).map(({ position }) => position?.sequence ?? 0)
  for (const last of [3, 5, 6]) {
    for (let n = heard.length + 1; n <= last; n++) await runtime.bus.publish(envelope(7, { sequence: n }))
    t.ok(await eventually(async () => Math.max(...(await stored())) === last, 2000))
  }
  t.equal(heard.length, 6)
})

test('an event in the hands of a replica that is killed is handled by another within seconds, once', async (t) => {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  await publishUpdates(runtime, 3, 2)
  const child = await startProcess(t, 'handling-process.ts', env, 'child', '60000')
  await child.killHard()
  const heard = runtime.db.collection('heard')
  handle(t, runtime, [
    exactlyOnce(userUpdated, async ({ userId, nickname }, { session }) => {
      await heard.insertOne({ userId, nickname, by: 'parent' }, { session })
    }),
  ])
  const startedAt = Date.now()
  await eventually(async () => (await heard.countDocuments()) >= 6, 8000)
  t.ok(Date.now() - startedAt < 6000)
  t.equal(await heard.countDocuments({ by: 'parent' }), 6)
})

test('a replica that alone lost NATS leaves its partitions to the others, and takes its share when it is back', async (t) => {
  const env = ownNamespace(t)
  const proxy = await slowProxy(t, env['NATS_URL'] ?? '')
  const [staying, lonely] = [await startRuntime(t, env), await startRuntime(t, { ...env, NATS_URL: proxy.url })]
  const heard = new Map<string, string>()
  for (const [by, runtime] of Object.entries({ staying, lonely }))
    handle(t, runtime, [on(userUpdated, async ({ userId, nickname }) => void heard.set(`${userId} ${nickname}`, by))])
  const owners = async () => (await staying.db.collection('event_shards').distinct('owner')).length
  await eventually(async () => (await owners()) === 2)
  const cut = proxy.cut()
  t.after(() => cut.open())
  await publishUpdates(staying, 20, 1)
  await eventually(() => heard.size === 20, 30_000)
  cut.open()
  await eventually(async () => (await owners()) === 2, 30_000)
  await publishUpdates(staying, 20, 2, 2)
  await eventually(() => heard.size === 40)
  t.ok([...heard].some(([update, by]) => update.endsWith(' 2') && by === 'lonely'))
})

test('a replica that stands still loses its partitions, and what it was writing counts for nothing', async (t) => {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  await publishUpdates(runtime, 8, 3)
  const child = await startProcess(t, 'handling-process.ts', env, 'child', '300')
  child.kill('SIGSTOP')
  const heard = runtime.db.collection('heard')
  handle(t, runtime, [
    exactlyOnce(userUpdated, async ({ userId, nickname }, { session }) => {
      await heard.insertOne({ userId, nickname, by: 'parent' }, { session })
    }),
  ])
  await eventually(async () => (await heard.countDocuments()) >= 24, 20_000)
  child.kill('SIGCONT')
  // Both are alive now, and share.
  for (const userId of numbers(8))
    await runtime.bus.publish(envelope(userId + 1, { sequence: 4, data: update(userId + 1, '4') }))
  await eventually(async () => (await heard.countDocuments()) >= 32, 20_000)
  await delay(1000)
  for (const userId of numbers(8)) {
    const rows = await heard.find({ userId: userId + 1 }).toArray()
    t.strictSame(rows.map(({ nickname }) => nickname).sort(), ['1', '2', '3', '4'])
  }
})

test('of several replicas that take partitions over at once one gets each', async (t) => {
  const { db } = await startRuntime(t)
  const replicas = numbers(10).map((n) => new Shards(db, String(n)))
  const gone = new Shards(db, 'gone')
  await gone.take([{ id: 'a', from: undefined }])
  await gone.move('a', { stream: 's', sequence: 7 })
  const free = [
    { id: 'a', from: 'gone' },
    { id: 'b', from: undefined },
  ]
  const taken = await Promise.all(replicas.map((shards) => shards.take(free)))
  t.strictSame(taken.flatMap((ids) => [...ids.keys()]).sort(), ['a', 'b'])
  t.equal(taken.map((ids) => ids.get('a')).find(Boolean)?.position?.sequence, 7, 'it reads on')
})

test('what was handled while the partition went to another replica is not committed', async (t) => {
  const runtime = await startRuntime(t)
  const { db, bus } = runtime
  const heard = db.collection<{ attempt: number }>('heard')
  await db.createCollection('heard')
  let attempt = 0
  handle(t, runtime, [
    exactlyOnce(userUpdated, async (_payload, { session }) => {
      await heard.insertOne({ attempt: ++attempt }, { session })
      // As by a replica that took this one for gone.
      if (attempt === 1) await db.collection('event_shards').updateMany({}, { $set: { owner: 'another' } })
    }),
  ])
  await bus.publish(envelope(1))
  await eventually(async () => (await heard.countDocuments()) > 0)
  t.strictSame(
    (await heard.find().toArray()).map((row) => row.attempt),
    [3],
    'the first meets the change of the owner, the second is not the owner any more, the third is again',
  )
})

test('exactly once: neither the same event nor an older one of the user is handled after it, however often it is published', async (t) => {
  const runtime = await startRuntime(t)
  const { db, bus, metrics } = runtime
  const names = db.collection<{ _id: number; nickname: string; changes: number }>('names')
  // These come in one transaction.
  for (const id of ['x', 'x again']) await bus.publish(envelope(2, { id }))
  handle(t, runtime, [
    exactlyOnce(userUpdated, async ({ userId, nickname }, { session }) => {
      await names.updateOne({ _id: userId }, { $set: { nickname }, $inc: { changes: 1 } }, { session, upsert: true })
    }),
  ])
  const publish = (id: string, sequence: number) =>
    bus.publish(envelope(1, { id, sequence, data: update(1, `name ${sequence}`) }))
  await publish('a', 1)
  await publish('b', 2)
  // What follows is another transaction's.
  await eventually(async () => (await names.findOne({ _id: 1 }))?.nickname === 'name 2')
  // A relay that stood still for long publishes again what JetStream has forgotten to be there.
  await publish('a again', 1)
  await publish('b again', 2)
  await publish('c', 3)
  await eventually(async () => (await names.findOne({ _id: 1 }))?.nickname === 'name 3')
  t.equal((await names.findOne({ _id: 1 }))?.changes, 3)
  t.equal((await names.findOne({ _id: 2 }))?.changes, 1)
  t.match(await metrics.metrics(), /outcome="repeated",.*\} 3/)
})

test('exactly once: a handler whose transaction meets another is run again', async (t) => {
  const runtime = await startRuntime(t)
  const tallies = runtime.db.collection<{ _id: string; value: number }>('tallies')
  await tallies.insertOne({ _id: 'a', value: 0 })
  handle(t, runtime, [
    exactlyOnce(userUpdated, async (_payload, { session }) => {
      const { value = 0 } = (await tallies.findOne({ _id: 'a' }, { session })) ?? {}
      await tallies.updateOne({ _id: 'a' }, { $set: { value: value + 1 } }, { session })
    }),
  ])
  await publishUpdates(runtime, 40, 2)
  t.ok(await eventually(async () => (await tallies.findOne({ _id: 'a' }))?.value === 80, 20_000))
})

test('a handler announces events of its own in the same transaction', async (t) => {
  const runtime = await startRuntime(t)
  const heard: boolean[] = []
  handle(t, runtime, [
    exactlyOnce(userUpdated, async ({ userId }, change) =>
      change.announce(userLocked, String(userId), { userId, locked: true, at: 1 }),
    ),
    on(userLocked, async ({ locked }) => heard.push(locked)),
  ])
  await runtime.bus.publish(envelope(1))
  await eventually(() => heard.length === 1)
  t.strictSame(heard, [true])
})

test('closing waits for the event in work and leaves the others to the next', async (t) => {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  const leaving = await startRuntime(t, env, 'social')
  const handled: number[] = []
  const handling = handle(t, leaving, [
    on(userUpdated, async (_payload, { sequence }) => {
      await delay(200)
      handled.push(sequence)
    }),
  ])
  for (const sequence of [1, 2, 3]) await runtime.bus.publish(envelope(1, { sequence }))
  await eventually(() => handled.length === 1)
  await handling.close()
  const before = handled.length
  t.ok(before < 3)
  const next = await startRuntime(t, env, 'social')
  handle(t, next, [on(userUpdated, async (_payload, { sequence }) => handled.push(sequence))])
  await eventually(() => handled.length === 3)
  t.strictSame(handled, [1, 2, 3])
})

test('a broadcast reaches everybody who listens, a listener that throws harms nobody', async (t) => {
  const env = ownNamespace(t)
  const [one, two] = [await startRuntime(t, env), await startRuntime(t, env)]
  const heard: string[] = []
  one.bus.listen(userUpdated, () => {
    throw new Error('no')
  })
  one.bus.listen(userUpdated, ({ userId }) => heard.push(`one ${userId}`))
  const second = two.bus.listen(userUpdated, ({ userId }) => heard.push(`two ${userId}`))
  await two.bus.ping()
  await one.bus.ping()
  await one.bus.broadcast(userUpdated, update(1))
  await eventually(() => heard.length === 2)
  await second.close()
  await one.bus.broadcast(userUpdated, update(2))
  await eventually(() => heard.includes('one 2'))
  t.notOk(heard.includes('two 2'))
})
