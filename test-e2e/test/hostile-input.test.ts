import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Endpoint, endpoints, errors } from '@im/contracts'
import { ciphers } from '@im/contracts/message'
import { accountSession } from '@im/contracts/social'
import { accounts, passwords, profiles, userSettings } from '@im/contracts/user'
import { eventually } from '@im/service-kit/testing'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import { exchange } from '../src/raw-http.ts'

/** Long, and nearly what a parameter takes: to find out what it is not must not take long either. */
const longTexts = [
  '1'.repeat(60_000),
  `${'1'.repeat(60_000)}x`,
  `${'1'.repeat(30_000)}.${'1'.repeat(30_000)}.`,
  `-${'0'.repeat(60_000)}`,
  `${'1,'.repeat(30_000)}x`,
  `[${'"1",'.repeat(15_000)}]`,
  `${' '.repeat(60_000)}1`,
  'f'.repeat(60_000),
  `${'a@'.repeat(30_000)}b`,
  '天'.repeat(20_000),
  'x'.repeat(60_000),
  'x'.repeat(70_000),
]

/** What breaks servers, each as the text of a value. */
const texts = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\u202e\ufeff',
  '\ud800',
  '\uffff',
  '\x01\x1f\x7f',
  '%',
  '%zz',
  '%E4%',
  '%00',
  '+',
  '-1',
  '0',
  '-0',
  '00',
  '1.5',
  '12.0',
  '0x10',
  '1e3',
  '1e309',
  'NaN',
  'Infinity',
  '2147483648',
  '9007199254740993',
  '99999999999999999999999999',
  '-99999999999999999999999999',
  '1559788026732',
  'true',
  'null',
  'undefined',
  '(null)',
  '[]',
  '{}',
  '[null]',
  '[1,"2",null]',
  '{"$ne":1}',
  '{"$gt":""}',
  '["$where"]',
  '$where',
  '{"__proto__":{"polluted":1}}',
  '[[[[[[[[[[]]]]]]]]]]',
  '{"a":',
  '<a/>',
  '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
  "' OR 1=1 --",
  '../../etc/passwd',
  '\r\nX-Injected: 1',
  '{{7*7}}',
  '天',
  '7天',
  '😀'.repeat(200),
  '1,'.repeat(1500),
  'f'.repeat(24),
  'f'.repeat(32),
]
/** Values that only JSON can carry. */
const json: unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  -1e308,
  2 ** 53,
  [],
  {},
  [[]],
  [null],
  [{}],
  [1, 'x', null, true],
  { $ne: 1 },
  { $gt: '' },
  { $where: 'sleep(1000)' },
  { constructor: { prototype: { polluted: 1 } } },
  { toString: 1, valueOf: 1, toJSON: 1 },
  { length: 1e9 },
  Array.from({ length: 2000 }, (_, n) => n),
]
/** Milliseconds within which any call is answered. */
const soon = 1000
const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`

/** A good value of each kind: behind it the hostile ones get past the check for missing parameters. */
const good: Record<string, string> = {
  text: '13800000000',
  pwd: '123456',
  int: '1',
  double: '1',
  flag: '1',
  time: '1559788026',
  userId: '10000001',
  list: 'f'.repeat(32),
  roomRef: 'f'.repeat(32),
}

function goodPairs(endpoint: Endpoint): [string, string][] {
  const { properties, required = [] } = endpoint.params as unknown as {
    properties: Record<string, { wire: string }>
    required?: string[]
  }
  return required.map((name) => [name, good[properties[name]?.wire ?? ''] ?? '1'])
}

/** The first operation that the contract names for the path parameter. */
function operationOf({ params }: Endpoint): string {
  const { pattern = '' } = (params.properties['op'] ?? {}) as { pattern?: string }
  return /\w+/.exec(pattern)?.[0] ?? 'x'
}

const logouts: readonly string[] = [accounts.logout.path, accountSession.logOut.path]

interface Hostile {
  query: string
  type?: string
  body?: Buffer
}

function namesOf(endpoint: Endpoint): string[] {
  const properties = endpoint.params.properties as Record<string, { aliases?: string[] }>
  return Object.entries(properties).flatMap(([name, { aliases }]) => [name, ...(aliases ?? [])])
}

/** Each name of a parameter with its definition as JSON. */
function definitionsOf(endpoint: Endpoint): [string, string][] {
  const properties = endpoint.params.properties as Record<string, { aliases?: string[] }>
  return Object.entries(properties).flatMap(([name, definition]) =>
    [name, ...(definition.aliases ?? [])].map((one): [string, string] => [one, JSON.stringify(definition)]),
  )
}

const boundary = 'hostile'
const multipart = (pairs: readonly (readonly [string, string])[]) =>
  Buffer.from(
    `${pairs.map(([name, text]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name.replaceAll('"', '')}"\r\n\r\n${text}\r\n`).join('')}--${boundary}--\r\n`,
  )
const formOf = (pairs: readonly (readonly [string, string])[]) =>
  new URLSearchParams(pairs.map(([name, text]): [string, string] => [name, text])).toString()
const formType = 'application/x-www-form-urlencoded'

/** One call, in any form the wire has and some it has not. */
function hostileCalls(endpoint: Endpoint): fc.Arbitrary<Hostile> {
  const names = namesOf(endpoint)
  const name = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...(names.length ? names : ['x'])) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        ...names.flatMap((known) => [`${known}[$ne]`, `${known}[]`, `${known}.$gt`, known.toUpperCase()]),
        ...['__proto__', 'constructor', 'prototype', 'toString', '$where', 'language', 'time', 'secret', ''],
      ),
    },
  )
  const text = fc.oneof(
    { weight: 16, arbitrary: fc.constantFrom(...texts) },
    // They cost the most, and each parameter gets each of them below.
    { weight: 1, arbitrary: fc.constantFrom(...longTexts) },
    { weight: 3, arbitrary: fc.string({ unit: 'binary' }) },
    { weight: 3, arbitrary: fc.json() },
  )
  /** Hostile values alone, or good ones with hostile ones before or behind them. */
  const amongGood = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<[string, T | string][]> => {
    const hostile = fc.array(fc.tuple(name, value), { maxLength: 12 })
    const few = fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 2 })
    const others = (taken: [string, T][]) =>
      goodPairs(endpoint).filter(([known]) => taken.every(([key]) => key !== known))
    return fc.oneof(
      hostile,
      few.map((all) => [...all, ...others(all)]),
      hostile.map((all) => [...goodPairs(endpoint), ...all]),
    )
  }
  const pairs = amongGood(text)
  const members = amongGood<unknown>(fc.oneof(fc.constantFrom(...json), text, fc.jsonValue()))
  const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
  const type = fc.constantFrom(
    formType,
    'application/json',
    'application/json; charset=gbk',
    `multipart/form-data; boundary=${boundary}`,
    'multipart/form-data',
    'text/xml',
    'application/octet-stream',
    ';;',
    undefined,
  )
  const jsonText = members.map(
    (all) => `{${all.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)}}`,
  )
  const bodies: fc.Arbitrary<Hostile>[] = [
    pairs.map((all) => ({ query: formOf(all).slice(0, 100_000) })),
    pairs.map((all) => ({ query: '', type: formType, body: Buffer.from(formOf(all)) })),
    pairs.map((all) => ({ query: '', type: formType, body: Buffer.from(all.map((pair) => pair.join('=')).join('&')) })),
    pairs.map((all) => ({ query: '', type: `multipart/form-data; boundary=${boundary}`, body: multipart(all) })),
    jsonText.map((body) => ({ query: '', type: 'application/json', body: Buffer.from(body) })),
    fc.tuple(pairs, jsonText).map(([all, body]) => ({
      query: formOf(all).slice(0, 100_000),
      type: 'application/json',
      body: Buffer.from(body),
    })),
    fc
      .tuple(type, fc.oneof(bytes, jsonText.map(Buffer.from), pairs.map(multipart), fc.constant(Buffer.from('<x/>'))))
      .map(([contentType, body]) => ({ query: '', type: contentType, body })),
    fc.tuple(name, bytes).map(([key, value]) => ({
      query: '',
      type: formType,
      body: Buffer.concat([Buffer.from(`${key}=`), value]),
    })),
    fc.tuple(name, fc.constantFrom(60, 70, 1000, 100_000)).map(([key, depth]) => ({
      query: '',
      type: 'application/json',
      body: Buffer.from(`{${JSON.stringify(key)}:${deep(depth)}}`),
    })),
    fc.tuple(name, fc.constantFrom(4000, 6000)).map(([key, count]) => ({
      query: '',
      type: formType,
      body: Buffer.from(`${encodeURIComponent(key)}=1&`.repeat(count)),
    })),
  ]
  return fc.oneof(...bodies)
}

test('hostile input through gateway and services', async (t) => {
  const ajv = new Ajv({ strict: false, formats: { int64: true } })
  // Addresses of attackers are what a proxy says: ports of containers hide all others.
  const trusted = { TRUSTED_PROXIES: '127.0.0.1,172.16.0.0/12' }
  const { stack, people } = await startJourney(t, { env: { ALLOW_PUBLIC_REGISTER: 'true', ...trusted } })
  const alice = await people.register('alice')
  const mallory = await people.register('mallory')
  const news = await people.register('news', undefined, { userType: 2 })
  const login = { username: news.telephone, password: news.password }
  const { access_token: ofPages } = await people.api.call(accountSession.logIn, login)
  const tokenFor = ({ site }: Endpoint) => (site === 'mp' ? ofPages : mallory.token)

  interface Answer {
    status: number
    type: string
    body: Buffer
  }

  function send(endpoint: Endpoint, hostile: Hostile, headers: Record<string, string>): Promise<Answer> {
    const takesBodies = endpoint.methods?.includes('POST') ?? true
    const method = hostile.body && takesBodies ? 'POST' : (endpoint.methods?.[0] ?? 'GET')
    const query = new URLSearchParams(hostile.query)
    const path = endpoint.path.replace(/:(\w+)/g, (_, name) =>
      encodeURIComponent((query.get(name) ?? operationOf(endpoint)).slice(0, 500)),
    )
    const url = `${stack.gatewayUrl}${path}${hostile.query ? `?${hostile.query}` : ''}`
    return new Promise((resolve, reject) => {
      const call = request(url, {
        method,
        headers: { ...headers, ...(hostile.type === undefined ? {} : { 'content-type': hostile.type }) },
        signal: AbortSignal.timeout(20_000),
      })
      call.on('error', reject)
      call.on('response', async (response) => {
        const chunks: Buffer[] = []
        for await (const chunk of response) chunks.push(chunk)
        resolve({
          status: response.statusCode ?? 0,
          type: String(response.headers['content-type']),
          body: Buffer.concat(chunks),
        })
      })
      call.end(takesBodies ? hostile.body : undefined)
    })
  }

  /** The rules of spec transport.md §3 and §6 for any answer to bad input. Throws, so that fast-check looks for the smallest. */
  function isWellFormed(endpoint: Endpoint, { status, type, body }: Answer, fitsResult: (data: unknown) => boolean) {
    if (endpoint.answer === 'oauth') {
      assert.ok([200, 400, 401].includes(status), `HTTP ${status}`)
      if (status !== 200) assert.match(body.toString(), /^\{"error":"[a-z_]+","error_description":".+"\}$/s)
      return
    }
    if (endpoint.answer === 'file') {
      assert.ok(status < 500, `HTTP ${status}`)
      assert.doesNotMatch(body.toString(), new RegExp(`${errors.InternalError.code}|${errors.ServiceUnavailable.code}`))
      return
    }
    // Providers of payments go by the status.
    assert.ok(endpoint.answer === 'callback' ? status < 500 : status === 200, `HTTP ${status}`)
    if (type === 'image/png') return
    assert.equal(type, 'application/json;charset=UTF-8')
    const envelope = JSON.parse(body.toString()) as Record<string, unknown>
    const { currentTime, resultCode, resultMsg, detailMsg, data, ...rest } = envelope
    assert.deepEqual(rest, {})
    assert.ok(Number.isInteger(currentTime) && Number(currentTime) > 1e12)
    assert.ok(resultCode === 0 || resultCode === 1 || (Number.isInteger(resultCode) && Number(resultCode) >= 1_000_000))
    JSON.stringify(envelope, (_key, value) => {
      assert.notEqual(value, null, 'no null')
      return value
    })
    if (resultCode === 1) {
      assert.ok(fitsResult(data), 'data as the contract has it')
      return
    }
    assert.equal(data, undefined)
    assert.ok(typeof resultMsg === 'string' && resultMsg.length > 0)
    // Some values of path parameters are no part of a path that exists.
    const known = endpoint.path.includes(':') ? [] : (['UnknownEndpoint'] as const)
    for (const name of ['InternalError', 'ServiceUnavailable', ...known] as const)
      assert.notEqual(resultCode, errors[name].code, name)
    // One parameter, or those of which one is needed: `a, b or c`.
    const named = String(detailMsg)
      .split(':')[0]!
      .split(/, | or /)
    const namesParameters = named.every((name) => namesOf(endpoint).includes(name))
    if (resultCode === errors.MissingParam.code) assert.ok(namesParameters, `names ${detailMsg}`)
    if (resultCode === errors.InvalidParams.code)
      assert.ok(namesParameters || /^the (multipart )?body /.test(String(detailMsg)), `names ${detailMsg}`)
  }

  /** How long a call takes. Other work of the machine may disturb it, so one that is too slow is tried again, a moment later. */
  async function timed(call: () => Promise<Answer>): Promise<{ answer: Answer; ms: number }> {
    for (let tries = 1; ; tries++) {
      const startedAt = performance.now()
      const answer = await call()
      const ms = performance.now() - startedAt
      if (ms < soon || tries === 5) return { answer, ms }
      await delay(500)
    }
  }

  /** Whether the value of this parameter, and nothing else, is said to be wrong. */
  function isRefusal({ body }: Answer, name: string): boolean {
    const { resultCode, detailMsg } = JSON.parse(body.toString()) as { resultCode: number; detailMsg?: string }
    return resultCode === errors.InvalidParams.code && detailMsg?.split(':')[0] === name
  }

  for (const endpoint of endpoints.filter(({ auth }) => auth !== 'internal'))
    t.test(endpoint.path, async (t) => {
      const result = JSON.parse(JSON.stringify(endpoint.result)) as { type?: string; maybe?: boolean }
      const validate = result.type === 'void' ? (data: unknown) => data === undefined : ajv.compile(result)
      const fitsResult = (data: unknown) => (data === undefined && result.maybe) || validate(data) === true
      const own = tokenFor(endpoint)
      const tokens = logouts.includes(endpoint.path) ? ['x', ''] : [own, own, own, 'x', '', '\u00ff', 'a b', '{}']
      await t.resolves(
        fc.assert(
          fc.asyncProperty(hostileCalls(endpoint), fc.constantFrom(...tokens), async (hostile, token) => {
            const answer = await send(endpoint, hostile, token ? { authorization: `Bearer ${token}` } : {})
            try {
              isWellFormed(endpoint, answer, fitsResult)
            } catch (error) {
              const sent = `${hostile.query.slice(0, 500)} ${hostile.type} ${hostile.body?.toString('latin1').slice(0, 500)}`
              throw new Error(`${(error as Error).message}\n${sent}\n${answer.status} ${answer.body}`, { cause: error })
            }
          }),
          { numRuns: 30 },
        ),
      )
    })

  t.test('a long value of any parameter of any endpoint is answered soon', async (t) => {
    const slowest = { ms: 0, what: '' }
    /** Values that the kit refuses for parameters of this definition, at whatever endpoint: it is asked about each once. */
    const refused = new Set<string>()
    /** What the kit lets through is for the handler: every parameter gets some of those, each definition all. */
    const seen = new Set<string>()
    let turn = 0
    const isCalled = ({ auth, path, answer }: Endpoint) =>
      auth !== 'internal' && !logouts.includes(path) && answer !== 'file'
    for (const endpoint of endpoints.filter(isCalled))
      for (const [name, definition] of definitionsOf(endpoint)) {
        const passed = longTexts.filter((text) => !refused.has(`${definition} ${text}`))
        const few = Array.from({ length: Math.min(3, passed.length) }, () => passed[turn++ % passed.length]!)
        for (const text of seen.has(definition) ? few : passed) {
          const value = `${definition} ${text}`
          const others = goodPairs(endpoint).filter(([other]) => other !== name)
          const body = Buffer.from(formOf([...others, [name, text]]))
          const query = `access_token=${tokenFor(endpoint)}`
          const { answer, ms } = await timed(() => send(endpoint, { query, type: formType, body }, {}))
          if (ms > slowest.ms) Object.assign(slowest, { ms, what: `${endpoint.path} ${name} ${text.slice(0, 20)}` })
          if (endpoint.answer === 'oauth') continue
          isWellFormed(endpoint, answer, () => true)
          if (isRefusal(answer, name)) refused.add(value)
        }
        seen.add(definition)
      }
    t.ok(slowest.ms < soon, `${slowest.what}: ${slowest.ms.toFixed(0)} ms`)
  })

  t.test('bytes that are no UTF-8, in path, query and headers', async (t) => {
    const raw = [
      'GET /config?area=\xff\xfe HTTP/1.1',
      'GET /user/get?access_token=\xc0\x80&userId=\xed\xa0\x80 HTTP/1.1',
      'GET /\xff\xfe HTTP/1.1',
      'GET /config HTTP/1.1\r\nX-Request-Id: \xff',
      'GET /config HTTP/1.1\r\nAuthorization: Bearer \xff\xfe',
      'POST /user/login?telephone=\xe4\xb8 HTTP/1.1\r\nContent-Type: \xff',
    ]
    for (const head of raw) {
      const bytes = Buffer.from(`${head}\r\nHost: a\r\nConnection: close\r\n\r\n`, 'latin1')
      const text = await exchange(stack.gatewayUrl, bytes, 3000)
      t.match(text, /^HTTP\/1\.1 (200|400) /, head)
      t.match(text, /"currentTime":\d{13}/, head)
    }
  })

  t.test('a megabyte of anything is answered soon', async (t) => {
    const size = 1024 * 1024 - 10
    const part = `--${boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n`
    const large: [string, string][] = [
      [formType, 'a&'.repeat(size / 2)],
      [formType, 'a=%'.repeat(size / 3)],
      [formType, `text=${'%'.repeat(size - 20)}`],
      ['application/json', `{"text":"${'x'.repeat(size - 20)}"}`],
      ['application/json', `{${'"a":1,'.repeat(size / 6)}"b":1}`.slice(0, size)],
      ['application/json', `{"text":[${'1,'.repeat(size / 2 - 20)}1]}`],
      ['application/json', '['.repeat(size)],
      ['application/json', `{"text":${'9'.repeat(size - 20)}}`],
      [`multipart/form-data; boundary=${boundary}`, part.repeat(size / part.length)],
      [`multipart/form-data; boundary=${boundary}`, `--${boundary}`.repeat(size / 9)],
    ]
    for (const [type, body] of large) {
      const token = { authorization: `Bearer ${mallory.token}` }
      const hostile = { query: '', type, body: Buffer.from(body) }
      const { answer, ms } = await timed(() => send(ciphers.encryptText, hostile, token))
      t.ok(ms < soon, `${type} ${body.slice(0, 40)}: ${ms.toFixed(0)} ms`)
      isWellFormed(ciphers.encryptText, answer, () => false)
    }
  })

  t.test('few addresses that hold all the memory they get leave room for an honest caller', async (t) => {
    const { hostname, port } = new URL(stack.gatewayUrl)
    const size = 1024 * 1024
    const head = `POST ${ciphers.encryptText.path}?access_token=${mallory.token} HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n`
    const sockets = Array.from({ length: 99 }, (_, n) => {
      const socket = connect({ host: hostname, port: Number(port) })
      socket.on('error', () => {}).resume()
      socket.write(`${head}X-Forwarded-For: 203.0.113.${n % 11}\r\n\r\n${'x'.repeat(size - 1)}`)
      return socket
    })
    const flushed = () => sockets.filter(({ bytesWritten, closed }) => closed || bytesWritten >= size).length
    await eventually(() => flushed() >= 64)
    const text = 'x'.repeat(60_000)
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => alice.ask(ciphers.encryptText, { text, key: '12345678' })),
    )
    for (const socket of sockets) socket.destroy()
    for (const { resultCode } of answers) t.equal(resultCode, 1)
  })

  t.test('after all of it everybody is who they were, and the prototypes are clean', async (t) => {
    t.equal(({} as Record<string, unknown>)['polluted'], undefined)
    const me = await alice.call(profiles.getUser)
    t.strictSame([me.userId, me.nickname, me.settings?.allowAtt], [alice.userId, 'alice', 1])
    const { telephone, password } = alice
    t.equal((await people.api.call(accounts.login, { telephone, password })).userId, alice.userId)
    t.equal((await mallory.ask(userSettings.getSettings)).resultCode, 1)
    t.match(await people.api.call(accountSession.showHome, {}, { token: ofPages }), { userId: news.userId })
    const change = { oldPassword: mallory.password, newPassword: 'x' }
    t.equal((await mallory.ask(passwords.updatePassword, change)).resultCode, 1, 'nobody changed the password')
  })
})
