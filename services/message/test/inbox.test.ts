import assert from 'node:assert/strict'
import { archive } from '@im/contracts/message'
import { eventually } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { startMessage } from './start-message.ts'

/** What a message became, as the test knows it. */
interface Known {
  id: string
  from: number
  to: number
  at: number
  arrival: number
  expires: number
  hiddenFor: Set<number>
  listed: boolean
}

test('list of chats', async (t) => {
  let clock = Date.now()
  const im = await startMessage(t, { overrides: { now: () => clock } })
  await eventually(() => im.xmpp.connected)

  let nextUser = 10001000
  const person = fc.integer({ min: 0, max: 2 })
  const action = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('say' as const), from: person, second: fc.nat(20) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('burst' as const),
        all: fc.array(fc.tuple(person, fc.nat(20)), { minLength: 2, maxLength: 6 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('whisper' as const), from: person, second: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('hide' as const), who: person, which: fc.nat(30) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('recall' as const), which: fc.nat(30) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const), who: person }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('reconnect' as const) }) },
  )

  type Action = typeof action extends fc.Arbitrary<infer A> ? A : never
  /** What was remembered of the chat after the first late message let the second one take its place. */
  const lateAfterReconnection: Action[] = [
    { do: 'say', from: 0, second: 1 },
    { do: 'reconnect' },
    { do: 'say', from: 0, second: 0 },
    { do: 'say', from: 0, second: 0 },
  ]

  /** An own row as old as the common row that came after it. */
  const sameSecondAfterClearing: Action[] = [
    { do: 'say', from: 0, second: 3 },
    { do: 'clear', who: 0 },
    { do: 'say', from: 0, second: 3 },
  ]

  t.test(
    'shows the newest message each side can still see, whatever is sent late, hidden, recalled, cleared or expired',
    async (t) => {
      await t.resolves(
        fc.assert(
          fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 25 }), async (actions) => {
            const people = [nextUser++, nextUser++, nextUser++] as const
            const base = Math.floor(Date.now() / 1000) - 1000
            clock = Date.now()
            let arrival = Date.now()
            const known: Known[] = []
            const isSeen = (message: Known, who: number) =>
              (message.from === who || message.to === who) &&
              !message.hiddenFor.has(who) &&
              !(message.expires > 0 && message.expires * 1000 <= clock)

            /** Up to where each chat was cleared by one of its sides: what comes later stands behind that, however late it is. */
            const bounds = new Map<string, number>()
            const chatOf = ({ from, to }: { from: number; to: number }) => [from, to].sort().join()
            const say = (from: number, second: number, listed: boolean, lives = 0) => {
              const to = (from + 1) % 3
              const expires = lives ? Math.floor(clock / 1000) + lives : -1
              const [sender, receiver] = [people[from]!, people[to]!]
              arrival += 1
              const id = im.xmpp.say({
                from: sender,
                to: String(receiver),
                stamp: arrival,
                body: { type: listed ? 1 : 95, timeSend: base + second, deleteTime: expires },
              })
              const at = Math.max(base + second, bounds.get(chatOf({ from: sender, to: receiver })) ?? 0)
              known.push({ id, from: sender, to: receiver, at, arrival, expires, hiddenFor: new Set(), listed })
            }

            for (const step of actions) {
              if (step.do === 'say') say(step.from, step.second, true, step.second % 5 === 0 ? 50 : 0)
              else if (step.do === 'burst') for (const [from, second] of step.all) say(from, second, second !== 7)
              else if (step.do === 'whisper') say(step.from, step.second, false)
              else if (step.do === 'hide') {
                const who = people[step.who]!
                const seen = known.filter((message) => isSeen(message, who))
                const message = seen[step.which % Math.max(1, seen.length)]
                if (!message) continue
                await im.api.call(archive.deleteMessages, { messageId: [message.id], delete: 1 }, { as: who })
                message.hiddenFor.add(who)
              } else if (step.do === 'recall') {
                const message = known[step.which % Math.max(1, known.length)]
                if (!message || !isSeen(message, message.from)) continue
                await im.api.call(archive.deleteMessages, { messageId: [message.id], delete: 2 }, { as: message.from })
                for (const who of people) message.hiddenFor.add(who)
              } else if (step.do === 'clear') {
                const who = people[step.who]!
                await im.api.call(archive.clearChats, { type: 1 }, { as: who })
                for (const message of known)
                  if (message.from === who || message.to === who) {
                    message.hiddenFor.add(who)
                    bounds.set(chatOf(message), Math.max(bounds.get(chatOf(message)) ?? 0, message.at + 0.001))
                  }
              } else if (step.do === 'wait') clock += 60_000
              else {
                const before = im.xmpp.connections
                im.xmpp.cut()
                await eventually(() => im.xmpp.connections > before)
              }

              await im.xmpp.drained()
              for (const who of people) {
                const expected = people
                  .filter((peer) => peer !== who)
                  .flatMap((peer) => {
                    const [newest] = known
                      .filter((message) => message.listed && isSeen(message, who))
                      .filter(({ from, to }) => from === peer || to === peer)
                      .sort((a, b) => b.at - a.at || b.arrival - a.arrival)
                    return newest ? [{ jid: String(peer), messageId: newest.id, at: newest.at }] : []
                  })
                  .sort((a, b) => b.at - a.at)
                const rows = await im.api.call(archive.listLastChats, {}, { as: who })
                const shown = (row: { jid: string; messageId: string }) => `${row.jid} ${row.messageId}`
                assert.deepEqual(rows.map(shown).sort(), expected.map(shown).sort())
                assert.deepEqual(
                  rows.map(({ timeSend }) => timeSend),
                  expected.map(({ at }) => Math.floor(at)),
                )
                assert.ok(rows.every(({ userId, isRoom }) => userId === String(who) && isRoom === 0))
                if (step !== actions.at(-1)) continue
                const first = await im.api.call(archive.listLastChats, { pageSize: 1 }, { as: who })
                const second = await im.api.call(archive.listLastChats, { pageSize: 1, pageIndex: 1 }, { as: who })
                assert.deepEqual([...first, ...second], rows)
              }
            }
          }),
          { numRuns: 20, examples: [[lateAfterReconnection], [sameSecondAfterClearing]] },
        ),
      )
    },
  )
})
