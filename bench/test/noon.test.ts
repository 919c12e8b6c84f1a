/** How the calls of a noon are judged. */
import { errors } from '@im/contracts'
import { test } from 'tap'
import { figuresOf, slowCalls, wrongCalls } from '../src/noon/judge-calls.ts'
import type { Replacement } from '../src/noon/replacements.ts'

const call = (beganAt: number, ms: number, resultCode = 1) => ({ path: `/${beganAt}`, beganAt, ms, resultCode })
const usual = Array.from({ length: 20 }, (_, n) => call(n, 10))
const social: Replacement = { name: 'social-2', how: 'ended', at: 1000, goneAt: 7000, wholeAt: 9000 }
const room: Replacement = { name: 'room', how: 'killed', at: 10_000, goneAt: 10_010, wholeAt: 12_000 }

test('a slow call is told beside what was being done to a process when it ended', async (t) => {
  const slow = [call(500, 300), call(2000, 261), call(6900, 400), call(7500, 500), call(9100, 700), call(11_000, 300)]
  const calls = [...usual, ...slow, call(3000, 259)]
  t.equal(figuresOf(calls).slow, 6)
  t.strictSame(slowCalls(calls, [social, room]), [
    { during: 'social-2 was starting', calls: 2, slowest: { path: '/7500', ms: 500 } },
    { during: 'before all', calls: 1, slowest: { path: '/500', ms: 300 } },
    { during: 'social-2 was ending', calls: 1, slowest: { path: '/2000', ms: 261 } },
    { during: 'after social-2', calls: 1, slowest: { path: '/9100', ms: 700 } },
    { during: 'room was starting', calls: 1, slowest: { path: '/11000', ms: 300 } },
  ])
})

test('only calls under way to a process that is killed may fail, and only with ServiceUnavailable', async (t) => {
  const { code } = errors.ServiceUnavailable
  const gone = call(9990, 50, 0)
  t.match(wrongCalls([call(5000, 10, code), call(9995, 40, code), gone], [room]), [
    /^\/5000 answered \d+/,
    /^\/9990 answered nothing/,
  ])
  t.strictSame(wrongCalls([gone], [{ ...room, name: 'gateway-2' }]), [])
})
