import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Endpoint, endpoints, errors } from '@im/contracts'
import { accounts, internalUsers, passwords, profiles, smsCodes, xmppAccounts } from '@im/contracts/user'
import { callerHeader, signCaller } from '@im/service-kit'
import { createTestClient, type Envelope, eventually, freePort } from '@im/service-kit/testing'
import { test } from 'tap'
import { People, type Person } from '../src/people.ts'
import { answersIn, exchange, statusOf } from '../src/raw-http.ts'
import { startTestStack, type TestStack } from '../src/stack.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')
const mainFile = (service: string) => join(import.meta.dirname, '../../services', service, 'src/main.ts')

/** An SMS webhook that keeps the codes; the number in `refused` can't be reached. */
async function startSmsWebhook() {
  const codes = new Map<string, string>()
  const state = { codes, refused: '' }
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const { phone, code } = JSON.parse(body) as { phone: string; code: string }
    codes.set(phone, code)
    response.writeHead(phone === state.refused ? 500 : 200).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return Object.assign(state, { url, close: () => server.close() })
}

test('the stack from outside', async (t) => {
  let sms: Awaited<ReturnType<typeof startSmsWebhook>>
  let stack: TestStack
  let people: People
  let alice: Person
  let bob: Person
  const children: ChildProcess[] = []

  t.before(async () => {
    sms = await startSmsWebhook()
    const env = { LOG_LEVEL: 'trace', SMS_PROVIDER: 'http', SMS_HTTP_URL: sms.url, SMS_IMAGE_CODE: 'false' }
    stack = await startTestStack({ apart: 'all', env })
    people = new People(stack)
    alice = await people.register('alice')
    bob = await people.register('bob')
  })
  t.after(async () => {
    for (const child of children) {
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
    await people?.close()
    await stack?.close()
    sms?.close()
  })

  const get = (token: string) => `/user/get?access_token=${token}`
  const call = async (url: string, options?: RequestInit) => (await (await fetch(url, options)).json()) as Envelope

  t.test(
    'internal endpoints can not be reached, however their path is written, with the right key neither',
    async (t) => {
      const internal = endpoints.filter(({ auth }) => auth === 'internal').map(({ path }) => path)
      t.ok(internal.length >= 5)
      const outer = `${stack.gatewayUrl}`
      const spellings = internal.flatMap((path) => [
        path,
        `/${path}`,
        `${path}/`,
        path.replace('/internal', '/Internal'),
        path.replace('/internal', '/%69nternal'),
        path.replace('/internal', '/./internal'),
        path.replace('/internal', '/internal;a=b'),
        path.replace('/internal', '/config/../internal'),
        path.replace('/internal', '/config/..%2finternal'),
        path.replace('/internal', '/config/%2e%2e/internal'),
        path.replace('/internal', '\\internal'),
        path.replaceAll('/', '%2F').replace('%2F', '/'),
        path.replaceAll('/', '%5c').replace('%5c', '/'),
        path.replaceAll('/', '%252F').replace('%252F', '/'),
        `/config?/..${path}`,
        `/config#/..${path}`,
        `/config%00/..${path}`,
        `${stack.urls.user}${path}`,
        `${outer}//internal${path}`,
        `*${path}`,
      ])
      const key = stack.env['SERVICE_KEY'] ?? ''
      const all = ['', `X-Service-Key: ${key}\r\n`, `X-Service-Key: ${key}\r\nX-Im-Caller: x\r\n`]
      for (const [n, path] of spellings.entries()) {
        // Each spelling with each of them at some path or other.
        const headers = all[n % all.length]
        const query = `userId=${alice.userId}&sessionId=x&locked=1&from=1&to=2`
        const text = await exchange(
          outer,
          `POST ${path} HTTP/1.1\r\nHost: a\r\n${headers}Connection: close\r\nContent-Length: ${query.length}\r\n\r\n${query}`,
          2000,
        )
        const isConfig = /^\/config[?#]/.test(path) && text.includes('xmppPingTime')
        const refused = /"resultCode":(1020105|1010101)/.test(text)
        t.ok(refused || isConfig || statusOf(text) === 400, `${path} ${headers} -> ${text}`)
      }
      t.equal((await alice.ask(profiles.getUser)).resultCode, 1, 'nobody locked her')
    },
  )

  t.test('a service believes no caller that the gateway has not signed', async (t) => {
    const url = `${stack.urls.user}/user/get`
    const caller = { userId: alice.userId, sessionId: 'x', device: 'android', kind: 'user' } as const
    const claims = { caller, ip: '', requestId: '', proto: 'http', host: '' } as const
    const keys = [stack.env['CALLER_KEY'] ?? '']
    const request = { method: 'GET', url: '/user/get' }
    const right = signCaller(keys, claims, request)
    const forged = signCaller(['development-caller-key'], claims, request)
    const old = signCaller(keys, claims, request, Date.now() - 400_000)
    const ofAnother = signCaller(keys, claims, { method: 'GET', url: '/user/settings' })
    t.equal((await call(url, { headers: { [callerHeader]: right } })).resultCode, 1)
    for (const header of [forged, old, ofAnother, `${right}, ${right}`, `${right},${forged}`])
      t.equal((await call(url, { headers: { [callerHeader]: header } })).resultCode, errors.ServiceUnavailable.code)
    const twice = `GET /user/get HTTP/1.1\r\nHost: a\r\n${callerHeader}: ${right}\r\n${callerHeader}: ${right}\r\nConnection: close\r\n\r\n`
    t.match(await exchange(stack.urls.user, twice), /"resultCode":1020104/)
    const outside = await call(stack.gatewayUrl + get(bob.token), { headers: { [callerHeader]: right } })
    t.equal((outside.data as { userId: number }).userId, bob.userId)
    const dropped = await call(`${stack.gatewayUrl}/user/get`, {
      headers: { [callerHeader]: right, connection: `close, ${callerHeader}, x-request-id` },
    })
    t.equal(dropped.resultCode, errors.TokenMissing.code)
  })

  t.test('one request is one request: nothing is smuggled behind another', async (t) => {
    const hidden = `GET ${get(alice.token)} HTTP/1.1\r\nHost: a\r\n\r\n`
    const chunked = `0\r\n\r\n${hidden}`
    const length = Buffer.byteLength(chunked)
    const heads = [
      `Content-Length: ${length}\r\nTransfer-Encoding: chunked`,
      `Transfer-Encoding: chunked\r\nContent-Length: ${length}`,
      `Content-Length: ${length}\r\nTransfer-Encoding: identity, chunked`,
      `Content-Length: ${length}\r\nTransfer-Encoding: xchunked`,
      `Content-Length: ${length}\r\nTransfer-Encoding : chunked`,
      `Content-Length: ${length}\r\nTransfer-Encoding:\tchunked`,
      `Content-Length: ${length}\r\n Transfer-Encoding: chunked`,
      `Content-Length: ${length}\r\nX: a\nTransfer-Encoding: chunked`,
      'Transfer-Encoding: identity',
      `Content-Length: 0\r\nContent-Length: ${length}`,
      `Content-Length: ${length}, 0`,
      `Content-Length: +${length}`,
      `Content-Length: 0x${length.toString(16)}`,
      'Content-Length: -1',
      'Content-Length: 99999999999999999999999',
    ]
    for (const head of heads) {
      const text = await exchange(stack.gatewayUrl, `POST /config HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n${chunked}`)
      t.ok(!text.includes('"nickname":"alice"'), `${head} -> ${text}`)
      t.ok(answersIn(text) <= 1, `${head} -> ${text}`)
    }
    const body = 'a=1'
    const lawful = `POST /config HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}${hidden}`
    t.equal(answersIn(await exchange(stack.gatewayUrl, lawful)), 2, 'a second request of its own is answered')
  })

  t.test('a head that is too long, or never ends, takes nothing from others', async (t) => {
    const long = await exchange(
      stack.gatewayUrl,
      `GET /config HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(300_000)}\r\n\r\n`,
    )
    t.equal(statusOf(long), 431)
    const many = Array.from({ length: 5000 }, (_, n) => `X-${n}: ${n}`).join('\r\n')
    const answer = await exchange(
      stack.gatewayUrl,
      `GET /config HTTP/1.1\r\nHost: a\r\n${many}\r\nConnection: close\r\n\r\n`,
    )
    t.ok([200, 431].includes(statusOf(answer)), answer)
    const slow = Array.from({ length: 200 }, (_, n) =>
      exchange(
        stack.gatewayUrl,
        `POST /user/login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n${n % 2 ? '\r\n' : ''}`,
        1500,
      ),
    )
    const started = Date.now()
    t.equal((await alice.ask(profiles.getUser)).resultCode, 1)
    t.ok(Date.now() - started < 1000)
    for (const text of await Promise.all(slow)) t.equal(text, '')
  })

  t.test('a session that ends at one gateway has ended at all', async (t) => {
    const port = await freePort()
    const env = { ...stack.env, PORT: String(port), OPERATIONS_PORT: String(await freePort()), LOG_LEVEL: 'warn' }
    children.push(spawn(process.execPath, [mainFile('gateway')], { env, stdio: ['ignore', 'ignore', 'inherit'] }))
    const gateways = [stack.gatewayUrl, `http://127.0.0.1:${port}`]
    await eventually(async () => (await fetch(`${gateways[1]}/healthz`)).ok, 60_000)
    const codesOf = (tokens: string[]) =>
      Promise.all(gateways.flatMap((url) => tokens.map(async (token) => (await call(url + get(token))).resultCode)))
    const internal = createTestClient({
      baseUrl: stack.urls.user,
      serviceKey: stack.env['SERVICE_KEY'] ?? '',
    })
    const login = async (who: Person, deviceKey: string) => {
      const params = { telephone: who.telephone, password: who.password, deviceKey }
      return (await people.api.call(accounts.login, params)).access_token
    }
    const ends: [string, (who: Person, tokens: string[]) => Promise<unknown>][] = [
      ['logout', (_who, [token = '']) => people.api.call(accounts.logout, {}, { token })],
      ['another login', (who) => login(who, 'ios')],
      [
        'a new password',
        (who, [token = '']) =>
          people.api.call(passwords.updatePassword, { oldPassword: who.password, newPassword: 'n' }, { token }),
      ],
      ['a lock', (who) => internal.call(internalUsers.setLocked, { userId: who.userId, locked: 1 })],
    ]
    for (const [how, end] of ends) {
      const who = await people.register(`ended by ${how}`)
      const tokens = [await login(who, 'ios')]
      t.strictSame(await codesOf(tokens), [1, 1], 'both gateways know it')
      await end(who, tokens)
      const ended = Date.now()
      await eventually(
        async () => (await codesOf(tokens)).every((code) => code === errors.TokenInvalid.code),
        250,
      ).catch(() => t.fail(`${how}: still let in ${Date.now() - ended} ms later`))
    }
    await internal.close()
  })

  t.test('no secret stands in a log, and in no answer but its owner’s', async (t) => {
    const secrets = new Map<string, string>()
    const keep = (what: string, secret = '') => {
      t.ok(secret, what)
      secrets.set(secret, what)
      return secret
    }
    const foreign: string[] = []
    const watch = async <T>(answer: Promise<T>): Promise<T> => {
      const given = await answer
      foreign.push(JSON.stringify(given))
      return given
    }
    const ask = <E extends Endpoint>(endpoint: E, params: object, token?: string) =>
      people.api.envelope(endpoint, params as never, token ? { token } : {})
    const plain = keep('plain password', 'correct horse battery')
    keep('md5 of the password', md5(plain))
    const fresh = keep('new password', md5('another horse'))
    const reset = keep('reset password', md5('third horse'))
    const wrong = keep('wrong password', 'no horse at all')
    keep('md5 of the wrong password', md5(wrong))
    const paying = keep('pay password', 'paying horse')
    keep('md5 of the pay password', md5(paying))
    for (const name of [
      'SERVICE_KEY',
      'CALLER_KEY',
      'SESSION_PEPPER',
      'CONSOLE_ADMIN_PASSWORD',
      'PAY_MAC_KEY',
    ] as const)
      keep(name, stack.secrets.values[name])

    const phone = '13712345678'
    const code = () => keep('SMS code', sms.codes.get(phone))
    foreign.push(JSON.stringify(await ask(smsCodes.sendSms, { telephone: phone })))
    const register = { telephone: phone, password: plain, nickname: 'carol', smsCode: code(), isSmsRegister: 1 }
    const carol = (await ask(accounts.register, register)).data as { access_token: string; userId: number }
    const token = keep('access token', carol.access_token)
    await watch(ask(accounts.register, { ...register, smsCode: '' }))
    await watch(ask(accounts.login, { telephone: phone, password: wrong }))
    await watch(ask(accounts.login, { telephone: phone, loginType: 1, verificationCode: '000000' }))
    await watch(ask(profiles.updateUser, { payPassword: paying, nickname: 'Carol' }, token))
    await watch(ask(profiles.getUser, { userId: carol.userId }, bob.token))
    await watch(ask(profiles.getUser, {}, token))
    await watch(call(`${stack.gatewayUrl}${get(token)}&password=${wrong}&x=%zz`))
    await watch(ask(smsCodes.sendSms, { telephone: phone, isRegister: 0 }))
    const byCode = { telephone: phone, loginType: 1, verificationCode: code(), deviceKey: 'ios' }
    keep('access token', ((await ask(accounts.login, byCode)).data as { access_token: string }).access_token)

    const oauth = async (fields: Record<string, string>, path = '/oauth2/token') => {
      const answer = await fetch(stack.gatewayUrl + path, { method: 'POST', body: new URLSearchParams(fields) })
      return JSON.parse((await answer.text()) || '{}') as Record<string, string>
    }
    const grant = await oauth({ grant_type: 'password', username: phone, password: plain, deviceKey: 'web' })
    keep('access token', grant['access_token'])
    const refresh = { grant_type: 'refresh_token', refresh_token: keep('refresh token', grant['refresh_token']) }
    const renewed = await oauth(refresh)
    keep('access token', renewed['access_token'])
    keep('refresh token', renewed['refresh_token'])
    await watch(oauth(refresh))
    await watch(oauth({ grant_type: 'password', username: phone, password: wrong }))
    await watch(oauth({ token: renewed['refresh_token'] ?? '' }, '/oauth2/revoke'))

    const internal = createTestClient({
      baseUrl: stack.urls.user,
      serviceKey: stack.env['SERVICE_KEY'] ?? '',
    })
    for (const password of [token, md5(plain), md5(wrong)])
      await watch(internal.envelope(xmppAccounts.authenticate, { userId: carol.userId, password, ip: '127.0.0.1' }))
    await watch(ask(passwords.updatePassword, { oldPassword: wrong, newPassword: fresh }, token))

    // What goes wrong is logged most: a webhook that refuses, and Redis away while codes and sessions are handled.
    sms.refused = phone
    sms.codes.clear()
    await watch(ask(smsCodes.sendSms, { telephone: phone, isRegister: 0 }))
    sms.refused = ''
    await watch(ask(smsCodes.sendSms, { telephone: phone, isRegister: 0 }))
    const resetCode = code()
    await stack.kill('redis')
    await watch(ask(smsCodes.sendSms, { telephone: phone, isRegister: 0 }))
    await watch(ask(passwords.resetPassword, { telephone: phone, randcode: resetCode, newPassword: reset }))
    await ask(accounts.login, { telephone: phone, password: plain, deviceKey: 'pc' })
    await watch(ask(profiles.getUser, {}, token))
    await stack.restart('redis')
    await eventually(async () => (await alice.ask(profiles.getUser)).resultCode === 1)
    await watch(ask(passwords.updatePassword, { oldPassword: plain, newPassword: fresh }, token))
    await watch(ask(accounts.logout, {}, token))
    await internal.close()

    const logs = await stack.logs()
    t.match(logs, /the SMS provider did not take a code/, 'the logs are those of the services')
    for (const [secret, what] of secrets) {
      const form = new RegExp(`(?<![0-9a-zA-Z.])${secret.replaceAll(/[$+.*?()[\]\\^{|}]/g, '\\$&')}(?![0-9a-zA-Z])`)
      const line = logs.split('\n').find((text) => form.test(text))
      t.equal(line, undefined, `${what} in a log`)
      const answer = foreign.find((text) => form.test(text))
      t.equal(answer, undefined, `${what} in an answer`)
    }
    t.notMatch(foreign.join('\n'), /argon2|loginNames|numberNames|sessionId/)
  })
})

test('in production nothing starts with a secret that everybody knows, and it says with which', async (t) => {
  const known = {
    SERVICE_KEY: 'development-service-key',
    CALLER_KEY: 'development-caller-key',
    SESSION_PEPPER: 'de'.repeat(32),
  }
  const { PATH, NODE_OPTIONS, NODE_COMPILE_CACHE, IM_BUNDLES } = process.env
  const bare = { PATH, NODE_OPTIONS, NODE_COMPILE_CACHE, IM_BUNDLES, NODE_ENV: 'production' }
  for (const [service, names] of [
    ['user', ['SERVICE_KEY', 'CALLER_KEY', 'SESSION_PEPPER', 'MONGODB_URL', 'REDIS_URL', 'NATS_URL', 'SMS_PROVIDER']],
    ['gateway', ['SERVICE_KEY', 'CALLER_KEY', 'REDIS_URL', 'NATS_URL', 'TRUSTED_PROXIES']],
  ] as const)
    for (const env of [{}, known]) {
      const child = spawn(process.execPath, [mainFile(service)], { env: { ...bare, ...env } })
      let text = ''
      child.stderr.on('data', (chunk) => {
        text += chunk
      })
      const [code] = await once(child, 'exit')
      t.equal(code, 1, service)
      for (const name of names) t.match(text, new RegExp(`- ${name} `), `${service}: ${text}`)
      t.notMatch(text, /^\s+at /m, 'for operators, not for programmers')
      for (const secret of Object.values(known)) t.ok(!text.includes(secret))
    }
})
