import type { Auth, Caller } from '@im/contracts'
import { authorise, type Credentials, csrfTokenOf } from '@im/service-kit'
import { test } from 'tap'

const session = (kind: Caller['kind'], role?: number): Caller => ({
  ...{ userId: 10_000_001, sessionId: 's', device: 'web', kind },
  ...(role === undefined ? {} : { role }),
})

const people = {
  nobody: {},
  stale: { token: 'x' },
  app: { token: 't', caller: session('user', 0) },
  'app of role 4': { token: 't', caller: session('user', 4) },
  'app of role 6': { token: 't', caller: session('user', 6) },
  'console of role 4': { token: 't', caller: session('console', 4) },
  'console of role 6': { token: 't', caller: session('console', 6) },
  'console whose role was taken': { token: 't', caller: session('console', 0) },
  mp: { token: 't', caller: session('mp', 6) },
  service: { isInternal: true },
} satisfies Record<string, Partial<Credentials>>
type Who = keyof typeof people

function outcome(auth: Auth, credentials: Partial<Credentials>, safe = true): string {
  try {
    return authorise({ auth, safe }, { isInternal: false, method: 'GET', ...credentials }) ? 'caller' : 'passes'
  } catch (error) {
    return (error as { errorName: string }).errorName
  }
}

/** What each of `people` gets, in their order. */
const expected: [auth: Auth, outcomes: string][] = [
  ['none', 'passes passes passes passes passes passes passes passes passes passes'],
  ['optional', 'passes passes caller caller caller passes passes passes passes passes'],
  ['user', 'Missing Invalid caller caller caller Denied Denied Denied Denied Missing'],
  ['mp', 'Missing Invalid Denied Denied Denied Denied Denied Denied caller Missing'],
  ['internal', 'Denied Denied Denied Denied Denied Denied Denied Denied Denied passes'],
  [{ console: 4 }, 'Missing Invalid Denied Denied Denied caller caller Denied Denied Missing'],
  [{ console: 5 }, 'Missing Invalid Denied Denied Denied Denied caller Denied Denied Missing'],
  [{ role: 4 }, 'Missing Invalid Denied caller caller caller caller Denied Denied Missing'],
  [{ role: 6 }, 'Missing Invalid Denied Denied caller Denied caller Denied Denied Missing'],
  [{ anyOf: ['internal', { role: 5 }] }, 'Missing Invalid Denied Denied caller Denied caller Denied Denied passes'],
  [{ anyOf: ['user', { console: 6 }] }, 'Missing Invalid caller caller caller Denied caller Denied Denied Missing'],
]
const names: Record<string, string> = { Missing: 'TokenMissing', Invalid: 'TokenInvalid', Denied: 'PermissionDenied' }

for (const [auth, outcomes] of expected)
  test(`who passes ${JSON.stringify(auth)}`, async (t) => {
    const wanted = outcomes.split(' ')
    Object.entries(people).forEach(([who, credentials], index) => {
      const want = names[wanted[index] ?? ''] ?? wanted[index]
      t.equal(outcome(auth, credentials), want, who)
    })
  })

test('a session of a cookie changes something by POST with a CSRF token only', async (t) => {
  const byCookie = { ...people['console of role 6' satisfies Who], byCookie: true }
  const csrfToken = csrfTokenOf('t')
  const auth = { console: 4 } as const
  t.equal(outcome(auth, { ...byCookie, method: 'POST', csrfToken }, false), 'caller')
  for (const bad of [undefined, '', 't', csrfTokenOf('other'), csrfToken.slice(1)])
    t.equal(outcome(auth, { ...byCookie, method: 'POST', csrfToken: bad }, false), 'PermissionDenied')
  t.equal(outcome(auth, { ...byCookie, method: 'GET', csrfToken }, false), 'PermissionDenied')
  t.equal(outcome(auth, { ...byCookie, method: 'GET' }, true), 'caller', 'reading needs neither')
  for (const method of ['GET', 'POST'])
    t.equal(
      outcome(auth, { ...byCookie, byCookie: false, method }, false),
      'caller',
      'a token that is shown on purpose',
    )
})
