import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createLogger } from '@im/service-kit'
import { test } from 'tap'
import { openComponent } from '../src/feed/open-component.ts'

test('a connection that breaks while it opens is a failed attempt and no more', async (t) => {
  const moments: [string, (socket: Socket) => void][] = [
    ['at once', (socket) => socket.resetAndDestroy()],
    ['at the header of the stream', (socket) => socket.once('data', () => socket.resetAndDestroy())],
    [
      'at the handshake',
      (socket) => {
        socket.once('data', () => {
          socket.write(
            "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'>",
          )
          socket.once('data', () => socket.resetAndDestroy())
        })
      },
    ],
    [
      'never, and says nothing to the handshake',
      (socket) =>
        void socket.once('data', () =>
          socket.write(
            "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'>",
          ),
        ),
    ],
  ]
  for (const [when, breaks] of moments) {
    const server = createServer((socket) => breaks(socket.on('error', () => {}))).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `xmpp://127.0.0.1:${(server.address() as AddressInfo).port}`
    const options = { url, jid: 'api.im.test', secret: 'secret', domain: 'im.test', onStanza: () => {}, patience: 500 }
    await t.rejects(
      openComponent({ ...options, log: createLogger({ service: 'test', level: 'silent', format: 'json' }) }),
      when,
    )
    server.close()
  }
  // A rejection that nobody handles is told after the turn it happens in.
  await new Promise((resolve) => setImmediate(resolve))
})
