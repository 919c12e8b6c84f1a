import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createLogger } from '@im/service-kit'
import { test } from 'tap'
import { openComponent } from '../src/feed/open-component.ts'

const log = createLogger({ service: 'test', level: 'silent', format: 'json' })
const common = { jid: 'api.im.test', secret: 'secret', domain: 'im.test', onStanza: () => {}, log }
const header = "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'>"

test('texts and attributes that come in many reads cost as much as short ones', async (t) => {
  const part = '文a&gt;'.repeat(10_000)
  const stanza = `<message to='api.im.test' id='${part.repeat(5)}'><body>${part.repeat(5)}</body></message>`
  const server = createServer((socket) => {
    socket.once('data', () => {
      socket.write(header)
      socket.once('data', () => socket.write(`<handshake/>${stanza.repeat(10)}`))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `xmpp://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { promise, resolve } = Promise.withResolvers<void>()
  const came: string[] = []
  const onStanza = (stanza: { toString(): string }) => {
    if (came.push(String(stanza)) === 10) resolve()
  }
  const before = process.cpuUsage()
  const connection = await openComponent({ ...common, url, onStanza })
  t.teardown(async () => {
    await connection.close()
    server.close()
  })
  await promise
  const { user } = process.cpuUsage(before)
  t.ok(came.every((text) => text.length === came[0]!.length && text.includes(`<body>${part.repeat(5)}</body>`)))
  t.ok(user < 1e6, `${user / 1000} ms`)
})

test('a connection that breaks while it opens is a failed attempt and no more', async (t) => {
  const moments: [string, (socket: Socket) => void][] = [
    ['at once', (socket) => socket.resetAndDestroy()],
    ['at the header of the stream', (socket) => socket.once('data', () => socket.resetAndDestroy())],
    [
      'at the handshake',
      (socket) => {
        socket.once('data', () => {
          socket.write(header)
          socket.once('data', () => socket.resetAndDestroy())
        })
      },
    ],
    ['never, and says nothing to the handshake', (socket) => void socket.once('data', () => socket.write(header))],
  ]
  for (const [when, breaks] of moments) {
    const server = createServer((socket) => breaks(socket.on('error', () => {}))).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `xmpp://127.0.0.1:${(server.address() as AddressInfo).port}`
    await t.rejects(openComponent({ ...common, url, patience: 500 }), when)
    server.close()
  }
  // A rejection that nobody handles is told after the turn it happens in.
  await new Promise((resolve) => setImmediate(resolve))
})

test('a host that does not even accept a connection is waited for no longer than the handshake, nor when all ends', async (t) => {
  // It stands still with a full queue, so the kernel answers to nobody who connects, as a host that is gone.
  const program =
    "require('net').createServer().listen(0, '127.0.0.1', 1, function () { console.log(this.address().port) })"
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [said] = await once(child.stdout, 'data')
  const port = Number(said)
  child.kill('SIGSTOP')
  for (let isAccepted = true; isAccepted; ) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    t.after(() => socket.destroy())
    isAccepted = await Promise.race([once(socket, 'connect').then(() => true), delay(100, false)])
  }
  const url = `xmpp://127.0.0.1:${port}`
  const timely = <T>(opening: Promise<T>) => Promise.race([opening, delay(3000, 'it still waits')])
  await t.rejects(timely(openComponent({ ...common, url, patience: 200 })), { name: 'TimeoutError' })
  const ending = new AbortController()
  const opening = timely(openComponent({ ...common, url, signal: ending.signal }))
  ending.abort()
  await t.rejects(opening, { name: 'AbortError' })
})
