import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Test, test } from 'tap'
import { WebSocket as Client, type WebSocket, WebSocketServer } from 'ws'
import { startGateway } from './stage.ts'

/** A server that speaks as Prosody's HTTP port does: BOSH that answers late, and WebSockets of subprotocol xmpp that echo. */
async function startXmpp(t: Test) {
  const seen: IncomingMessage[] = []
  const server = createServer((request, response) => {
    seen.push(request)
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      response.setHeader('content-type', 'text/xml; charset=utf-8')
      response.write('<body>')
      setTimeout(() => response.end(`${body.length}</body>`), 50)
    })
  })
  const sockets = new WebSocketServer({ server, path: '/xmpp-websocket', handleProtocols: () => 'xmpp' })
  sockets.on('connection', (socket, request) => {
    seen.push(request)
    socket.on('message', (data) => socket.send(data.toString()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, sockets }
}

const webSocketUrl = (url: string) => `${url.replace('http', 'ws')}/xmpp-websocket`

async function open(url: string): Promise<WebSocket> {
  const socket = new Client(url, 'xmpp')
  await once(socket, 'open')
  return socket
}

test('a WebSocket reaches the XMPP server with its subprotocol, large stanzas both ways', async (t) => {
  const xmpp = await startXmpp(t)
  const { gateway } = await startGateway(t, { XMPP_HTTP_URL: xmpp.url })
  const socket = await open(webSocketUrl(gateway.url))
  t.equal(socket.protocol, 'xmpp')
  for (const stanza of ['<open xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>', '你好', 'x'.repeat(500_000)]) {
    socket.send(stanza)
    const [echo] = await once(socket, 'message')
    t.equal(String(echo), stanza)
  }
  t.equal(xmpp.seen[0]?.headers['x-forwarded-for'], '127.0.0.1')
  socket.close(1000)
  const [code] = await once(socket, 'close')
  t.equal(code, 1000)
})

test('the XMPP server ending a WebSocket ends it for the app', async (t) => {
  const xmpp = await startXmpp(t)
  const { gateway } = await startGateway(t, { XMPP_HTTP_URL: xmpp.url })
  const socket = await open(webSocketUrl(gateway.url))
  for (const served of xmpp.sockets.clients) served.close(1001)
  const [code] = await once(socket, 'close')
  t.equal(code, 1001)
})

test('open WebSockets do not keep the gateway from ending', async (t) => {
  const xmpp = await startXmpp(t)
  const { gateway } = await startGateway(t, { XMPP_HTTP_URL: xmpp.url })
  const socket = await open(webSocketUrl(gateway.url))
  await t.resolves(Promise.all([gateway.close(), once(socket, 'close')]))
})

test('without XMPP server a WebSocket is refused, and taken again later', async (t) => {
  const { gateway } = await startGateway(t, { XMPP_HTTP_URL: 'http://127.0.0.1:1' })
  const socket = new Client(webSocketUrl(gateway.url), 'xmpp')
  const [error] = await once(socket, 'error')
  t.match((error as Error).message, /503/)
  t.equal((await fetch(`${gateway.url}/http-bind`, { method: 'POST', body: '<body/>' })).status, 503)
})

test('no other path switches protocols', async (t) => {
  const { gateway } = await startGateway(t)
  const socket = new Client(`${gateway.url.replace('http', 'ws')}/config`)
  const [error] = await once(socket, 'error')
  t.match((error as Error).message, /200/)
})

test('BOSH is carried to the XMPP server', async (t) => {
  const xmpp = await startXmpp(t)
  const { gateway } = await startGateway(t, { XMPP_HTTP_URL: xmpp.url })
  const answer = await fetch(`${gateway.url}/http-bind/`, { method: 'POST', body: '<body rid="1"/>' })
  t.equal(answer.status, 200)
  t.equal(await answer.text(), '<body>15</body>')
  t.equal(answer.headers.get('content-type'), 'text/xml; charset=utf-8')
  t.equal(answer.headers.get('access-control-allow-origin'), '*')
  t.equal((await fetch(`${gateway.url}/http-bind`, { method: 'OPTIONS' })).status, 204)
})
