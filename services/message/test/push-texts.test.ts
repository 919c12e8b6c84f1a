import { presence, pushedMessages } from '@im/contracts/message'
import { eventually, watchQueries } from '@im/service-kit/testing'
import { test } from 'tap'
import { roomConversation, singleConversation } from '../src/messages/conversations.ts'
import { startArchive } from './start-archive.ts'
import * as people from './start-message.ts'
import { startMessage } from './start-message.ts'

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
