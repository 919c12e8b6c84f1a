import { ContractError, commonErrors, type Endpoint, endpoints, errors, isInternalOnly, routesOf } from '@im/contracts'
import { messageType, messageTypes } from '@im/contracts/message'
import { test } from 'tap'

const wireKinds = new Set(
  'text int double flag time days userId userRef self oid roomRef ids list json pwd longId entity page ignored'.split(
    ' ',
  ),
)
interface Property {
  wire?: string
  aliases?: string[]
  properties?: Record<string, Property>
  notFound?: string
  pattern?: string
  maxLength?: number
}
const propertiesOf = (endpoint: Endpoint) => endpoint.params.properties as Record<string, Property>

test('a method of a path has one owner', async (t) => {
  const owners = new Map<string, string>()
  for (const endpoint of endpoints)
    for (const { method, path } of routesOf(endpoint)) {
      const owner = `${endpoint.service} ${endpoint.name}`
      const key = `${method} ${path}`
      t.equal(owners.get(key), undefined, `${key} is served by ${owners.get(key)} and by ${owner}`)
      owners.set(key, owner)
    }
})

for (const endpoint of endpoints)
  test(`${endpoint.path} is declared completely`, async (t) => {
    t.match(endpoint.path, /^(\/[\w.:-]+)+$/, 'no blank, no trailing or double slash')
    t.ok(endpoint.summary.zh.trim() && endpoint.summary.en.trim(), 'a summary in both languages')
    t.equal(new Set(endpoint.errors).size, endpoint.errors?.length ?? 0, 'an error is named once')
    for (const name of endpoint.errors ?? []) {
      t.ok(name in errors, `${name} is in the table`)
      t.ok(!(commonErrors as readonly string[]).includes(name), `${name} is understood, it needs no line`)
    }
    t.equal(endpoint.path.startsWith('/internal/'), isInternalOnly(endpoint.auth), 'internal paths and auth agree')
    const sites = /^\/(?:(console|mp)\/|config\/set$)/.exec(endpoint.path)
    t.equal(endpoint.site, sites ? (sites[1] ?? 'console') : undefined, 'pages of our own have a site')
    if (endpoint.page) t.ok(endpoint.site && endpoint.methods?.includes('GET') !== true, 'a page follows a form')
    for (const path of [endpoint.path, ...(endpoint.aliases ?? [])])
      for (const [, name = ''] of path.matchAll(/:(\w+)/g))
        t.ok(name in propertiesOf(endpoint), `the path parameter ${name} is declared`)
    for (const { by, error, where } of endpoint.limits ?? []) {
      if (where) t.ok(where.param in propertiesOf(endpoint), `${where.param} of a limit is declared`)
      for (const key of [by].flat())
        if (key.startsWith('param:')) t.ok(key.slice(6) in propertiesOf(endpoint), `${key} of a limit is declared`)
      if (error && error !== 'RateLimited') t.ok(endpoint.errors?.includes(error), `${error} of a limit is declared`)
    }
    t.ok(!('access_token' in propertiesOf(endpoint)), 'access_token is the edge’s')
    const names = Object.entries(propertiesOf(endpoint)).flatMap(([name, { aliases }]) => [name, ...(aliases ?? [])])
    t.equal(new Set(names).size, names.length, 'a parameter’s name and aliases are used once')
    for (const [name, property] of Object.entries(propertiesOf(endpoint))) {
      t.ok(wireKinds.has(property.wire ?? ''), `${name} is made by a function of param-types.ts`)
      if (property.notFound)
        t.ok((endpoint.errors as string[] | undefined)?.includes(property.notFound), `${name}: its error is declared`)
      // Patterns may be slow on long texts.
      if (property.wire === 'text' && property.pattern)
        t.ok(property.maxLength && property.maxLength <= 4096, `${name}: a pattern is for short texts`)
      for (const [field, member] of Object.entries(property.wire === 'entity' ? (property.properties ?? {}) : {}))
        t.ok(wireKinds.has(member.wire ?? ''), `${name}.${field} is made by a function of param-types.ts`)
    }
  })

test('error codes are unique, 0 or at least 1000000, with a text in both languages', async (t) => {
  const entries = Object.entries(errors)
  t.equal(new Set(entries.map(([, { code }]) => code)).size, entries.length)
  for (const [name, { code, zh, en }] of entries) {
    t.ok(code === 0 || (Number.isInteger(code) && code >= 1_000_000 && code <= 9_999_999), `${name}: ${code}`)
    t.ok(/\p{Script=Han}/u.test(zh), `${name}: Chinese text`)
    t.ok(en.trim() && !/\p{Script=Han}/u.test(en), `${name}: English text`)
    const marks = (text: string) => [...text.matchAll(/\{(\d)\}/g)].map(([mark]) => mark).sort()
    t.strictSame(marks(zh), marks(en), `${name}: both texts have the same places`)
  }
})

test('the texts of an error have its arguments filled in', async (t) => {
  const error = new ContractError('RateLimited', { args: [7] })
  t.equal(error.code, 1020103)
  t.match(error.textIn('en'), /in 7 seconds/)
  t.match(error.textIn('zh'), /7秒/)
  t.equal(new ContractError('Failed', { text: { zh: '甲', en: 'A' } }).textIn('en'), 'A')
})

test('a message type that is listed is archived, one that nobody declared is routed only', async (t) => {
  for (const [code, type] of Object.entries(messageTypes)) {
    if (type.listed || type.searched) t.ok(type.archived, code)
    t.ok(type.push, code)
  }
  t.strictSame([messageType(99_999).archived, messageType(99_999).by], [false, 'client'])
})
