import { presence, pushedMessages } from '@im/contracts/message'
import { eventually, watchQueries } from '@im/service-kit/testing'
import { test } from 'tap'
import { roomConversation, singleConversation } from '../src/messages/conversations.ts'
import { startArchive } from './start-archive.ts'
import * as people from './start-message.ts'
import { startMessage } from './start-message.ts'
import { joined, sayIn, startRooms } from './start-rooms.ts'

test('push is told what notifications show, who is named, and who is there', async (t) => {
  const { internal, log, pair, deps } = await startArchive(t)
  const queries = watchQueries(deps)
  const [alice, bob] = pair()
  const jid = 'a'.repeat(32)
  const [single, room] = [singleConversation(alice, bob), roomConversation(jid)]
  const plain = await log.say(alice, bob, { content: '长'.repeat(300) })
  const expired = await log.say(alice, bob, { content: 'x', deleteTime: 1 })
  const recalled = await log.say(alice, bob, { content: 'oops' })
  await log.archive([log.recall(alice, bob, [recalled], {})])
  const told = async (messageId: string, conversation: string) => {
    const messages = [{ messageId, conversation, from: alice }]
    return (await internal.call(pushedMessages.getPushTexts, { messages } as never)).texts[0]
  }
  t.match(await told(plain, single), { isThere: true, text: '长'.repeat(200), mentioned: [], mentionsAll: false })
  for (const gone of [expired, recalled, 'unknown']) t.match(await told(gone, single), { isThere: false, text: '' })
  t.match(await told(plain, room), { isThere: false }, 'it is in another conversation')

  const entry = log.entry(alice, jid, { content: '@bob hi' })
  const say = async (objectId: string) => {
    const named = log.entry(alice, jid, { content: '@bob hi' })
    named.store.body = JSON.stringify({ type: 1, content: '@bob hi', objectId })
    await log.archive([named])
    return named.store.messageId
  }
  await log.archive([entry])
  t.match(await told(entry.store.messageId, room), { text: '@bob hi', mentioned: [], mentionsAll: false })
  t.match(await told(await say(`${bob} 10000009`), room), { mentioned: [bob, 10_000_009], mentionsAll: false })
  t.match(await told(await say(jid), room), { mentioned: [], mentionsAll: true })

  await internal.call(presence.setOnlineState, { userId: bob, OnlineState: 1 })
  const { userIds } = await internal.call(pushedMessages.getPresent, { userIds: `${alice},${bob}` })
  t.strictSame(userIds, [bob])
  await queries.demandIndexes(t)
})

test('who has lost every connection counts as absent for push, and as online for all others until their streams end', async (t) => {
  const { online, deps, api } = await startMessage(t)
  const queries = watchQueries(deps)
  const present = async () => {
    const { userIds } = await api.call(pushedMessages.getPresent, { userIds: `${people.alice},${people.bob}` })
    return userIds.includes(people.bob)
  }
  const phone = await online(people.bob)
  const pc = await online(people.bob, { resource: 'pc' })
  await eventually(present)
  phone.sleep()
  const stored = async () => (await deps.presences.of([people.bob])).get(people.bob)
  await eventually(async () => (await stored())?.at[0]?.resources.length === 2)
  t.equal(await present(), true, 'the other one has a connection')
  pc.sleep()
  await eventually(async () => !(await present()))
  t.match(await stored(), { online: true, at: [{ resources: ['android', 'pc'], isAsleep: true }] })
  pc.wake()
  await eventually(present)
  pc.end()
  await eventually(async () => !(await present()))
  phone.end()
  await eventually(async () => (await stored())?.online === false)
  await queries.demandIndexes(t)
})

test('push is told what a device that is lost did not confirm', async (t) => {
  const { xmpp, online, deps, api } = await startMessage(t)
  const queries = watchQueries(deps)
  const before = Date.now()
  const sender = await online(people.alice)
  const phone = await online(people.bob, { confirming: false })
  const [first, second, third] = ['first', 'second', 'third'].map((content) =>
    sender.say({ to: people.bob, body: { content } }),
  )
  await eventually(() => phone.messages.length === 3)
  phone.confirm(1)
  phone.sleep()
  phone.end()
  const ask = (since: number, userIds = `${people.alice},${people.bob}`) =>
    api.call(pushedMessages.getUnconfirmed, { userIds, since })
  const found = await eventually(async () => {
    const { messages } = await ask(before - 1)
    return messages.length === 2 && messages
  })
  t.strictSame(found.map(({ messageId }) => messageId).sort(), [second, third].sort())
  const conversation = singleConversation(people.alice, people.bob)
  t.match(found[0], { conversation, from: people.alice, to: people.bob, contentType: 1, isEncrypt: false })
  t.not(found[0]?.messageId, first)
  t.strictSame((await ask(Date.now())).messages, [])
  await deps.messages.collection.updateOne({ messageId: second }, { $set: { gone: true } })
  t.strictSame(
    (await ask(before - 1)).messages.map(({ messageId }) => messageId),
    [third],
  )
  await online(people.bob)
  await eventually(async () => !(await ask(before - 1)).messages.length)
  await xmpp.drained()
  await queries.demandIndexes(t)

  const rows = () => deps.mailbox.collection.countDocuments()
  await eventually(async () => (await rows()) === 0)
  const pad = await online(people.bob, { resource: 'pad', confirming: false })
  sender.say({ to: people.bob, body: { content: 'fourth' } })
  await eventually(() => pad.messages.length === 1)
  pad.end()
  await eventually(async () => (await rows()) === 1)
  await eventually(async () => (await deps.mailbox.collection.countDocuments({ isTaken: true })) === 1)
  t.strictSame((await ask(before - 1)).messages, [], 'it is on another device')
})

test('push is told what a lost device that confirms nothing was given, unless another device has it', async (t) => {
  const { online, deps, api } = await startMessage(t)
  const queries = watchQueries(deps)
  const before = Date.now()
  const sender = await online(people.alice)
  const [phone, pc] = [await online(people.bob), await online(people.bob, { resource: 'pc' })]
  const ids = ['first', 'second'].map((content) => sender.say({ to: people.bob, body: { content } })) as [
    string,
    string,
  ]
  const toCarol = sender.say({ to: people.carol, body: { content: 'to somebody else' } })
  await eventually(() => phone.messages.length === 2 && pc.messages.length === 2)
  const offline = async () => (await deps.presences.of([people.bob])).get(people.bob)?.online === false
  const ask = async (since = before - 1) =>
    (await api.call(pushedMessages.getUnconfirmed, { userIds: `${people.bob}`, since })).messages
  phone.end(ids)
  pc.end([ids[1], toCarol, 'unknown'])
  await eventually(offline)
  const conversation = singleConversation(people.alice, people.bob)
  t.match(await ask(), [{ messageId: ids[1], conversation, from: people.alice, to: people.bob, contentType: 1 }])
  t.strictSame(await ask(Date.now()), [], 'what is too old is told to nobody')
  await deps.messages.collection.updateOne({ messageId: ids[1] }, { $set: { gone: true } })
  t.strictSame(await ask(), [])
  await queries.demandIndexes(t)
})

test('push is told what a lost device did not confirm of what is not archived, as long as it waits', async (t) => {
  const { online, deps, api } = await startMessage(t)
  const queries = watchQueries(deps)
  const sender = await online(people.alice)
  const phone = await online(people.bob, { confirming: false })
  const say = (body: object) => sender.say({ to: people.bob, body })
  const [ringing, missed, burnt] = [say({ type: 100 }), say({ type: 103 }), say({ content: 'x', isReadDel: 1 })]
  const quiet = [say({ type: 26, content: 'x' }), say({ type: 104 })]
  await eventually(() => phone.messages.length === 5)
  phone.end()
  const ask = async () =>
    (await api.call(pushedMessages.getUnconfirmed, { userIds: `${people.bob}`, since: 1 })).passed!
  const passed = await eventually(async () => {
    const found = await ask()
    return found.length === 3 && found
  })
  const byId = new Map(passed.map((one) => [one.messageId, one]))
  const facts = { from: people.alice, to: people.bob, isEncrypt: false }
  t.match(byId.get(ringing), { ...facts, contentType: 100, isReadDel: false })
  t.match(byId.get(missed), { ...facts, contentType: 103, isReadDel: false })
  t.match(byId.get(burnt), { ...facts, contentType: 1, isReadDel: true })
  t.ok(quiet.every((id) => !byId.has(id)))
  const row = { _id: `${people.bob}:${people.alice}:${ringing}` }
  await deps.mailbox.collection.updateOne(row, { $set: { expireAt: new Date() } })
  t.notOk(
    (await ask()).some(({ messageId }) => messageId === ringing),
    'it rings no more',
  )
  await queries.demandIndexes(t)
})

test('push is told what was said in rooms to the last device of a user and not confirmed there', async (t) => {
  const { xmpp, online, deps, api, newRoom } = await startRooms(t)
  const queries = watchQueries(deps)
  const jid = await newRoom(people.alice, [people.bob])
  const sender = await online(people.alice)
  const [phone, pc] = [await online(people.bob), await online(people.bob, { resource: 'pc' })]
  for (const stream of [sender, phone, pc]) await joined(stream, jid)
  const named = new Set<string>()
  xmpp.onFrame = ({ name, attrs }) => name === 'deliver' && attrs['id'] && named.add(attrs['id'])
  const ids = ['first', 'second', 'third'].map((content) => sayIn(sender, jid, content)) as [string, string, string]
  await eventually(() => ids.every((id) => named.has(id)))
  t.pass('the server can tell which were not confirmed')
  const inRooms = async () =>
    (await api.call(pushedMessages.getUnconfirmed, { userIds: `${people.alice},${people.bob}`, since: 1 })).inRooms
  const stored = async () => (await deps.presences.of([people.bob])).get(people.bob)
  phone.end(ids)
  await eventually(async () => (await stored())?.at[0]?.resources.join() === 'pc')
  t.strictSame(await inRooms(), [], 'they are on the other one')
  pc.end([ids[1]])
  await eventually(async () => (await stored())?.online === false)
  t.strictSame(await inRooms(), [{ userId: people.bob, messageIds: [ids[1]] }])
  const back = await online(people.bob)
  await eventually(async () => (await stored())?.online)
  t.strictSame(await inRooms(), [], 'they have the history of the room')
  const pad = await online(people.bob, { resource: 'pad' })
  await eventually(async () => (await stored())?.at[0]?.resources.length === 2)
  // Both are lost in the same moment: one has what the other has not.
  back.end([ids[0], ids[2]])
  pad.end([ids[1], ids[2]])
  await eventually(async () => (await stored())?.online === false)
  t.strictSame(await inRooms(), [{ userId: people.bob, messageIds: [ids[2]] }])
  await queries.demandIndexes(t)
})
