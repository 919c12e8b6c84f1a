import { passwordReplaced, sessionRevoked, userLocked } from '@im/contracts/user'
import { eventPublisher, eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { alice, bob, startMessage } from './start-message.ts'
import { domain, XmppServer } from './xmpp-server.ts'

async function startWithServers(t: Test, env: Record<string, string> = {}) {
  const servers = [await XmppServer.start(), await XmppServer.start()]
  const im = await startMessage(t, { servers, env })
  await eventually(() => servers.every(({ connected }) => connected))
  const publish = eventPublisher(t, im.env)
  const announce = {
    revoke: (userId: number, sessionIds: string[], reason = 'logout', at = Date.now()) =>
      publish(sessionRevoked, userId, {
        ...{ userId, sessionIds, reason, at },
        devices: sessionIds.map(() => 'android'),
      }),
    lock: (userId: number, locked: boolean) => publish(userLocked, userId, { userId, locked, at: Date.now() }),
  }
  return { ...im, publish, announce, first: servers[0]!, second: servers[1]! }
}

test('a session that ends closes its streams on every server, waiting ones too, and no others', async (t) => {
  const { first, second, announce } = await startWithServers(t)
  const ended = [
    first.connect(alice, { resource: 'android', login: 't:aa' }),
    second.connect(alice, { resource: 'pad', login: 't:aa' }),
  ]
  ended[1]!.sleep()
  const others = [
    first.connect(alice, { resource: 'pc', login: 't:bb' }),
    first.connect(alice, { resource: 'web', login: 'p:1' }),
    second.connect(bob, { login: 't:cc' }),
  ]
  // The clock of the user service is ahead.
  await announce.revoke(alice, ['aa'], 'logout', Date.now() + 60_000)
  await eventually(() => ended.every(({ closedWith }) => closedWith === 'not-authorized'), 2000)
  t.ok(others.every(({ closedWith }) => closedWith === undefined))
})

test('a session that ended while the server was out of reach, or while its stream was opened, has no stream for long', async (t) => {
  const { first, announce, deps } = await startWithServers(t)
  const stream = first.connect(alice, { login: 't:aa' })
  first.cut()
  await announce.revoke(alice, ['aa', 'bb'])
  await eventually(async () => (await deps.revocations.collection.countDocuments()) === 2)
  await eventually(() => stream.closedWith === 'not-authorized')
  const late = first.connect(alice, { login: 't:bb' })
  await eventually(() => late.closedWith === 'not-authorized', 2000)
  t.equal(first.streams.size, 0)
})

/** How many revocations each look at streams has found. */
function watchLooks({ mongoClient }: Awaited<ReturnType<typeof startWithServers>>['deps']): number[] {
  const found: number[] = []
  mongoClient.on('commandSucceeded', ({ commandName, reply }) => {
    const { ns = '', firstBatch = [] } = (reply as { cursor?: { ns: string; firstBatch: unknown[] } }).cursor ?? {}
    if (commandName === 'find' && ns.endsWith('.revocations')) found.push(firstBatch.length)
  })
  return found
}

test('how often a user has logged in before does not count when their streams are looked at', async (t) => {
  const { first, announce, deps } = await startWithServers(t)
  const text = 'session ended: login'
  const before = Array.from({ length: 300 }, (_, n) => ({ _id: `t:${n}`, text, closeAt: 0 }))
  await deps.revocations.add(before, Date.now())
  const found = watchLooks(deps)
  const stream = first.connect(alice, { login: 't:aa' })
  await announce.revoke(alice, ['aa', 'bb'])
  await eventually(() => stream.closedWith === 'not-authorized')
  t.equal(Math.max(...found), 1)
})

test('who refreshes a token stays connected', async (t) => {
  const { first, announce } = await startWithServers(t)
  const stream = first.connect(alice, { login: 't:aa' })
  const other = first.connect(alice, { resource: 'pc', login: 't:bb' })
  await announce.revoke(alice, ['aa'], 'refresh')
  await announce.revoke(alice, ['bb'])
  await eventually(() => other.closedWith === 'not-authorized')
  t.equal(stream.closedWith, undefined)
})

test('a new password is told to all devices before the streams of the old one close', async (t) => {
  const { first, second, online, deps, publish } = await startWithServers(t)
  const devices = [
    await online(alice, { server: first, resource: 'android', login: 'p:1' }),
    await online(alice, { server: second, resource: 'pc', login: 'p:1' }),
  ]
  const renewed = second.connect(alice, { resource: 'web', login: 'p:2' })
  const at = Date.now()
  await publish(passwordReplaced, alice, { userId: alice, version: 2, at })
  const byToken = first.connect(alice, { resource: 'tab', login: 't:new' })
  await eventually(() => devices.every(({ messages }) => messages.length === 1))
  t.ok(devices.every(({ closedWith }) => closedWith === undefined))
  await eventually(() => devices.every(({ closedWith }) => closedWith === 'not-authorized'), 7000)
  t.ok(Date.now() >= at + 5000, 'five seconds, spec xmpp.md §13')
  for (const device of devices) {
    t.equal(device.messages.length, 1, 'told once')
    const [{ body, from, isDelayed } = { body: '{}', from: '', isDelayed: true }] = device.messages
    t.match(JSON.parse(body), { type: 800, objectId: 'sync_login_password', toUserId: String(alice) })
    t.equal(from, `10005@${domain}`)
    t.notOk(isDelayed, 'apps ignore a delayed one')
  }
  t.equal(renewed.closedWith, undefined)
  t.equal(byToken.closedWith, undefined, 'its session tells when it ends')
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === 0)
})

test('a second new password gives the streams of the first as much time', async (t) => {
  const { first, publish } = await startWithServers(t, { STREAM_GRACE_MS: '400' })
  for (const version of [2, 3]) {
    const stream = first.connect(alice, { login: `p:${version - 1}` })
    const at = Date.now()
    await publish(passwordReplaced, alice, { userId: alice, version, at })
    await eventually(() => stream.closedWith === 'not-authorized', 3000)
    t.ok(Date.now() >= at + 400, `password ${version}`)
    t.equal(stream.messages.length, 1, 'told before')
  }
})

test('an account that is locked loses all its streams, and can connect again when it is open', async (t) => {
  const { first, second, announce, deps } = await startWithServers(t)
  const streams = [first.connect(alice, { login: 't:aa' }), second.connect(alice, { resource: 'pc', login: 'p:1' })]
  await announce.lock(alice, true)
  await eventually(() => streams.every(({ closedWith }) => closedWith === 'not-authorized'), 2000)
  await announce.lock(alice, false)
  await eventually(async () => (await deps.revocations.collection.countDocuments()) === 0)
  const again = first.connect(alice, { login: 't:bb' })
  const peer = first.connect(bob)
  peer.say({ to: alice })
  await eventually(() => again.messages.length === 1)
  t.equal(again.closedWith, undefined)
})

test('a stream that is resumed with another login goes by that one', async (t) => {
  const { first, announce, publish, deps } = await startWithServers(t, { STREAM_GRACE_MS: '400' })
  const found = watchLooks(deps)
  const stream = first.connect(alice, { login: 'p:1' })
  await publish(passwordReplaced, alice, { userId: alice, version: 2, at: Date.now() })
  await eventually(() => found.includes(1))
  stream.sleep()
  stream.wake({ login: 't:aa' })
  const older = first.connect(alice, { resource: 'old', login: 'p:1' })
  await eventually(() => older.closedWith === 'not-authorized')
  t.equal(stream.closedWith, undefined)
  await announce.revoke(alice, ['aa', 'bb'])
  await eventually(() => stream.closedWith === 'not-authorized', 2000)
  const looks = found.length
  const late = first.connect(alice, { login: 't:cc' })
  await eventually(() => found.length > looks)
  late.sleep()
  late.wake({ login: 't:bb' })
  await eventually(() => late.closedWith === 'not-authorized', 2000)
})

test('an order that a server refuses is given again', async (t) => {
  const { first, announce } = await startWithServers(t)
  let refusals = 2
  first.onOrder = () => (refusals-- > 0 ? 'error' : 'result')
  const stream = first.connect(alice, { login: 't:aa' })
  await announce.revoke(alice, ['aa'])
  await eventually(() => stream.closedWith === 'not-authorized')
  t.equal(refusals, -1)
})

test('a resource that is taken on another server ends the older stream', async (t) => {
  const { first, second } = await startWithServers(t)
  const older = first.connect(alice, { resource: 'android', since: 1000 })
  const pc = first.connect(alice, { resource: 'pc', since: 1000 })
  const newer = second.connect(alice, { resource: 'android', since: 2000 })
  await eventually(() => older.closedWith === 'conflict')
  t.equal(newer.closedWith, undefined)
  t.equal(pc.closedWith, undefined)
})
