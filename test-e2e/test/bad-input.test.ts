import assert from 'node:assert/strict'
import { type Endpoint, endpoints } from '@im/contracts'
import { accountSession } from '@im/contracts/social'
import fc from 'fast-check'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'

const nasty = [
  '',
  ' ',
  '\0',
  '%',
  '%E4%',
  '-1',
  '0',
  '99999999999999999999999999',
  '1e309',
  'NaN',
  'null',
  '[]',
  '{}',
  '{"$ne":1}',
  '["$where"]',
  '[[[[[[[[[[]]]]]]]]]]',
  '<a/>',
  "' OR 1=1 --",
  '../../etc/passwd',
  '\u202e\ud800',
  '😀'.repeat(200),
  'x'.repeat(70_000),
]

/** The first operation that the contract names in place of the path parameter. */
function withOperation({ path, params }: Endpoint): string {
  const { pattern = '' } = (params.properties['op'] ?? {}) as { pattern?: string }
  return path.replace(':op', /\w+/.exec(pattern)?.[0] ?? 'x')
}

const logouts = new Set(['/user/logout', '/mp/logout'])

test('nothing a client sends is an error of the server', async (t) => {
  const { stack, people } = await startJourney(t, { env: { ALLOW_PUBLIC_REGISTER: 'true' } })
  const alice = await people.register('alice')
  const news = await people.register('news', undefined, { userType: 2 })
  const login = { username: news.telephone, password: news.password }
  const { access_token: ofPages } = await people.api.call(accountSession.logIn, login)

  /** Throws, so that fast-check looks for the smallest input that does. */
  async function check(path: string, init: RequestInit & { query?: string }) {
    const answer = await fetch(`${stack.gatewayUrl}${path}${init.query ? `?${init.query}` : ''}`, {
      ...init,
      signal: AbortSignal.timeout(20_000),
    })
    const text = await answer.text()
    assert.ok(answer.status < 500, `${path} answered HTTP ${answer.status}: ${text}`)
    assert.doesNotMatch(text, /"resultCode":102010[14]/, `${path} ${JSON.stringify(init).slice(0, 300)}: ${text}`)
  }

  for (const endpoint of endpoints.filter(({ auth, path }) => auth !== 'internal' && !logouts.has(path))) {
    t.test(endpoint.path, async (t) => {
      const names = Object.keys(endpoint.params.properties)
      const path = withOperation(endpoint)
      const value = fc.oneof(fc.constantFrom(...nasty), fc.string(), fc.integer().map(String), fc.double().map(String))
      const name = fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom(...(names.length ? names : ['x'])) },
        {
          weight: 1,
          arbitrary: fc.constantFrom(...names.map((known) => `${known}[$ne]`), '__proto__', 'constructor', '$where'),
        },
      )
      const pairs = fc.array(fc.tuple(name, value), { maxLength: 8 })
      const own = endpoint.site === 'mp' ? ofPages : alice.token
      const token = fc.constantFrom(own, own, own, 'x', '')
      await t.resolves(
        fc.assert(
          fc.asyncProperty(pairs, token, fc.constantFrom('get', 'form', 'json', 'raw'), async (given, access, way) => {
            const headers = { authorization: `Bearer ${access}` }
            const form = new URLSearchParams(given)
            if (way === 'get') await check(path, { headers, query: form.toString().slice(0, 8000) })
            else if (way === 'form') await check(path, { method: 'POST', headers, body: form })
            else if (way === 'json')
              await check(path, {
                method: 'POST',
                headers: { ...headers, 'content-type': 'application/json' },
                body: JSON.stringify(Object.fromEntries(given)),
              })
            else
              await check(path, {
                method: 'POST',
                headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
                body: given.map(([key, text]) => `${key}=${text}`).join('&'),
              })
          }),
          { numRuns: 25 },
        ),
      )
    })
  }

  t.test('after all of it alice is still who she was, and the account logged in', async (t) => {
    t.match(await people.api.call(accountSession.showHome, {}, { token: ofPages }), { userId: news.userId })
    const me = await fetch(`${stack.gatewayUrl}/getCurrentTime`)
    t.equal(((await me.json()) as { resultCode: number }).resultCode, 1)
  })
})
