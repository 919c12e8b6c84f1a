import { Writable } from 'node:stream'
import { eventually } from '@im/service-kit/testing'
import { pino } from 'pino'
import { type Test, test } from 'tap'
import { CallLog } from '../src/call-log.ts'
import { alice, codes, form, newToken, startGateway } from './stage.ts'

interface Line {
  msg: string
  requestId: string
  path: string
  outcome: string
  userId?: number
  ip: string
  ms: number
  [other: string]: unknown
}

/** A gateway whose log the test reads. */
async function startLogged(t: Test, env: Record<string, string> = {}) {
  const lines: Line[] = []
  const stream = new Writable({
    write(line, _encoding, done) {
      lines.push(JSON.parse(String(line)) as Line)
      done()
    },
  })
  const log = pino({ base: {} }, stream)
  const stage = await startGateway(t, env, { log, callLog: new CallLog(stream) })
  const lineOf = (requestId: string) => eventually(() => lines.find((line) => line.requestId === requestId))
  return { ...stage, lines, lineOf }
}

test('each call is one line: who called what, from where, and what came of it', async (t) => {
  const { call, owners, lineOf, lines } = await startLogged(t)
  const token = owners.signIn(alice)
  const calls: [path: string, options: RequestInit, expected: Partial<Line>][] = [
    [`/user/get?access_token=${token}`, {}, { path: '/user/get', outcome: 'Success', userId: alice.userId }],
    ['/user/get', form({ access_token: token }), { path: '/user/get', outcome: 'Success', userId: alice.userId }],
    [`/user/get?access_token=${newToken()}`, {}, { path: '/user/get', outcome: 'TokenInvalid' }],
    ['/getCurrentTime', {}, { path: '/getCurrentTime', outcome: 'Success' }],
    [`/nothing?access_token=${token}`, {}, { path: '/nothing', outcome: 'UnknownEndpoint' }],
  ]
  for (const [index, [path, options, expected]] of calls.entries()) {
    const headers = { ...options.headers, 'x-request-id': `call-${index}` }
    await call(path, { ...options, headers })
    const { ms, ip, ...line } = await lineOf(`call-${index}`)
    t.match(line, { msg: 'call', ...expected })
    t.equal(ip, '127.0.0.1')
    if (expected.outcome !== 'UnknownEndpoint') t.ok(ms >= 0)
  }
  t.equal(lines.filter(({ msg }) => msg === 'call').length, calls.length)
  t.notOk(JSON.stringify(lines).includes(token), 'no token')
})

test('X-Forwarded-For of somebody who is no trusted proxy is told once', async (t) => {
  const { call, lines } = await startLogged(t)
  for (let n = 0; n < 3; n++)
    t.equal((await call('/config', { headers: { 'x-forwarded-for': '203.0.113.1' } })).resultCode, codes.success)
  t.equal(lines.filter(({ msg }) => /X-Forwarded-For is not believed/.test(msg)).length, 1)
  const trusting = await startLogged(t, { TRUSTED_PROXIES: '127.0.0.0/8' })
  await trusting.call('/config', { headers: { 'x-forwarded-for': '203.0.113.1', 'x-request-id': 'proxied' } })
  t.equal((await trusting.lineOf('proxied')).ip, '203.0.113.1')
  t.notMatch(JSON.stringify(trusting.lines), /not believed/)
})
