import { xml } from '@xmpp/component'
import { test } from 'tap'
import type { MessageDocument } from '../src/messages/message-document.ts'
import { historyFor, readWish } from '../src/rooms/room-history.ts'

const now = Date.parse('2026-01-01T00:00:00Z')
const wishOf = (history: Record<string, string>) =>
  readWish(xml('presence', {}, xml('x', {}, xml('history', history))), now)

test('a client wishes for what came since a moment or within seconds, and for so many messages and characters', (t) => {
  const [messages, characters] = [100, 2 * 2 ** 20]
  const everything = { since: 0, messages, characters }
  t.strictSame(readWish(xml('presence'), now), everything)
  t.strictSame(wishOf({ seconds: '60' }), { ...everything, since: now - 60_000 })
  t.strictSame(wishOf({ since: '2025-12-31T23:00:00Z' }), { ...everything, since: now - 3_600_000 })
  t.strictSame(wishOf({ since: '2025-12-31T23:00:00Z', seconds: '60' }), { ...everything, since: now - 60_000 })
  t.strictSame(wishOf({ seconds: '7200', since: '2025-12-31T23:00:00Z' }), { ...everything, since: now - 3_600_000 })
  t.equal(wishOf({ seconds: '0' }).messages, 0)
  t.strictSame(wishOf({ maxstanzas: '7', maxchars: '500' }), { since: 0, messages: 7, characters: 500 })
  t.strictSame(wishOf({ maxstanzas: '1000', maxchars: '999999999' }), everything, 'no client gets more')
  t.strictSame(
    wishOf({ seconds: '-1', since: 'soon', maxstanzas: 'all', maxchars: '1e3' }),
    everything,
    'nonsense says nothing',
  )
  t.end()
})

test('of what was said a member gets the newest they wish for, without a gap', (t) => {
  const said = [100, 10, 200, 30, 20].map((length, n) => ({
    message: { ts: now + n, deleteTime: -1, deletedFor: n === 3 ? [1] : [] } as unknown as MessageDocument,
    text: 'x'.repeat(length),
  }))
  const heard = (wish: object, since = 0) => {
    const member = { userId: 1, name: 'n', role: 3, talkTime: 0, joinedAt: since / 1000, since }
    const all = historyFor(said, member, { since: 0, messages: 100, characters: 1000, ...wish }, now)
    return said.flatMap((one, n) => (all.has(one) ? [n] : []))
  }
  t.strictSame(heard({}), [0, 1, 2, 4], 'what they deleted for themselves stays away')
  t.strictSame(heard({ since: now + 2 }), [2, 4])
  t.strictSame(heard({}, now + 1), [1, 2, 4], 'nor comes what was said before they joined')
  t.strictSame(heard({ messages: 2 }), [2, 4])
  t.strictSame(heard({ characters: 220 }), [2, 4])
  t.strictSame(heard({ characters: 219 }), [4], 'a shorter one behind a long one is not taken instead')
  t.end()
})
