import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { alice, codes, startGateway } from './stage.ts'

/** A connection from an address of this machine, and all that came over it. */
async function open(t: Test, url: string, localAddress = '127.0.0.1'): Promise<{ socket: Socket; text: () => string }> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), localAddress })
  let text = ''
  socket
    .on('error', () => {})
    .on('data', (chunk) => {
      text += chunk
    })
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return { socket, text: () => text }
}

/** How many of so many connections the gateway keeps. */
async function kept(t: Test, url: string, count: number, localAddress?: string): Promise<number> {
  const all = await Promise.all(Array.from({ length: count }, () => open(t, url, localAddress)))
  await delay(300)
  return all.filter(({ socket }) => !socket.closed).length
}

test('one address has so many connections and no more, but not a trusted proxy', async (t) => {
  const { gateway } = await startGateway(t, { MAX_CONNECTIONS_PER_ADDRESS: '5' })
  t.equal(await kept(t, gateway.url, 8), 5)
  t.equal(await kept(t, gateway.url, 3, '127.0.0.2'), 3)
  const metrics = await (await fetch(`${gateway.operationsUrl}/metrics`)).text()
  t.match(metrics, /^im_gateway_refused_connections_total\{of="address"\S* 3$/m)
  const behind = await startGateway(t, { MAX_CONNECTIONS_PER_ADDRESS: '5', TRUSTED_PROXIES: '127.0.0.0/8' })
  t.equal(await kept(t, behind.gateway.url, 8), 8)
})

test('few addresses do not take all connections', async (t) => {
  const { gateway, call } = await startGateway(t, { MAX_CONNECTIONS: '30', MAX_CONNECTIONS_PER_ADDRESS: '10' })
  const greedy = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5']
  for (const [n, address] of greedy.entries()) t.equal(await kept(t, gateway.url, 10, address), [10, 10, 5, 3][n])
  t.equal((await call('/config')).resultCode, codes.success, 'another address has room')
})

test('all clients together have so many connections and no more', async (t) => {
  const { gateway } = await startGateway(t, { MAX_CONNECTIONS: '5', TRUSTED_PROXIES: '127.0.0.1' })
  t.equal(await kept(t, gateway.url, 4), 4)
  t.equal(await kept(t, gateway.url, 4, '127.0.0.2'), 1)
  t.equal(await kept(t, gateway.url, 4), 0)
  const metrics = await (await fetch(`${gateway.operationsUrl}/metrics`)).text()
  t.match(metrics, /^im_gateway_refused_connections_total\{of="all"\S* 7$/m)
})

test('one address has so many bytes of bodies in memory and no more', async (t) => {
  const { gateway, owners, call } = await startGateway(t, { LIMIT_FACTOR: '0' })
  const bytes = 1024 * 1024
  const path = `/tigase/encrypt?access_token=${owners.signIn(alice)}`
  const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`
  const half = async (from?: string) => {
    const opened = await open(t, gateway.url, from)
    opened.socket.write(head + 'x'.repeat(bytes - 1))
    return opened
  }
  const waiting = await Promise.all(Array.from({ length: 12 }, () => half()))
  const refused = () => waiting.filter(({ text }) => text().includes(`"resultCode":${codes.rateLimited}`))
  await eventually(() => refused().length >= 4)
  await delay(300)
  t.ok(refused().length <= 6, `${refused().length} of 12 are refused`)

  const other = await half('127.0.0.2')
  other.socket.write('x')
  await eventually(() => other.text().includes('"resultCode"'))
  t.notMatch(other.text(), new RegExp(String(codes.rateLimited)), 'others have room')

  for (const { socket } of waiting) socket.destroy()
  const whole = { method: 'POST', body: 'x'.repeat(bytes) }
  await eventually(async () => (await call(path, whole)).resultCode !== codes.rateLimited)
  for (let n = 0; n < 10; n++) t.equal((await call(path, whole)).resultCode, codes.unknown, 'the one before is gone')
})

test('a body in very many short parts is cut, whether it is read or passed on', async (t) => {
  const { gateway, owners } = await startGateway(t, { LIMIT_FACTOR: '0' })
  const token = owners.signIn(alice)
  const send = async (path: string, part: string, count: number) => {
    const opened = await open(t, gateway.url)
    const chunk = `${part.length.toString(16)}\r\n${part}\r\n`
    opened.socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`)
    opened.socket.write(chunk.repeat(count))
    return opened
  }
  for (const path of [`/tigase/encrypt?access_token=${token}`, `/upload/UploadServlet?access_token=${token}`]) {
    const crumbs = await send(path, 'x', 20_000)
    t.ok(await eventually(() => crumbs.socket.closed), path)
    const parts = await send(path, 'x'.repeat(100), 5000)
    parts.socket.write('0\r\n\r\n')
    t.ok(await eventually(() => parts.text().includes('"resultCode"')), path)
  }
})

test('few requests are sent ahead on a connection, and of more nothing is handed on', async (t) => {
  const { gateway, owners } = await startGateway(t, { LIMIT_FACTOR: '0' })
  const call = () => `GET /user/get?access_token=${owners.signIn(alice)} HTTP/1.1\r\nHost: a\r\n\r\n`
  const calls = (count: number) => Array.from({ length: count }, call).join('')
  const few = await open(t, gateway.url)
  for (const answers of [16, 32]) {
    few.socket.write(calls(16))
    await eventually(() => few.text().split('"resultCode":1').length - 1 === answers)
  }
  owners.lookups = 0
  const many = await open(t, gateway.url)
  many.socket.write(calls(500))
  await eventually(() => many.socket.closed)
  await delay(300)
  t.ok(owners.lookups <= 16, `${owners.lookups} sessions are looked up`)
})

test('a connection that is cut takes no more time, and its parser reads whole bodies of others', async (t) => {
  const { gateway, owners, call } = await startGateway(t, { LIMIT_FACTOR: '0' })
  const token = owners.signIn(alice)
  const crumbs = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(10_000)}`
  const ahead = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2000)
  // Of the last one nobody reads the body.
  const packets = [ahead, crumbs(`/tigase/encrypt?access_token=${token}`), crumbs('/x')]
  const attackers = await Promise.all(Array.from({ length: 60 }, () => open(t, gateway.url)))
  const before = process.cpuUsage()
  for (const [n, { socket }] of attackers.entries()) socket.write(packets[n % 3]!)
  await Promise.all(attackers.map(({ socket }) => eventually(() => socket.closed)))
  const { user, system } = process.cpuUsage(before)
  t.ok(user + system < 1_500_000, `${user + system} µs of CPU`)
  const body = 'x'.repeat(100_000)
  const calls = Array.from({ length: 30 }, () =>
    call(`/tigase/encrypt?access_token=${token}`, { method: 'POST', body }),
  )
  t.strictSame(new Set((await Promise.all(calls)).map(({ resultCode }) => resultCode)), new Set([codes.unknown]))
})

test('few addresses do not take all memory for bodies', async (t) => {
  const { gateway, owners, call } = await startGateway(t, { LIMIT_FACTOR: '0' })
  const bytes = 1024 * 1024
  const path = `/tigase/encrypt?access_token=${owners.signIn(alice)}`
  const greedy = await Promise.all(
    Array.from({ length: 80 }, async (_, n) => {
      const opened = await open(t, gateway.url, `127.0.0.${2 + (n % 10)}`)
      opened.socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`)
      opened.socket.write('x'.repeat(bytes - 1))
      return opened
    }),
  )
  await eventually(() => greedy.filter(({ text }) => text().includes(String(codes.rateLimited))).length >= 16)
  await delay(300)
  const answer = await call(path, { method: 'POST', body: 'x'.repeat(bytes) })
  t.equal(answer.resultCode, codes.unknown, 'the stub does not know it, but was asked')
})
