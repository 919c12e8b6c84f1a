import { setTimeout as delay } from 'node:timers/promises'
import { employeesLeft } from '@im/contracts/org'
import { blacklistChanged, friendChanged, pairOf } from '@im/contracts/social'
import { settingsChanged, userLocked } from '@im/contracts/user'
import { eventPublisher, eventually, slowProxy } from '@im/service-kit/testing'
import { test } from 'tap'
import type { FriendRow, Relations } from '../src/decide/relations.ts'
import { alice, bob, carol, startMessage } from './start-message.ts'

const row = (status: FriendRow['status'], hasBlocked = false): FriendRow => ({ status, hasBlocked })
const strangers = undefined

test('who may write what follows from the rows of both sides', async (t) => {
  let standing: Awaited<ReturnType<Relations['ask']>> = {}
  const { xmpp, online, user } = await startMessage(t, {
    overrides: { relations: { peek: () => undefined, ask: async () => standing } },
  })
  const sender = await online(alice)
  /** Types that alice may send to a user. */
  async function allowed(own: FriendRow | undefined, other: FriendRow | undefined, to = bob): Promise<number[]> {
    standing = { ...(own ? { own } : {}), ...(other ? { other } : {}) }
    const types = [1, 26, 100, 136, 500, 501, 502, 503, 504, 505, 507, 508, 509, 510]
    const sent = types.map((type) => [type, sender.say({ to, body: { type } })] as const)
    await xmpp.drained()
    await eventually(() => sent.every(([, id]) => sender.receipts.includes(id) || sender.refusals.has(id)))
    for (const [, id] of sent) if (sender.refusals.has(id)) t.equal(sender.refusals.get(id), 'not-allowed')
    return sent.filter(([, id]) => sender.receipts.includes(id)).map(([type]) => type)
  }
  const talk = [1, 26, 100, 136]
  const free = [504, 505, 509]
  const friends = [500, 501, 502, 503, 504, 505, 508, 509, 510]
  t.strictSame(await allowed(strangers, strangers), [...talk, ...free])
  t.strictSame(await allowed(row(1), strangers), [...talk, 500, 502, 503, ...free])
  t.strictSame(await allowed(strangers, row(1)), [...talk, 502, ...free])
  t.strictSame(await allowed(row(2), row(1)), [...talk, 500, 502, 503, ...free])
  t.strictSame(await allowed(row(2), row(2)), [...talk, ...friends])
  t.strictSame(await allowed(row(2, true), row(2)), [...talk, ...friends.slice(0, 6), 507, ...friends.slice(6)])
  t.strictSame(await allowed(row(2), row(2, true)), free)

  user.contacts.set(carol, { allowGreet: 0 })
  const greets = async (own?: FriendRow, other?: FriendRow) => (await allowed(own, other, carol)).includes(1)
  t.equal(await greets(), false)
  t.equal(await greets(strangers, row(0)), false, 'a row that only remembers a block is no relation')
  t.equal(await greets(strangers, row(1)), true)
  t.equal(await greets(row(1)), true)
})

test('a recall does not reach the peer when it names their message, wherever in it', async (t) => {
  const { xmpp, online } = await startMessage(t)
  const [mallory, victim] = [await online(alice), await online(bob)]
  const theirs = victim.say({ to: alice })
  await eventually(() => victim.receipts.includes(theirs))
  const unknown = Array.from({ length: 200 }, (_, n) => `${n}`.padStart(32, 'e'))
  const recalls = [theirs, [...unknown, theirs].join(), `${' ,'.repeat(500)}${theirs}`, unknown.join()]
  const sent = recalls.map((content) => mallory.say({ to: bob, body: { type: 202, content } }))
  await xmpp.drained()
  await eventually(() => sent.every((id) => mallory.refusals.has(id) || mallory.receipts.includes(id)))
  t.strictSame(
    sent.map((id) => mallory.refusals.get(id)),
    ['not-allowed', 'not-allowed', 'not-allowed', undefined],
  )
})

test('public accounts write to whoever takes no greetings, and are written to', async (t) => {
  const { xmpp, online, user } = await startMessage(t)
  const news = 10000020
  const dave = 10000021
  user.contacts.set(news, { userType: 2, allowGreet: 0 })
  user.contacts.set(dave, { allowGreet: 0 })
  const [person, account] = [await online(alice), await online(news)]
  const sent = [person.say({ to: dave }), person.say({ to: news }), person.say({ to: 10000 })]
  const told = account.say({ to: dave })
  await xmpp.drained()
  t.strictSame([...person.refusals.keys()], [sent[0]])
  t.strictSame([account.receipts, account.refusals.size], [[told], 0])
})

test('colleagues write to whoever takes no greetings, as long as they are', async (t) => {
  const { xmpp, online, user, env } = await startMessage(t)
  const publish = eventPublisher(t, env)
  user.contacts.set(bob, { allowGreet: 0 })
  const sender = await online(alice)
  const isAllowed = async () => {
    const id = sender.say({ to: bob })
    await xmpp.drained()
    await eventually(() => sender.receipts.includes(id) || sender.refusals.has(id))
    return sender.receipts.includes(id)
  }
  t.equal(await isAllowed(), false)
  user.colleagues.add(pairOf(alice, bob))
  t.equal(await isAllowed(), true, 'before a refusal it is asked again')
  user.colleagues.clear()
  t.equal(await isAllowed(), true, 'nobody told yet')
  const company = { companyId: 'c'.repeat(24), companyNo: 1, companyName: 'c', at: Date.now() }
  await publish(employeesLeft, company.companyId, { ...company, userIds: [bob] })
  await eventually(async () => !(await isAllowed()))
  t.equal(await isAllowed(), false)
})

test('a replica that hears of changes late does not decide by what it knew longer than a second ago', async (t) => {
  const nats = await slowProxy(t, process.env['NATS_URL']!)
  const { online, user, env, deps } = await startMessage(t, { env: { NATS_URL: nats.url } })
  const publish = eventPublisher(t, { ...env, NATS_URL: process.env['NATS_URL']! })
  const sender = await online(alice)
  await eventually(() => deps.peers.isInTouch)
  const before = sender.say({ to: bob })
  await eventually(() => sender.receipts.includes(before))
  t.ok(deps.socialRelations.peek(alice, bob))
  // Its connection is not lost; what comes by it is late, as after it was suspended.
  nats.delayMs = 2500
  user.pairs.set(pairOf(alice, bob), { high: row(2, true), low: row(2) })
  await publish(blacklistChanged, pairOf(alice, bob), { userId: bob, toUserId: alice, blocked: true, at: Date.now() })
  await delay(1000)
  const after = sender.say({ to: bob })
  await eventually(() => sender.receipts.includes(after) || sender.refusals.has(after))
  t.equal(sender.refusals.get(after), 'not-allowed')
})

test('many receivers are asked about at once, and known ones not again', async (t) => {
  const { xmpp, online, user, deps } = await startMessage(t)
  // What is known counts once a replica has heard itself.
  await eventually(() => deps.peers.isInTouch)
  const sender = await online(alice)
  const { questions } = user
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 300; n++) sender.say({ to: bob + n })
    await xmpp.drained()
  }
  t.ok(user.questions - questions <= 10, `${user.questions - questions} questions`)
  t.equal(new Set(user.asked).size, user.asked.length, 'nobody twice')
})

test('a change counts at once, in the next message after its event', async (t) => {
  const { xmpp, online, user, env } = await startMessage(t)
  const publish = eventPublisher(t, env)
  const sender = await online(alice)
  sender.say({ to: bob })
  sender.say({ to: carol })
  await xmpp.drained()
  user.contacts.set(bob, { status: -1 })
  user.contacts.set(carol, { allowGreet: 0 })
  await publish(userLocked, bob, { userId: bob, locked: true, at: Date.now() })
  await publish(settingsChanged, carol, {
    ...{ userId: carol, changed: ['allowGreet'], multipleDevices: 1, allowGreet: 0, at: Date.now() },
  })
  await eventually(async () => {
    const ids = [sender.say({ to: bob }), sender.say({ to: carol })]
    await xmpp.drained()
    return ids.map((id) => sender.refusals.get(id)).join() === 'service-unavailable,not-allowed'
  }, 5000)
  t.ok(sender.refusals.size >= 2)
})

test('a user service that hangs holds back only who waits for it, in order; copies meanwhile cost nothing', async (t) => {
  const { xmpp, online, user, deps } = await startMessage(t)
  const [waiting, other, peer] = [await online(alice), await online(carol), await online(bob)]
  other.say({ to: bob, body: { content: 'known' } })
  await xmpp.drained()
  user.mode = 'hangs'
  const asked = user.questions
  const ids = ['cold', 'warm'].map((id, n) => waiting.say({ to: n ? bob : bob + 1, id, body: { content: id } }))
  for (let n = 0; n < 20; n++) waiting.say({ to: bob + 1, id: 'cold', body: { content: 'cold' } })
  for (let n = 0; n < 600; n++) other.say({ to: bob, body: { content: n } })
  await eventually(() => other.receipts.length === 601 || waiting.refusals.has('cold'))
  t.ok(other.receipts.length > 100, `${other.receipts.length} of 601 before the service was given up`)
  t.ok(!waiting.receipts.length || waiting.refusals.has('cold'), 'what comes behind a waiting message waits with it')
  await eventually(() => other.receipts.length === 601)
  t.ok(user.questions - asked <= 2)
  await eventually(() => waiting.refusals.get('cold') === 'resource-constraint' && waiting.receipts.includes('warm'))
  t.strictSame(ids, ['cold', 'warm'])
  user.mode = 'answers'
  await eventually(async () => {
    waiting.say({ to: bob + 1, id: 'cold', body: { content: 'cold' } })
    await xmpp.drained()
    return waiting.receipts.includes('cold')
  })
  t.equal(await deps.messages.collection.countDocuments({ messageId: 'cold' }), 1)
  t.equal(peer.messages.length, 602)
})

test('answers outlive a user service that is away for ten minutes, and no longer', async (t) => {
  let ahead = 0
  const { xmpp, online, user } = await startMessage(t, { overrides: { now: () => Date.now() + ahead } })
  const sender = await online(alice)
  sender.say({ to: bob })
  await xmpp.drained()
  user.mode = 'is away'
  ahead = 9 * 60_000
  const known = sender.say({ to: bob })
  await xmpp.drained()
  t.ok(sender.receipts.includes(known))
  ahead = 11 * 60_000
  const unknown = sender.say({ to: bob })
  await eventually(() => sender.refusals.get(unknown) === 'resource-constraint')
})

test('a change of a relation counts from its broadcast on, and never is anybody refused by what was true before', async (t) => {
  const { xmpp, online, user, deps } = await startMessage(t)
  const sender = await online(alice)
  const pair = pairOf(alice, bob)
  const at = Date.now()
  /** As the social service does: the change is stored, then told, then answered. */
  async function change(low: FriendRow, high: FriendRow) {
    user.pairs.set(pair, { low, high })
    const { status } = low
    await deps.bus.broadcast(friendChanged, {
      ...{ userId: alice, toUserId: bob, status, toStatus: high.status, how: 'befriended', at },
    })
  }
  const told = async (type: number) => {
    const id = sender.say({ to: bob, body: { type } })
    await eventually(() => sender.receipts.includes(id) || sender.refusals.has(id))
    return sender.refusals.get(id) ?? 'told'
  }
  for (let round = 0; round < 20; round++) {
    await change(row(0), row(0))
    await eventually(async () => (await told(501)) === 'not-allowed')
    await change(row(2), row(2))
    t.equal(await told(501), 'told', 'the next message after the answer')
    await change(row(2), row(2, true))
    await eventually(async () => (await told(1)) === 'not-allowed', 5000)
  }
  await xmpp.drained()
})

test('a social service that is away: known relations count for ten minutes, unknown ones are put off', async (t) => {
  let ahead = 0
  const { online, user } = await startMessage(t, { overrides: { now: () => Date.now() + ahead } })
  const sender = await online(alice)
  user.pairs.set(pairOf(alice, bob), { low: row(2), high: row(2) })
  const told = async (to: number, type: number) => {
    const id = sender.say({ to, body: { type } })
    await eventually(() => sender.receipts.includes(id) || sender.refusals.has(id))
    return sender.refusals.get(id) ?? 'told'
  }
  t.equal(await told(bob, 501), 'told')
  user.socialIsAway = true
  t.equal(await told(bob, 508), 'told')
  t.equal(await told(carol, 1), 'resource-constraint')
  ahead = 9 * 60_000
  t.equal(await told(bob, 508), 'told')
  t.equal(await told(bob, 507), 'not-allowed', 'what is known refuses, too')
  ahead = 11 * 60_000
  t.equal(await told(bob, 508), 'resource-constraint')
})

test('a text with a keyword of the configuration is confirmed to its sender and reaches nobody', async (t) => {
  const { xmpp, online, user, deps } = await startMessage(t, {
    config: { isKeyWord: 1, keywords: ['敏感', 'ＢＡＤ word', ' '] },
  })
  const sender = await online(alice)
  const peer = await online(bob)
  const own = await online(alice, { resource: 'pc', carbons: true })
  const stopped = ['这是敏感的', '敏感', 'a Bad WORD here', 'BAD wor敏感d'].map((content) =>
    sender.say({ to: bob, body: { content } }),
  )
  const passed = [
    sender.say({ to: bob, body: { content: '敏 感 bad wor' } }),
    sender.say({ to: bob, body: { content: '敏感', isEncrypt: 1 } }),
    sender.say({ to: bob, body: { type: 2, content: '敏感' } }),
  ]
  const toOwn = sender.say({ to: alice, body: { content: '敏感' } })
  await xmpp.drained()
  await eventually(() => [...stopped, ...passed].every((id) => sender.receipts.includes(id)))
  await eventually(() => peer.messages.length === passed.length)
  t.strictSame(
    peer.messages.map(({ id }) => id),
    passed,
  )
  t.equal(await deps.messages.collection.countDocuments(), passed.length)
  t.equal(await deps.mailbox.collection.countDocuments(), 0)
  t.ok(own.received.every(({ xml }) => stopped.every((id) => !xml.includes(id))))
  t.notOk(
    own.messages.some(({ id }) => id === toOwn),
    'nor to own devices',
  )

  user.config.isKeyWord = 0
  await eventually(() => deps.serverConfig.current?.isKeyWord === 0, 10_000)
  const free = sender.say({ to: bob, body: { content: '敏感' } })
  await eventually(() => peer.messages.at(-1)?.id === free)
})
