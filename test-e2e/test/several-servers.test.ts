/** People on different XMPP servers, with two replicas of the message service between them. */
import { randomBytes } from 'node:crypto'
import { archive } from '@im/contracts/message'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { BoshSession } from '../src/bosh-session.ts'
import { startJourney } from '../src/journey.ts'
import type { Person } from '../src/people.ts'

const newId = () => randomBytes(16).toString('hex')

test('people on several XMPP servers', async (t) => {
  const { stack, people } = await startJourney(t, { xmppServers: 2, replicas: { message: 2 }, killsStores: true })
  const servers = (stack.env['XMPP_PORTS'] ?? '').split(',').map((port) => ({ service: `xmpp://127.0.0.1:${port}` }))
  t.equal(servers.length, 2)
  const webSocket = { service: `${stack.gatewayUrl.replace('http', 'ws')}/xmpp-websocket` }
  const bosh = ({ userId, token }: Person, resource = 'web') =>
    BoshSession.login({ ...stack, domain: stack.xmppDomain, userId, password: token, resource })

  await t.test('they chat, and lose nothing when one server is killed', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const onFirst = await alice.phone('android', servers[0])
    const onSecond = await bob.phone('android', servers[1])
    const tablet = await bob.phone('pc', { ...servers[0], password: bob.password })

    const hello = await onFirst.say(bob.userId, 'hello')
    for (const device of [onSecond, tablet]) await device.hears((message) => message.id === hello.messageId)
    const answer = await onSecond.say(alice.userId, 'hi')
    await onFirst.hears((message) => message.id === answer.messageId)

    await tablet.hangUp()
    await stack.kill('prosody-2')
    const meanwhile = await onFirst.say(bob.userId, 'meanwhile')
    await stack.restart('prosody-2')
    const back = await bob.phone('android', servers[1])
    await back.hears((message) => message.id === meanwhile.messageId, 20_000)
    const [newest] = await bob.call(archive.listSingleHistory, { receiver: alice.userId })
    t.equal(newest?.messageId, meanwhile.messageId)
    for (const phone of [onFirst, back]) await phone.hangUp()
  })

  await t.test('a device that comes back by another server ends its older stream', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const peer = await bob.phone('android', servers[0])
    let phone = await alice.phone('android', servers[0])
    for (const server of [servers[1], servers[0]]) {
      const replaced = phone.closedByServer()
      const older = phone
      const moved = await alice.phone('android', server)
      await eventually(() => older.isDown || moved.isDown)
      t.equal(older.isDown && (await replaced), 'conflict')
      const hello = await peer.say(alice.userId, 'to where the device is now')
      await moved.hears((message) => message.id === hello.messageId)
      t.notOk(moved.isDown)
      phone = moved
    }
    for (const one of [peer, phone]) await one.hangUp()
  })

  await t.test('web apps over BOSH and WebSocket go on with another server when theirs is lost', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const phone = await bob.phone('android', servers[0])
    const sessions = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((resource) => bosh(alice, resource)))
    const hello = await phone.say(alice.userId, 'hello')
    await eventually(() => sessions.every((session) => session.heard(hello.messageId)))
    const ids = sessions.map(() => newId())
    await Promise.all(sessions.map((session, index) => session.say(bob.userId, ids[index]!, `from session ${index}`)))
    for (const id of ids) await phone.hears((message) => message.id === id)
    await eventually(() => sessions.every((session, index) => session.hasReceipt(ids[index]!)))

    await stack.kill('prosody-2')
    await eventually(() => sessions.some(({ ended }) => ended !== undefined))
    const lost = sessions.filter(({ ended }) => ended !== undefined)
    for (const { ended } of lost) t.match(ended, /^(remote-connection-failed|item-not-found)$/)
    const again = await bosh(alice, 'again')
    const web = await alice.phone('websocket', webSocket)
    const more = await phone.say(alice.userId, 'more')
    await web.hears((message) => message.id === more.messageId)
    const left = sessions.filter(({ ended }) => ended === undefined)
    await eventually(() => [again, ...left].every((session) => session.heard(more.messageId)))
    await stack.restart('prosody-2')
    for (const session of lost) t.notOk(session.heard(more.messageId))
    await Promise.all([...sessions, again].map((session) => session.close()))
    await web.hangUp()
    await phone.hangUp()
  })

  await t.test('a server that was not there joins, and one that ends hands on what it has', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const ports = servers
    await stack.stop('prosody-2')
    const [a, b] = [await alice.phone('android', ports[0]), await bob.phone('android', ports[0])]
    await stack.restart('prosody-2')
    const moved = await bob.phone('pc', { ...ports[1], password: bob.password })
    await moved.say(alice.userId, 'the message service has found the server')
    const toBoth = await a.say(bob.userId, 'one on each server')
    for (const device of [b, moved]) await device.hears((message) => message.id === toBoth.messageId)
    const sent = Array.from({ length: 200 }, () => newId())
    for (const id of sent)
      await moved.sendBody(alice.userId, id, JSON.stringify({ type: 1, messageId: id, content: '1', timeSend: 1 }))
    await a.hears((message) => message.id === sent[0])
    await stack.stop('prosody-2')
    await eventually(() => moved.isDown)
    // What it had read is delivered without it; what it had not is the app's to send again.
    const got = new Set(a.received.map(({ id }) => id))
    const stored = await alice.call(archive.listSingleHistory, { receiver: bob.userId, pageSize: 1000 })
    for (const { messageId } of stored) if (sent.includes(messageId)) t.ok(got.has(messageId), 'stored and delivered')
    t.ok(stored.length > 1)
    await stack.restart('prosody-2')
    for (const phone of [a, b]) await phone.hangUp()
  })

  await t.test('without NATS another replica takes over from one that is killed', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const onFirst = await alice.phone('android', servers[0])
    const onSecond = await bob.phone('android', servers[1])
    await stack.kill('nats')
    await stack.kill('message-2')
    const startedAt = performance.now()
    const messages = [await onFirst.say(bob.userId, 'to the second'), await onSecond.say(alice.userId, 'to the first')]
    await onSecond.hears((message) => message.id === messages[0]?.messageId)
    await onFirst.hears((message) => message.id === messages[1]?.messageId)
    t.ok(performance.now() - startedAt < 10_000)
    await stack.restart('nats')
    await stack.restart('message-2')
    const after = await onFirst.say(bob.userId, 'as ever')
    await onSecond.hears((message) => message.id === after.messageId)
    for (const phone of [onFirst, onSecond]) await phone.hangUp()
  })
})
