import { presence, presencesChanged } from '@im/contracts/message'
import { settingsChanged, userUpdated } from '@im/contracts/user'
import { eventPublisher, eventually, recordEvents } from '@im/service-kit/testing'
import { test } from 'tap'
import { applyPresence } from '../src/presence/apply-presence.ts'
import { PresenceFollower } from '../src/presence/follow-presence.ts'
import { alice, bob, carol, startMessage } from './start-message.ts'
import { XmppServer } from './xmpp-server.ts'

test('settings and profile changes reach the own devices where several are allowed', async (t) => {
  const { xmpp, user, env } = await startMessage(t)
  const publish = eventPublisher(t, env)
  await eventually(() => xmpp.connected)
  user.contacts.set(carol, { multipleDevices: 0 })
  const streams = [alice, bob, carol].map((userId) => xmpp.connect(userId))
  const at = Date.now()
  for (const userId of [carol, alice])
    await publish(settingsChanged, userId, {
      ...{ userId, changed: ['allowGreet'], multipleDevices: 1, allowGreet: 1, at },
    })
  await publish(userUpdated, bob, { userId: bob, nickname: 'Bob', account: 'bob', updatedAt: at })
  await eventually(() => streams[0]!.messages.length === 1 && streams[1]!.messages.length === 1)
  const told = streams.map(({ messages }) => messages.map(({ body }) => JSON.parse(body)))
  t.match(told[0], [{ type: 800, toUserId: String(alice), objectId: 'sync_private_settings' }])
  t.match(told[1], [{ type: 801, toUserId: String(bob) }])
  t.strictSame(told[2], [])
})

test('a notice whose user is not there waits, and one that is told again comes once', async (t) => {
  const { deps, xmpp, env } = await startMessage(t)
  const publish = eventPublisher(t, env)
  await eventually(() => xmpp.connected)
  const at = Date.now()
  await publish(userUpdated, alice, { userId: alice, nickname: 'A', account: 'a', updatedAt: at })
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 1)
  const stream = xmpp.connect(alice)
  await eventually(() => stream.messages.length === 1)
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
  t.equal(JSON.parse(stream.messages[0]!.body).type, 801)
})

test('notices fill no mailbox beyond its limit', async (t) => {
  const { deps, xmpp, env } = await startMessage(t)
  const publish = eventPublisher(t, env)
  await eventually(() => xmpp.connected)
  const waiting = (n: number) => ({
    ...{ _id: `${alice}:${bob}:${n}`, user: alice, at: n, seq: n, id: `${n}`, text: `id='${n}'/>`, bytes: 10 },
    ...{ expireAt: new Date(Date.now() + 86_400_000), owes: [] },
  })
  const { collection } = deps.mailbox
  await collection.insertMany(Array.from({ length: 4999 }, (_, n) => waiting(n)))
  const at = Date.now()
  for (const userId of [alice, alice, bob])
    await publish(userUpdated, alice, { userId, nickname: 'A', account: 'a', updatedAt: at })
  await eventually(async () => (await collection.countDocuments({ user: bob })) === 1)
  t.equal(await collection.countDocuments({ user: alice }), 5000)
})

test('presence: the first resource makes a user online, the last one offline, on whichever server', async (t) => {
  const servers = [await XmppServer.start(), await XmppServer.start()]
  const { deps, env, api } = await startMessage(t, { servers })
  const [first, second] = servers as [XmppServer, XmppServer]
  const events = await recordEvents(t, env, presencesChanged)
  const told = () => events.flatMap(({ changes }) => changes.map(({ userId, online }) => `${userId} ${online}`))
  await eventually(() => servers.every(({ connected }) => connected))
  const android = first.connect(alice)
  await eventually(() => told().includes(`${alice} true`))
  const pc = second.connect(alice, { resource: 'pc' })
  await eventually(async () => (await deps.presences.of([alice])).get(alice)?.at.length === 2)
  android.end()
  await eventually(async () => (await deps.presences.of([alice])).get(alice)?.at.length === 1)
  pc.set({ priority: undefined })
  await eventually(() => told().includes(`${alice} false`))
  t.strictSame(
    told().filter((change) => change.startsWith(String(alice))),
    [`${alice} true`, `${alice} false`],
  )
  await api.call(presence.setOnlineState, { userId: alice, OnlineState: 1 })
  await eventually(() => told().filter((change) => change === `${alice} true`).length === 2)
})

test('a lost connection makes nobody offline; who is not there after it is', async (t) => {
  const { deps, env, xmpp } = await startMessage(t)
  const events = await recordEvents(t, env, presencesChanged)
  const told = () => events.flatMap(({ changes }) => changes.map(({ userId, online }) => `${userId} ${online}`))
  await eventually(() => xmpp.connected)
  const [stays] = [alice, bob].map((userId) => xmpp.connect(userId))
  await eventually(() => told().length === 2)
  xmpp.cut()
  for (const stream of [...xmpp.streams.values()]) if (stream !== stays) xmpp.streams.delete(stream.id)
  xmpp.connect(carol)
  await eventually(() => told().includes(`${bob} false`) && told().includes(`${carol} true`))
  t.notOk(told().includes(`${alice} false`))
  t.equal((await deps.presences.of([alice])).get(alice)?.online, true)
})

test('an older connection writes no presence any more', async (t) => {
  const { deps } = await startMessage(t)
  const { presences, outbox } = deps
  t.equal(await presences.begin('x', 5, Date.now()), true)
  t.equal(await presences.begin('x', 4, Date.now()), false)
  t.equal(await outbox.commit((change) => presences.isNewest('x', 4, change.session)), false)
  t.equal(await outbox.commit((change) => presences.isNewest('x', 5, change.session)), true)
})

test('users of a server that nobody holds for long are offline; those of one that another replica holds are not, whatever its clock says', async (t) => {
  const { deps, env } = await startMessage(t)
  const events = await recordEvents(t, env, presencesChanged)
  const told = () => events.flatMap(({ changes }) => changes.map(({ userId, online }) => `${userId} ${online}`))
  const follower = new PresenceFollower(deps)
  const slowClock = () => Date.now() - 3_600_000
  const servers = [
    { server: 'held', epoch: 5, user: alice },
    { server: 'lost', epoch: 6, user: bob },
  ]
  for (const { server, epoch, user } of servers) {
    await deps.presences.begin(server, epoch, slowClock())
    await applyPresence(deps, { server, epoch }, new Map([[user, { resources: ['pc'] }]]))
  }
  for (let at = 0; at <= 60_000; at += 10_000) {
    await deps.presences.seen([{ server: 'held', epoch: 5 }], slowClock() + at)
    await follower.look(at)
    t.equal((await deps.presences.of([bob])).get(bob)?.online, at < 50_000, `after ${at} ms`)
  }
  t.equal((await deps.presences.of([alice])).get(alice)?.online, true)
  await eventually(() => told().includes(`${bob} false`))
  t.notOk(told().includes(`${alice} false`))
  t.equal(await deps.presences.begin('lost', 1, Date.now()), true, 'it is forgotten')
})
