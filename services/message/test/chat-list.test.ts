import type { ResultOf } from '@im/contracts'
import type { archive } from '@im/contracts/message'
import { test } from 'tap'
import { forgetMessages } from '../src/archive/forget-messages.ts'
import { refreshChats } from '../src/inbox/refresh-chats.ts'
import { roomConversation } from '../src/messages/conversations.ts'
import { createLog, startArchive } from './start-archive.ts'

type Rows = ResultOf<(typeof archive)['listLastChats']>

test('the list of chats of somebody with 6,000 of them', async (t) => {
  const im = await startArchive(t)
  const { log } = im
  const me = im.person()
  const first = 20_000_000
  const base = Math.floor(Date.now() / 1000) - 7000
  const peers = [...Array(6000).keys()].map((n) => first + n)
  // Ten chats share each second.
  for (let n = 0; n < peers.length; n += 250)
    await log.archive(
      peers.slice(n, n + 250).map((peer, at) => log.entry(peer, me, { timeSend: base + Math.floor((n + at) / 10) })),
    )
  const jids = (rows: Rows) => rows.map(({ jid }) => Number(jid))
  const page = (pageIndex: number, more = {}) => im.chats(me, { pageIndex, pageSize: 1000, ...more })

  t.test('comes in bounded answers, whole and in order', async (t) => {
    const all = [...(await im.chats(me)), ...(await im.chats(me, { pageIndex: 1 }))]
    t.equal(all.length, 6000)
    t.strictSame(
      all.map(({ timeSend }) => timeSend),
      peers.map((_, n) => base + Math.floor(n / 10)).reverse(),
    )
    t.equal(new Set(jids(all)).size, 6000)
    t.equal((await im.chats(me)).length, 5000)
    t.equal((await im.chats(me, { startTime: base + 590 })).length, 100)
    t.equal((await im.chats(me, { endTime: base + 9 })).length, 100)
  })

  t.test('has no hole and no double when chats move up, late messages come and others are recalled', async (t) => {
    const given: number[] = []
    const gone = new Set<number>()
    const now = Date.now() / 1000
    for (let pageIndex = 0; ; pageIndex++) {
      const rows = await page(pageIndex)
      given.push(...jids(rows))
      if (rows.length < 1000) break
      // Not given yet, given already, and to a place between what was given and what was not.
      await log.archive([
        log.entry(first + 100 + pageIndex, me, { timeSend: now }),
        log.entry(first + 5900 + pageIndex, me, { timeSend: now }),
        log.entry(first + 200 + pageIndex, me, { timeSend: rows.at(-1)!.timeSend + 3 }),
      ])
      const { messageId, jid } = rows[5]!
      await im.remove(Number(jid), [messageId], 2)
      gone.add(Number(jid))
    }
    t.equal(new Set(given).size, given.length, 'no doubles')
    t.strictSame(given.toSorted(), peers)
    t.ok(gone.size >= 5)
  })

  t.test('is paged anew from the start, by another device or without what was remembered', async (t) => {
    t.equal((await page(0)).length, 1000)
    await im.forgetCursors()
    t.equal((await page(3)).length, 1000)
    t.equal(
      (
        await im.api.envelope(
          (
            await import('@im/contracts/message')
          ).archive.listLastChats,
          { pageIndex: 50, pageSize: 1000 },
          { as: me },
        )
      ).resultCode,
      1010101,
    )
  })

  t.test('of 700 chats is cleared in several transactions', async (t) => {
    const other = im.person()
    for (let n = 0; n < 700; n += 350)
      await log.archive([...Array(350).keys()].map((at) => log.entry(first + n + at, other)))
    await im.clear(other)
    t.strictSame(await im.chats(other), [])
    t.ok((await im.chats(peers[0]!)).length > 0)
  })
})

test('each archived message writes its chat, also one that is not shown', async (t) => {
  const im = await startArchive(t)
  const [a, b] = im.pair()
  const base = Date.now() / 1000
  await im.log.say(a, b, { timeSend: base })
  const writes = async () => (await im.deps.chats.get(`u:${a}:${b}`))!.writes
  const before = await writes()
  await im.log.say(a, b, { timeSend: base - 60 })
  t.equal(await writes(), before + 1, 'so that a recall which shows an older message meets it')
})

test('a row of the list shows a line, not a book', async (t) => {
  const im = await startArchive(t)
  const [a, b] = im.pair()
  await im.log.say(a, b, { content: `${'长'.repeat(499)}😀${'x'.repeat(20_000)}` })
  const [row] = await im.chats(b)
  t.equal(row?.content, `${'长'.repeat(499)}😀`)
})

test('two replicas archive for the same chats at once', async (t) => {
  const im = await startArchive(t)
  const people = [...Array(6)].map(() => im.pair())
  const base = Date.now() / 1000
  const logs = [createLog(im.deps), createLog(im.deps)]
  await Promise.all(
    logs.map(async (log, which) => {
      for (let round = 0; round < 10; round++)
        await log.archive(
          people.map(([a, b]) => log.entry(which ? a : b, which ? b : a, { timeSend: base + round + which / 2 })),
        )
    }),
  )
  for (const [a, b] of people)
    for (const [owner, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      t.equal((await im.history(owner, peer)).length, 20)
      t.equal((await im.chats(owner))[0]?.timeSend, Math.floor(base + 9.5))
    }
})

test('what a room shows is the newest of its messages', async (t) => {
  const im = await startArchive(t)
  const { log, deps } = im
  const [me, other] = im.pair()
  const room = () => `r${im.person()}`
  const shownIn = async (jid: string) => {
    const [chat] = await deps.roomChats.byIds([roomConversation(jid)])
    return chat && (await deps.messages.collection.findOne({ _id: chat.shown }))?.content
  }

  t.test('also of those of one moment that come in several batches, in whatever order they are told', async (t) => {
    const jid = room()
    const at = Date.now()
    const [older, newer] = ['older', 'newer'].map((content) => log.entry(me, jid, { content, ts: at }))
    await log.archive([older!])
    await log.archive([newer!])
    t.equal(await shownIn(jid), 'newer')
    await log.archive([older!])
    t.equal(await shownIn(jid), 'newer', 'told again')
  })

  t.test('when it is stored while the one before is recalled', async (t) => {
    for (const hasOlder of [true, false]) {
      const jid = room()
      const base = Date.now()
      if (hasOlder) await log.say(me, jid, { content: 'older', ts: base - 2000 })
      const lost = await log.say(me, jid, { content: 'lost', ts: base })
      // Behind the recalled one, as a late message is.
      const meanwhile = log.entry(other, jid, { content: 'meanwhile', ts: base - 1000 })
      const newestListed: typeof deps.messages.newestListed = async (...range) => {
        const newest = await deps.messages.newestListed(...range)
        await log.archive([meanwhile])
        return newest
      }
      const { store } = log.entry(me, jid, { id: lost })
      const gone = [...(await deps.messages.known([store])).values()]
      await deps.outbox.commit((change) => forgetMessages(deps, gone, change))
      await refreshChats({ ...deps, messages: { newestListed } as typeof deps.messages }, gone)
      t.equal(await shownIn(jid), 'meanwhile')
    }
  })
})
