import { xmppChecks } from '@im/contracts/message'
import { test } from 'tap'
import type { FriendRow } from '../src/checks/relations.ts'
import { alice, bob, startMessage } from './start-message.ts'

const strangers = undefined
const row = (status: FriendRow['status'], hasBlocked = false): FriendRow => ({ status, hasBlocked })

test('who may write what follows from the rows of both sides', async (t) => {
  const rows = new Map<string, FriendRow>()
  const colleagues = { are: false }
  const { api, user } = await startMessage(t, {
    overrides: {
      relations: {
        rowOf: async (owner, peer) => rows.get(`${owner} ${peer}`),
        areColleagues: async () => colleagues.are,
      },
    },
  })
  /** Types that alice may send to bob. */
  async function allowed(own: FriendRow | undefined, other: FriendRow | undefined): Promise<number[]> {
    rows.clear()
    if (own) rows.set(`${alice} ${bob}`, own)
    if (other) rows.set(`${bob} ${alice}`, other)
    const types = [1, 26, 100, 136, 500, 501, 502, 503, 504, 505, 507, 508, 509, 510]
    const answers = await Promise.all(
      types.map((type) => api.call(xmppChecks.checkMessage, { from: alice, to: bob, type })),
    )
    for (const { allow, condition, text } of answers)
      if (!allow) t.strictSame([condition, typeof text], ['not-allowed', 'string'])
    return types.filter((_, n) => answers[n]?.allow)
  }
  const talk = [1, 26, 100, 136]
  const free = [504, 505, 509]

  t.strictSame(await allowed(strangers, strangers), [...talk, ...free])
  t.strictSame(await allowed(row(1), strangers), [...talk, 500, 502, 503, ...free])
  t.strictSame(await allowed(strangers, row(1)), [...talk, 502, ...free])
  t.strictSame(await allowed(row(2), row(1)), [...talk, 500, 502, 503, ...free])
  t.strictSame(await allowed(row(2), row(2)), [...talk, 500, 501, 502, 503, 504, 505, 508, 509, 510])
  t.strictSame(await allowed(row(2, true), row(2)), [...talk, ...[500, 501, 502, 503, 504, 505, 507, 508, 509, 510]])
  t.strictSame(await allowed(row(2), row(2, true)), free)

  const carol = bob + 1
  user.contacts.set(carol, { allowGreet: 0 })
  const greet = async () => (await api.call(xmppChecks.checkMessage, { from: alice, to: carol, type: 1 })).allow === 1
  rows.clear()
  t.equal(await greet(), false)
  colleagues.are = true
  t.equal(await greet(), true)
  colleagues.are = false
  rows.set(`${carol} ${alice}`, row(0))
  t.equal(await greet(), true)
})

test('public and system accounts write to whoever takes no greetings, and are written to', async (t) => {
  const { api, user } = await startMessage(t)
  const [news, dave, system] = [10000020, 10000021, 10000]
  user.contacts.set(news, { userType: 2, allowGreet: 0 })
  user.contacts.set(dave, { allowGreet: 0 })
  const may = async (from: number, to: number) =>
    (await api.call(xmppChecks.checkMessage, { from, to, type: 1 })).allow === 1
  t.strictSame(
    [await may(alice, dave), await may(news, dave), await may(alice, news), await may(system, dave)],
    [false, true, true, true],
  )
})
