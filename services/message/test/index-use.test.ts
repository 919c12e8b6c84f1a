import { archive, presence, pushedMessages, search, talks } from '@im/contracts/message'
import { passwordReplaced, sessionRevoked, settingsChanged, userLocked, userUpdated } from '@im/contracts/user'
import { eventPublisher, eventually, watchQueries } from '@im/service-kit/testing'
import { test } from 'tap'
import { createLog } from './start-archive.ts'
import { alice, bob, carol, startMessage } from './start-message.ts'

test('every query the service sends uses an index', async (t) => {
  const im = await startMessage(t, { config: { recallLimitSeconds: 60 } })
  const { xmpp, online, api, deps, env } = im
  const queries = watchQueries(deps)
  const log = createLog(deps)
  const room = 'a'.repeat(32)

  const sender = await online(alice)
  const receiver = await online(bob, { confirming: false })
  sender.say({ to: bob, id: 'm1', body: { content: '今天下午三点开会' } })
  sender.say({ to: carol, id: 'm2', body: { content: 'for later' } })
  await xmpp.drained(2000).catch(() => {})
  receiver.confirm()
  const late = xmpp.connect(carol)
  await eventually(() => late.messages.length === 1)
  receiver.end()

  await log.say(alice, room, { content: 'to a room' })
  await log.say(alice, bob, { content: 'expired', deleteTime: 1 })
  await log.say(alice, bob, { content: 'late', ts: Date.now() - 5000 })
  const read = await log.say(alice, bob, { content: 'read' })
  const recalled = await log.say(alice, bob, { content: 'recalled' })
  await log.archive([log.read(bob, alice, [read]), log.recall(alice, bob, [recalled, 'unknown'])])
  await log.archive([log.recall(alice, room, ['x'], { anybody: true })])

  const as = { as: alice }
  const now = Math.floor(Date.now() / 1000)
  await api.call(archive.listLastChats, {}, as)
  await api.call(archive.listLastChats, { startTime: now - 100, endTime: now + 100, pageSize: 1 }, as)
  for (const more of [{}, { pageIndex: 1, pageSize: 1 }, { startTime: now - 100 }, { endTime: now, pageSize: 1 }])
    await api.call(archive.listSingleHistory, { receiver: bob, ...more }, as)
  await api.call(archive.getMessage, { messageId: read, type: 1 }, as)
  await api.envelope(archive.getMessage, { messageId: read, type: 2, roomJid: room }, as)
  await api.call(archive.markRead, { messageId: read }, { as: bob })
  for (const more of [{}, { receiver: bob }, { fromUserId: bob }, { contentType: 1 }, { startTime: now - 100 }])
    await api.call(search.searchMessages, { keyword: '下午', ...more }, as)
  await eventually(async () => (await deps.searchIndex.backlog.find().toArray()).length === 0, 20_000)
  await api.call(search.searchMessages, { keyword: '下午 三点' }, as)
  await api.call(archive.deleteMessages, { messageId: read, type: 1, delete: 1 }, { as: bob })
  await api.call(archive.deleteMessages, { messageId: 'm1', delete: 2 }, as)
  await api.call(archive.clearChats, { type: 0, toUserId: bob }, as)
  await api.call(archive.clearChats, { type: 1 }, { as: bob })
  await api.call(presence.setOnlineState, { userId: bob, OnlineState: 1 })
  for (const peers of [undefined, String(alice)]) await api.call(talks.getTalks, { userId: bob, peers })
  await api.call(pushedMessages.getUnconfirmed, { userIds: `${bob},${carol}`, since: 0 })
  await api.call(pushedMessages.getPresent, { userIds: `${bob},${carol}` })

  const announce = eventPublisher(t, env)
  const at = Date.now()
  await announce(userUpdated, bob, { userId: bob, nickname: 'Bob', account: 'bob', updatedAt: at })
  await announce(settingsChanged, bob, { userId: bob, changed: [], multipleDevices: 1, allowGreet: 1, at })
  await announce(passwordReplaced, bob, { userId: bob, version: 2, at })
  const ended = { userId: bob, sessionIds: ['a'.repeat(64)], devices: ['android'], reason: 'logout', at }
  await announce(sessionRevoked, bob, ended)
  await announce(userLocked, bob, { userId: bob, locked: true, at })
  await announce(userLocked, bob, { userId: bob, locked: false, at })
  const handled = async () =>
    (await deps.metrics.getSingleMetricAsString('im_events_handled_total')).match(/outcome="done"/g)
  await eventually(async () => (await handled())?.length === 5)

  for (const collection of ['messages', 'chats', 'mailbox', 'presence', 'outbox', 'event_shards'])
    t.ok(queries.collections().has(collection), `${collection} of ${[...queries.collections()]}`)
  await queries.demandIndexes(t)
})
