import { archive, messageRecalled } from '@im/contracts/message'
import { recordEvents } from '@im/service-kit/testing'
import { test } from 'tap'
import { createLog, startArchive } from './start-archive.ts'

test('recalls', async (t) => {
  let clock = Date.now()
  const im = await startArchive(t, { config: { recallLimitSeconds: 120 }, overrides: { now: () => clock } })
  const { log, deps } = im
  const texts = async (a: number, b: number) => (await im.history(b, a)).map(({ content }) => content)

  t.test('a 202 recalls what came before it in the log, whether deleteMsg was too early or never came', async (t) => {
    const [a, b] = im.pair()
    const recalled = log.entry(a, b, { content: 'recalled' })
    await im.remove(a, [recalled.store.messageId], 2)
    await log.archive([log.entry(a, b, { content: 'stays' }), recalled])
    t.strictSame((await texts(a, b)).sort(), ['recalled', 'stays'], 'deleteMsg was too early')
    const events = await recordEvents(t, im.env, messageRecalled)
    t.strictSame(await log.archive([log.recall(a, b, [recalled.store.messageId])]), ['new'])
    t.strictSame(await texts(a, b), ['stays'])
    t.equal((await im.chats(b))[0]?.content, 'stays')
    await im.until(() => events.some(({ messageIds }) => messageIds.includes(recalled.store.messageId)))
    const other = await log.say(a, b)
    await log.archive([log.recall(a, b, [recalled.store.messageId])])
    await log.archive([log.recall(a, b, [other])])
    await im.until(() => events.some(({ messageIds }) => messageIds.includes(other)))
    t.equal(events.length, 2, 'what is recalled already is not told again')
  })

  t.test('a message and its recall in one batch: nobody sees it, nothing keeps its text', async (t) => {
    const [a, b] = im.pair()
    const entry = log.entry(a, b, { content: '一批之内撤回的话' })
    const outcomes = await log.archive([
      log.entry(a, b, { content: 'before' }),
      entry,
      log.recall(a, b, [entry.store.messageId]),
    ])
    t.strictSame(outcomes, ['new', 'gone', 'new'])
    t.strictSame(await texts(a, b), ['before'])
    t.equal((await im.chats(a))[0]?.content, 'before')
    await im.until(async () => (await im.placesOf('一批之内撤回的话')).length === 0)
  })

  t.test('a recall that overtakes its message through another log keeps it out', async (t) => {
    const [a, b] = im.pair()
    const late = log.entry(a, b, { content: 'late' })
    await createLog(deps).archive([createLog(deps).recall(a, b, [late.store.messageId])])
    t.strictSame(await log.archive([late]), ['gone'])
    t.strictSame(await texts(a, b), [])
    t.strictSame(await im.chats(b), [])
  })

  t.test('it takes only own messages, and only within the limit', async (t) => {
    const [a, b] = im.pair()
    const theirs = await log.say(b, a, { content: 'theirs' })
    const old = await log.say(a, b, { content: 'old', ts: Date.now() - 300_000 })
    await log.archive([log.recall(a, b, [theirs, old])])
    t.strictSame((await texts(a, b)).sort(), ['old', 'theirs'])
    await log.archive([log.recall(a, b, [old], { ts: Date.now() - 240_000 })])
    t.strictSame(
      await texts(a, b),
      ['theirs'],
      'what counts is when the recall came, however long it waited in the log',
    )
    // The peer's own id is not blocked by the recall of somebody else who named it.
    t.strictSame(await log.archive([log.entry(b, a, { id: 'named-before' })]), ['new'])
    await log.archive([log.recall(a, b, ['named-later'])])
    t.strictSame(await log.archive([log.entry(b, a, { id: 'named-later' })]), ['new'])
  })

  t.test('one recall takes 200 messages at most', async (t) => {
    const [a, b] = im.pair()
    const [first, last] = [await log.say(a, b, { content: 'first' }), await log.say(a, b, { content: 'last' })]
    const unknown = Array.from({ length: 199 }, (_, n) => `unknown ${n}`)
    await log.archive([log.recall(a, b, [first, ...unknown, last])])
    t.strictSame(await texts(a, b), ['last'])
  })

  t.test('what was refused and then recalled comes in no later attempt either', async (t) => {
    const [a, b] = im.pair()
    const { tap, store } = log.entry(a, b)
    const { conversation, messageId, from, ts } = store
    const refuse = {
      conversation,
      messageId,
      from,
      ts,
      refusal: { condition: 'not-allowed', text: 'blocked' } as const,
    }
    t.strictSame(await log.archive([{ tap, refuse }]), ['refused'])
    await log.archive([log.recall(a, b, [messageId])])
    t.strictSame(await log.archive([log.entry(a, b, { id: messageId, ts: Date.now() + 1000 })]), ['gone'])
  })

  t.test('in a room the author recalls, and with the right to it somebody else', async (t) => {
    const [a, b] = im.pair()
    const room = 'f'.repeat(32)
    const [one, two, three] = await Promise.all([1, 2, 3].map((n) => log.say(a, room, { content: `room ${n}` })))
    const kept = async () =>
      (await deps.messages.collection.find({ roomJid: room, contentType: 1, gone: { $ne: true } }).toArray()).length
    await log.archive([log.recall(b, room, [one!])])
    t.equal(await kept(), 3, 'a member takes back nothing of others')
    await log.archive([log.recall(a, room, [one!]), log.recall(b, room, [two!], { anybody: true })])
    t.equal(await kept(), 1)
    t.ok(await deps.messages.collection.findOne({ messageId: three!, gone: { $ne: true } }))
  })

  t.test('a replay of the recall changes nothing, and a copy of what it took stays away', async (t) => {
    const [a, b] = im.pair()
    const entry = log.entry(a, b)
    const recall = log.recall(a, b, [entry.store.messageId])
    await log.archive([entry, recall])
    t.strictSame(await log.archive([entry, recall]), ['gone', 'replayed'])
    t.strictSame(await log.archive([log.entry(a, b, { id: entry.store.messageId })]), ['gone'])
    t.strictSame(await im.history(b, a), [])
    t.strictSame(
      (await im.history(b, a, { maxType: 1000 })).map(({ contentType }) => contentType),
      [202],
    )
  })

  t.test('while late messages come in, no list shows an older message than the newest one left', async (t) => {
    const base = Date.now() / 1000
    for (let round = 0; round < 25; round++) {
      const [a, b] = im.pair()
      await log.say(a, b, { content: 'old', timeSend: base - 60 })
      const newest = await log.say(a, b, { content: 'newest', timeSend: base })
      await Promise.all([
        im.remove(a, [newest], 2),
        log.say(b, a, { content: 'late', timeSend: base - 30 }),
        im.chats(b),
      ])
      for (const who of [a, b]) t.equal((await im.chats(who))[0]?.content, 'late', `round ${round}`)
    }
  })

  t.test('recalled, it is found by none of the ways to a message', async (t) => {
    const [a, b] = im.pair()
    const id = await log.say(a, b)
    await im.remove(a, [id], 2)
    for (const who of [a, b])
      t.equal((await im.api.envelope(archive.getMessage, { messageId: id }, { as: who })).resultCode, 1400101)
    clock = Date.now()
  })
})
