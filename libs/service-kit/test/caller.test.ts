import { readCaller, signCaller } from '@im/service-kit'
import fc from 'fast-check'
import { test } from 'tap'

const alice = { userId: 10_000_001, sessionId: 's', device: 'ios', kind: 'user' } as const
const claims = { caller: alice, token: 't', ip: '1.2.3.4', requestId: 'r', proto: 'https', host: 'im.test' } as const
const request = { method: 'POST', url: '/user/get?a=1' }
const now = 1_000_000_000
const unreadable = { name: 'CallerUnreadableError' }

test('the caller header says what was signed', async (t) => {
  t.strictSame(readCaller(['key'], signCaller(['key'], claims, request, now), request, now), claims)
  t.equal(readCaller(['key'], undefined, request, now), undefined)
})

test('clocks may be minutes apart', async (t) => {
  const header = signCaller(['key'], claims, request, now)
  for (const skew of [-299_000, 299_000]) t.strictSame(readCaller(['key'], header, request, now + skew), claims)
  for (const skew of [-301_000, 301_000]) t.throws(() => readCaller(['key'], header, request, now + skew), unreadable)
})

test('keys change while the fleet runs: the first signs, all are believed', async (t) => {
  const header = signCaller(['new', 'old'], claims, request, now)
  t.strictSame(readCaller(['old', 'new'], header, request, now), claims)
  t.strictSame(readCaller(['new'], header, request, now), claims)
  t.throws(() => readCaller(['old'], header, request, now), unreadable)
})

test('the header is good for its own request only', async (t) => {
  const header = signCaller(['key'], claims, request, now)
  for (const other of [
    { method: 'GET', url: request.url },
    { method: 'POST', url: '/user/get' },
    { method: 'POST', url: '/user/get?a=2' },
  ])
    t.throws(() => readCaller(['key'], header, other, now), unreadable)
})

test('a header that is forged, cut or nonsense is unreadable', async (t) => {
  const header = signCaller(['key'], claims, request, now)
  const [text = '', seal = ''] = header.split('.')
  const other = Buffer.from(text, 'base64url').toString().replace('10000001', '10000002')
  const changed = Buffer.from(other).toString('base64url')
  for (const bad of [`${changed}.${seal}`, text, `${text}.`, '.', '', `.${seal}`, `${header}x`])
    t.throws(() => readCaller(['key'], bad, request, now), unreadable, bad)
  const isRefused = (sent: string) => {
    try {
      return readCaller(['key'], sent, request, now) === undefined
    } catch (error) {
      return (error as Error).name === unreadable.name
    }
  }
  t.doesNotThrow(() => fc.assert(fc.property(fc.string(), isRefused)))
})
