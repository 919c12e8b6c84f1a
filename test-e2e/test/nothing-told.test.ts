/** No log, metric, event, span or error carries a secret or the text of a message, whatever services do with them. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text as wholeText } from 'node:stream/consumers'
import { archive, ciphers, search } from '@im/contracts/message'
import { pushTokens } from '@im/contracts/push'
import { rooms } from '@im/contracts/room'
import { blacklists } from '@im/contracts/social'
import { accounts, keyPairs, passwords } from '@im/contracts/user'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { startJourney } from '../src/journey.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

/** Everything of one kind that comes out of the stack while the test runs. */
interface Outlet {
  name: string
  seen: () => string
}

/** A collector of OpenTelemetry. */
async function collectSpans(t: Test): Promise<Outlet & { url: string }> {
  let seen = ''
  const server = createServer(async (request, response) => {
    seen += await wholeText(request)
    response.setHeader('content-type', 'application/json').end('{}')
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return { name: 'span', seen: () => seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** All that is published on NATS. */
async function collectEvents(t: Test, url: string): Promise<Outlet> {
  const { hostname, port, username: user, password: pass } = new URL(url)
  const socket = connect(Number(port), hostname).setEncoding('utf8')
  t.teardown(() => socket.destroy())
  let seen = ''
  socket.on('data', (data) => {
    seen += data
    if (/^PING\r$/m.test(String(data))) socket.write('PONG\r\n')
  })
  socket.write(`CONNECT ${JSON.stringify({ verbose: false, ...(user ? { user, pass } : {}) })}\r\nSUB > 1\r\nPING\r\n`)
  await eventually(() => /^PONG\r$/m.test(seen))
  return { name: 'event', seen: () => seen }
}

test('what people write and what keeps them safe is told to nobody else', { timeout: 140_000 }, async (t) => {
  const spans = await collectSpans(t)
  const { stack, people } = await startJourney(t, {
    env: { LOG_LEVEL: 'trace', OTEL_EXPORTER_OTLP_ENDPOINT: spans.url },
  })
  const events = await collectEvents(t, stack.env['NATS_URL'] ?? '')
  const answers: string[] = []
  const marked = new Map<string, string>()
  /** A value that is found wherever it turns up. */
  const mark = (what: string, value = `marked-${randomBytes(8).toString('hex')}`) => {
    marked.set(value, what)
    return value
  }
  for (const [name, value] of Object.entries(stack.secrets.values)) mark(name, value)

  const [alice, bob, carol] = [
    await people.register('alice'),
    await people.register('bob'),
    await people.register('carol'),
  ]
  for (const { token, password } of [alice, bob, carol]) {
    mark('an access token', token)
    mark('a password', password)
  }
  const told = async (asking: Promise<unknown>) => void answers.push(JSON.stringify(await asking))

  // Chats: delivered, waiting, refused, in a room, searched, taken back.
  const [a, b] = [await alice.phone(), await bob.phone()]
  const chat = await a.say(bob.userId, mark('a message'))
  await b.hears(({ id }) => id === chat.messageId)
  await a.say(carol.userId, mark('a message that waits'))
  await alice.call(blacklists.blockUser, { toUserId: bob.userId })
  await t.rejects(b.say(alice.userId, mark('a message that is refused')), /refused/)
  const room = await alice.call(rooms.addRoom, { room: { name: '群' }, text: `[${carol.userId}]` } as never)
  await a.join(room.jid)
  await a.sayIn(room.jid, mark('a message in a room'))
  const searched = mark('a text that is searched')
  await alice.call(search.searchMessages, { keyword: searched })
  await alice.call(archive.deleteMessages, { messageId: chat.messageId, delete: 2 } as never)
  await alice.call(ciphers.encryptText, {
    text: mark('a text to encrypt'),
    key: mark('its key', randomBytes(16).toString('hex')),
  })
  await told(alice.ask(ciphers.decryptText, { text: mark('no cipher'), key: mark('another key') }))
  const c = await carol.phone()
  await c.hears(({ content }) => marked.has(content))

  // Secrets: right ones, wrong ones, in the wrong place.
  await bob.call(keyPairs.uploadKeyPair, { publicKey: 'public', privateKey: mark('a private key') })
  await bob.call(pushTokens.registerFcm, { token: mark('a token of a device') })
  await bob.call(passwords.updatePayPassword, { payPassword: md5(mark('a pay password')) } as never)
  await told(bob.ask(passwords.checkPayPassword, { payPassword: mark('a wrong pay password') }))
  const wrong = mark('a wrong password')
  await told(people.api.envelope(accounts.login, { telephone: bob.telephone, password: wrong }))
  await told(people.api.envelope(passwords.updatePassword, { oldPassword: wrong, newPassword: md5(wrong) } as never))
  const query = new URLSearchParams({ access_token: mark('a dead token'), password: mark('a password in a query') })
  answers.push(await (await fetch(`${stack.gatewayUrl}/user/get?${query}`)).text())
  answers.push(await (await fetch(`${stack.gatewayUrl}/no/such/path?${query}`)).text())
  await people.api.call(accounts.logout, {}, { token: carol.token })
  for (const phone of [a, b, c]) await phone.hangUp()
  // What goes wrong is told most.
  await stack.kill('redis')
  await told(people.api.envelope(accounts.login, { telephone: bob.telephone, password: wrong }))
  await stack.restart('redis')

  await eventually(() => /message\.archived/.test(events.seen()))
  await eventually(() => /store messages/.test(spans.seen()), 30_000)
  const probes = `http://127.0.0.1:${stack.env['OPERATIONS_PORT']}`
  const metricsUrls = [...Object.values({ ...stack.urls, gateway: probes }), stack.env['XMPP_HTTP_URL']]
  const metrics = await Promise.all(metricsUrls.map(async (url) => (await fetch(`${url}/metrics`)).text()))
  // Calls are logged in blocks, a second late at most.
  const logs = await eventually(async () => {
    const text = await stack.logs()
    return /"path":"\/user\/get"/.test(text) && text
  })
  for (const { name, seen } of [
    { name: 'log', seen: () => logs },
    { name: 'metric', seen: () => metrics.join('\n') },
    { name: 'error', seen: () => answers.join('\n') },
    events,
    spans,
  ]) {
    const all = seen()
    t.ok(all.length > 100, `there is some ${name}`)
    for (const [value, what] of marked) {
      const at = all.indexOf(value)
      t.equal(at < 0 ? '' : all.slice(Math.max(0, at - 300), at + 80), '', `${what} in a ${name}`)
    }
  }
})
