import assert from 'node:assert/strict'
import { archive, ciphers, messageDeleted, messageRecalled } from '@im/contracts/message'
import { on } from '@im/service-kit'
import { eventually, failure, observeEvents } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { alice, bob, carol, startMessage } from './start-message.ts'

test('archive', async (t) => {
  const events: { name: string; messageIds: string[] }[] = []
  let clock = Date.now()

  const im = await startMessage(t, { config: { recallLimitSeconds: 120 }, overrides: { now: () => clock } })
  await observeEvents(
    t,
    im.env,
    [messageRecalled, messageDeleted].map((event) =>
      on(event, async ({ messageIds }) => events.push({ name: event.name, messageIds })),
    ),
  )
  await eventually(() => im.xmpp.connected)

  /** Two people no other test knows. */
  let nextUser = 10001000
  const pair = () => [nextUser++, nextUser++] as const
  const history = (owner: number, receiver: number, more = {}) =>
    im.api.call(archive.listSingleHistory, { receiver, ...more }, { as: owner })
  const chats = (owner: number, more = {}) => im.api.call(archive.listLastChats, more, { as: owner })
  async function forgetCursors() {
    const { redis } = im.deps
    const prefix = redis.options.keyPrefix ?? ''
    const keys = await redis.keys(`${prefix}history:*`)
    if (keys.length) await redis.del(keys.map((key) => key.slice(prefix.length)))
  }
  async function say(from: number, to: number, body: object = {}) {
    const id = im.xmpp.say({ from, to: String(to), body })
    await im.xmpp.drained()
    return id
  }

  t.test('pages of a history have no gap and no double, newest first, whatever the times', async (t) => {
    await t.resolves(
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 30 }),
          fc.integer({ min: 1, max: 7 }),
          fc.boolean(),
          async (times, pageSize, forgetful) => {
            const [a, b] = pair()
            const base = Math.floor(Date.now() / 1000) - 60
            const stamp = Date.now()
            for (const [n, time] of times.entries())
              im.xmpp.say({ from: n % 2 ? a : b, to: String(n % 2 ? b : a), stamp, body: { timeSend: base + time } })
            await im.xmpp.drained()
            const all = await history(a, b, { pageSize: 1000 })
            assert.equal(all.length, times.length)
            assert.deepEqual(
              all.map(({ timeSend }) => timeSend - base),
              [...times].sort((x, y) => y - x),
            )
            const paged = []
            for (let pageIndex = 0; ; pageIndex++) {
              if (forgetful) await forgetCursors()
              const page = await history(a, b, { pageIndex, pageSize })
              paged.push(...page)
              if (page.length < pageSize) break
            }
            assert.deepEqual(
              paged.map(({ messageId }) => messageId),
              all.map(({ messageId }) => messageId),
            )
          },
        ),
        { numRuns: 12 },
      ),
    )
  })

  t.test('a range of time takes in the whole seconds of its ends, in seconds or milliseconds', async (t) => {
    const [a, b] = pair()
    const base = Math.floor(Date.now() / 1000) - 100
    for (const offset of [0, 10.25, 10.75, 20]) await say(a, b, { timeSend: base + offset })
    const inRange = async (startTime: number, endTime: number) =>
      (await history(a, b, { startTime, endTime })).map(({ timeSend }) => timeSend - base)
    t.strictSame(await inRange(base + 10.9, base + 10), [10.75, 10.25])
    t.strictSame(await inRange((base + 10) * 1000, (base + 20) * 1000), [20, 10.75, 10.25])
    t.strictSame(await inRange(0, base + 9), [0])
    t.strictSame(await history(a, a), [])
  })

  t.test('the list of chats shows the newest displayable message of each peer to both', async (t) => {
    const [a, b] = pair()
    const c = nextUser++
    const base = Date.now() / 1000
    await say(a, b, { content: 'one', timeSend: base - 9, fromUserName: 'A', toUserName: 'B' })
    const two = await say(b, a, { content: 'two', timeSend: base - 5, fromUserName: 'B', toUserName: 'A' })
    await say(a, b, { type: 202, content: 'x', timeSend: base - 1 })
    await say(a, b, { content: 'late', timeSend: base - 8 })
    await say(c, a, { content: 'three', timeSend: base - 2 })
    const list = await chats(a)
    t.strictSame(
      list.map(({ jid, content }) => [jid, content]),
      [
        [String(c), 'three'],
        [String(b), 'two'],
      ],
    )
    t.strictSame(list[1], {
      jid: String(b),
      isRoom: 0,
      type: 1,
      messageId: two,
      timeSend: Math.floor(base - 5),
      content: 'two',
      isEncrypt: 0,
      userId: String(a),
      from: String(b),
      fromUserName: 'B',
      to: String(a),
      toUserName: 'A',
    })
    t.strictSame((await chats(b))[0]?.jid, String(a))
    t.equal((await chats(a, { pageSize: 1, pageIndex: 1 }))[0]?.jid, String(b))
  })

  t.test('deleting for oneself hides one copy; the last chat moves back', async (t) => {
    const [a, b] = pair()
    const first = await say(a, b, { content: 'first' })
    const second = await say(b, a, { content: 'second' })
    await im.api.call(archive.deleteMessages, { messageId: `${second},unknown`, delete: 1 }, { as: a })
    t.strictSame(
      (await history(a, b)).map(({ messageId }) => messageId),
      [first],
    )
    t.equal((await history(b, a)).length, 2)
    t.equal((await chats(a))[0]?.messageId, first)
    t.equal((await chats(b))[0]?.messageId, second)
    await im.api.call(archive.deleteMessages, { messageId: first }, { as: a })
    t.strictSame(await chats(a), [])
    await eventually(() =>
      events.some(({ name, messageIds }) => name === messageDeleted.name && messageIds[0] === second),
    )
    await t.rejects(im.api.call(archive.getMessage, { messageId: first }, { as: a }), failure('MessageNotFound'))
    t.equal((await im.api.call(archive.getMessage, { messageId: first }, { as: b }))._id.length, 24)
    await t.rejects(im.api.call(archive.getMessage, { messageId: first }, { as: carol }), failure('MessageNotFound'))
  })

  t.test(
    'a recall takes all or nothing, only own messages and in time; a late copy does not bring one back',
    async (t) => {
      const [a, b] = pair()
      const recall = (owner: number, ...ids: string[]) =>
        im.api.envelope(archive.deleteMessages, { messageId: ids.join(), type: 1, delete: 2 }, { as: owner })
      const kept = await say(a, b)
      const mine = await say(a, b)
      const theirs = await say(b, a)
      t.equal((await recall(a, mine, theirs)).resultCode, 1400102)
      t.equal((await history(b, a)).length, 3)
      const answer = await recall(a, mine)
      t.equal(answer.resultCode, 1)
      t.ok(!('data' in answer))
      for (const [owner, peer] of [
        [a, b],
        [b, a],
      ] as const)
        t.ok((await history(owner, peer)).every(({ messageId }) => messageId !== mine))
      im.xmpp.say({ from: a, to: String(b), id: mine })
      await im.xmpp.drained()
      t.equal((await history(b, a)).length, 2)
      const stone = await im.deps.messages.collection.findOne({ messageId: mine })
      t.equal(stone?.body, '')
      await eventually(() =>
        events.some(({ name, messageIds }) => name === messageRecalled.name && messageIds[0] === mine),
      )
      clock = Date.now() + 121_000
      t.equal((await recall(a, kept)).resultCode, 1400103)
      clock = Date.now()
      t.equal((await recall(carol, kept)).resultCode, 1, 'not a message of hers: nothing happens')
      t.equal((await history(a, b)).length, 2)
      t.equal(
        (await im.api.envelope(archive.deleteMessages, { messageId: kept, delete: 3 }, { as: a })).resultCode,
        1010101,
      )
    },
  )

  t.test('clearing a chat leaves the copy of the peer; clearing all clears each', async (t) => {
    const [a, b] = pair()
    const c = nextUser++
    await say(a, b)
    await say(c, a)
    t.equal((await im.api.envelope(archive.clearChats, { type: 0 }, { as: a })).resultCode, 1010102)
    await im.api.call(archive.clearChats, { type: 0, toUserId: b }, { as: a })
    t.strictSame(
      (await chats(a)).map(({ jid }) => jid),
      [String(c)],
    )
    t.equal((await history(a, b)).length, 0)
    t.equal((await history(b, a)).length, 1)
    await im.api.call(archive.clearChats, { type: 1 }, { as: a })
    t.strictSame(await chats(a), [])
    t.equal((await history(c, a)).length, 1)
  })

  t.test('an expired message is invisible at once and the last chat moves past it', async (t) => {
    const [a, b] = pair()
    const stays = await say(a, b, { content: 'stays' })
    await say(a, b, { content: 'goes', deleteTime: Math.floor(Date.now() / 1000) + 60 })
    t.equal((await chats(b))[0]?.content, 'goes')
    clock = Date.now() + 61_000
    t.equal((await chats(b))[0]?.messageId, stays)
    t.strictSame(
      (await history(b, a)).map(({ messageId }) => messageId),
      [stays],
    )
    clock = Date.now()
  })

  t.test('the receiver marks messages as read for both sides', async (t) => {
    const [a, b] = pair()
    const id = await say(a, b)
    await im.api.call(archive.markRead, { messageId: id }, { as: a })
    t.equal((await history(a, b))[0]?.isRead, 0, 'the author cannot')
    await im.api.call(archive.markRead, { messageId: id }, { as: b })
    t.equal((await history(a, b))[0]?.isRead, 1)
  })

  t.test('pages too deep to skip to are refused', async (t) => {
    await say(alice, bob)
    const answer = await im.api.envelope(archive.listSingleHistory, { receiver: bob, pageIndex: 500 }, { as: alice })
    t.equal(answer.resultCode, 1010101)
  })

  t.test('the hot queries use their indexes', async (t) => {
    const { messages, chats } = im.deps
    const stages = (plan: unknown) => JSON.stringify(plan)
    const newest = { timeSend: -1, ts: -1, _id: -1 } as const
    const page = messages.collection.find({ conversation: 'u:1:2', timeSend: { $lt: 5 } }).sort(newest)
    const plans = [
      await page.limit(50).explain(),
      await messages.collection.find({ messageId: { $in: ['a', 'b'] } }).explain(),
      await messages.collection.find({ messageId: { $in: ['a', 'b'] }, conversation: 'u:1:2', from: 1 }).explain(),
      await messages.collection.find({ messageId: { $in: ['a', 'b'] }, from: 1, to: 2 }).explain(),
      await messages.collection.find({ expireAt: { $lte: new Date() } }).explain(),
      await chats.collection
        .find({ 'low.user': 1, 'low.timeSend': { $gte: 1 } })
        .sort({ 'low.timeSend': -1, _id: -1 })
        .explain(),
      await chats.collection.find({ clearedBefore: { $gt: 1 } }).explain(),
      await chats.collection.find({ sweepAt: { $lte: new Date() } }).explain(),
      await im.deps.mailbox.collection
        .find({ user: 1, at: { $gte: 1 } })
        .sort({ at: 1, seq: 1, _id: 1 })
        .explain(),
    ].map(stages)
    for (const plan of plans) {
      t.match(plan, /IXSCAN/)
      t.notMatch(plan, /COLLSCAN/)
    }
  })

  t.test('texts go in and out of the cipher of the old apps', async (t) => {
    const vectors = [
      ['12345678', 'hello', 'z22d60mvVJo='],
      ['12345678', '你好，世界', 'CN9mOrJ9kW6m0bPwJQYKrw=='],
      ['12345678', '', 'b6RZDpUyxSI='],
      ['0123456789abcdef01234567', 'hello', 'QEIqe1Yub+s='],
      ['e10adc3949ba59abbe56e057f20f883e', 'hello', 'Zpyhu9D6b0E='],
    ] as const
    for (const [key, text, expected] of vectors) {
      t.strictSame(await im.api.call(ciphers.encryptText, { key, text }, { as: alice }), { text: expected })
      t.strictSame(await im.api.call(ciphers.decryptText, { key, text: expected }, { as: alice }), { text })
    }
    for (const call of [
      im.api.envelope(ciphers.encryptText, { key: 'short', text: 'x' }, { as: alice }),
      im.api.envelope(ciphers.decryptText, { key: '12345678', text: 'bm90IGNpcGhlcg==' }, { as: alice }),
    ])
      t.equal((await call).resultCode, 1400104)
  })
})
