import { archive, presence, presenceChanged, xmppChecks } from '@im/contracts/message'
import { passwordChanged, settingsChanged, userLocked, userUpdated } from '@im/contracts/user'
import { on } from '@im/service-kit'
import { eventPublisher, eventually, observeEvents } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, carol, startMessage } from './start-message.ts'
import { domain } from './xmpp-server.ts'

const bodyOf = (order: { getChild(name: string): { getChildText(name: string): string | null } | undefined }) =>
  JSON.parse(order.getChild('message')?.getChildText('body') ?? 'null')

test('a password change tells the own devices, then closes their streams; a refusal is tried again', async (t) => {
  const { deps, xmpp, env } = await startMessage(t, { env: { STREAM_GRACE_MS: '400' } })
  const announce = eventPublisher(t, env)
  let refusals = 2
  xmpp.onOrder = () => (refusals-- > 0 ? 'error' : 'result')
  await eventually(() => xmpp.connected)
  const at = Date.now()
  await announce(passwordChanged, alice, { userId: alice, at })
  const [notice, close] = await eventually(() => xmpp.orders.length >= 2 && xmpp.orders)
  t.ok(Date.now() >= at + 400)
  const message = notice!.getChild('message')!
  const body = bodyOf(notice!)
  t.strictSame(
    { type: body.type, objectId: body.objectId, from: body.fromUserId, to: body.toUserId, name: body.fromUserName },
    { type: 800, objectId: 'sync_login_password', from: String(alice), to: String(alice), name: `n${alice}` },
  )
  t.match(body.messageId, /^[0-9a-f]{32}$/)
  t.equal(message.attrs['id'], body.messageId)
  t.equal(message.attrs['to'], `${alice}@${domain}`)
  t.equal(close!.name, 'close-streams')
  t.equal(close!.attrs['user'], String(alice))
  t.equal(close!.attrs['condition'], 'not-authorized')
  await eventually(async () => (await deps.orders.collection.countDocuments()) === 0)
})

test('orders wait for the XMPP server and survive a restart of the service', async (t) => {
  const { deps, xmpp, close, env } = await startMessage(t, { env: { STREAM_GRACE_MS: '300' } })
  await eventually(() => xmpp.connected)
  xmpp.onOrder = () => 'error'
  await eventPublisher(t, env)(passwordChanged, bob, { userId: bob, at: Date.now() })
  await eventually(async () => (await deps.orders.collection.countDocuments()) === 2)
  await close()
  xmpp.onOrder = () => 'result'
  await startMessage(t, { xmpp, env: { ...env, STREAM_GRACE_MS: '300' } })
  t.ok(await eventually(() => xmpp.orders.some(({ name }) => name === 'close-streams')))
  t.ok(await eventually(() => xmpp.orders.some((order) => order.name === 'deliver' && bodyOf(order).type === 800)))
})

test('settings and profile changes reach other devices only where several are allowed', async (t) => {
  const { xmpp, user, env } = await startMessage(t)
  const announce = eventPublisher(t, env)
  await eventually(() => xmpp.connected)
  user.contacts.set(carol, { multipleDevices: 0 })
  const at = Date.now()
  for (const userId of [carol, alice])
    await announce(settingsChanged, userId, { userId, changed: ['allowGreet'], multipleDevices: 1, allowGreet: 1, at })
  await announce(userUpdated, bob, { userId: bob, nickname: 'Bob', account: 'bob', updatedAt: at })
  await eventually(() => xmpp.orders.length >= 5)
  const told = xmpp.orders.filter(({ name }) => name === 'deliver').map(bodyOf)
  t.strictSame(
    told.map(({ type, toUserId, objectId }) => [type, toUserId, objectId]).sort(),
    [
      [800, String(alice), 'sync_private_settings'],
      [801, String(bob), undefined],
    ].sort(),
  )
  t.strictSame(
    xmpp.orders
      .filter(({ name }) => name === 'forget-user')
      .map(({ attrs }) => attrs['user'])
      .sort(),
    [alice, bob, carol].map(String),
  )
})

test('a locked user loses his streams at once and can no longer be written to', async (t) => {
  const { xmpp, api, user, env } = await startMessage(t)
  await eventually(() => xmpp.connected)
  const check = (from: number, to: number, type = 1) => api.call(xmppChecks.checkMessage, { from, to, type })
  t.strictSame(await check(alice, bob), { allow: 1 })
  user.contacts.set(bob, { status: -1 })
  await eventPublisher(t, env)(userLocked, bob, { userId: bob, locked: true, at: Date.now() })
  await eventually(() =>
    xmpp.orders.some(({ name, attrs }) => name === 'close-streams' && attrs['user'] === String(bob)),
  )
  t.equal((await check(alice, bob)).condition, 'service-unavailable')
  user.contacts.set(carol, { exists: 0, status: -1 })
  t.equal((await check(alice, carol)).condition, 'service-unavailable')
  t.equal((await check(alice, alice + 100, 903)).condition, 'not-allowed')
  t.strictSame(await check(10005, alice, 903), { allow: 1 })
})

test('a recall notice is for own messages: those of the peer are refused, unknown and recalled ones are not', async (t) => {
  const { api, xmpp } = await startMessage(t)
  await eventually(() => xmpp.connected)
  const own = xmpp.say({ from: alice, to: String(bob) })
  const recalled = xmpp.say({ from: alice, to: String(bob) })
  const foreign = xmpp.say({ from: bob, to: String(alice) })
  const elsewhere = xmpp.say({ from: bob, to: String(carol) })
  await xmpp.drained()
  await api.call(archive.deleteMessages, { messageId: [recalled], delete: 2 }, { as: alice })
  const check = (from: number, to: number, messageIds?: string[], type = 202) =>
    api.call(xmppChecks.checkMessage, { from, to, type, messageIds })
  const refused = { allow: 0, condition: 'not-allowed', text: 'only the own messages can be recalled' }
  for (const ids of [undefined, [own], ['gone', own, recalled], [elsewhere]])
    t.strictSame(await check(alice, bob, ids), { allow: 1 }, String(ids))
  for (const ids of [[foreign], ['gone', own, foreign]]) t.strictSame(await check(alice, bob, ids), refused)
  for (const id of [own, recalled]) t.strictSame(await check(bob, alice, [id]), refused)
  t.strictSame(await check(alice, bob, [foreign], 26), { allow: 1 })
  const many = Array.from({ length: 1001 }, (_, n) => `id${n}`)
  const answer = await api.envelope(xmppChecks.checkMessage, { from: alice, to: bob, type: 202, messageIds: many })
  t.not(answer.resultCode, 1)
})

test('answers about users are shared, kept for a while, and outlive the user service', async (t) => {
  let now = Date.now()
  const { api, user } = await startMessage(t, { overrides: { now: () => now } })
  const check = () => api.envelope(xmppChecks.checkMessage, { from: alice, to: bob, type: 1 })
  await Promise.all(Array.from({ length: 20 }, check))
  t.equal(user.calls, 1)
  user.away = true
  now += 60_000
  t.equal((await check()).resultCode, 1)
  now += 600_000
  t.equal((await check()).resultCode, 1020104)
})

test('presence: the first resource makes a user online, the last one offline, a snapshot corrects', async (t) => {
  const { deps, env, xmpp, api } = await startMessage(t)
  const changes: string[] = []
  await observeEvents(t, env, [on(presenceChanged, async ({ userId, online }) => changes.push(`${userId} ${online}`))])
  xmpp.online = [{ user: carol, resource: 'web' }]
  await eventually(() => xmpp.connected)
  const storedOf = async (userId: number) => (await deps.presences.of([userId])).get(userId)
  const until = async (text: string) => t.ok(await eventually(() => changes.includes(text)), text)
  xmpp.presence(alice, 'android', true)
  await until(`${alice} true`)
  xmpp.presence(alice, 'pc', true)
  xmpp.presence(alice, 'android', false)
  await eventually(async () => (await storedOf(alice))?.resources.join() === 'pc')
  xmpp.presence(alice, 'pc', false)
  await until(`${alice} false`)
  xmpp.presence(bob, 'ios', true)
  await until(`${bob} true`)

  xmpp.online = [{ user: carol, resource: 'web' }]
  xmpp.cut()
  await until(`${bob} false`)
  await until(`${carol} true`)
  await api.call(presence.setOnlineState, { userId: alice, OnlineState: 1 })
  await eventually(() => changes.filter((change) => change === `${alice} true`).length === 2)
})
