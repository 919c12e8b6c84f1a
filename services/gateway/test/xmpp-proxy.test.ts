import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { WebSocket as Client, type WebSocket, WebSocketServer } from 'ws'
import { startGateway } from './stage.ts'

/**
 * A server that speaks as the HTTP port of Prosody does: WebSockets of subprotocol xmpp that echo, and BOSH, whose calls are
 * answered with the length of their body at once, or when the test says so. Sessions are as many as one asks for.
 */
async function startXmpp(t: Test) {
  const sessions = new Set<string>()
  const seen: IncomingMessage[] = []
  const polls: ServerResponse[] = []
  const server = createServer((request, response) => {
    seen.push(request)
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      response.setHeader('content-type', 'text/xml; charset=utf-8')
      if (body.includes('wait')) polls.push(response)
      else if (body.includes(' to=')) {
        const sid = randomUUID()
        sessions.add(sid)
        response.end(`<body wait='60' sid='${sid}' authid="a>b" xmlns='${httpBind}'><features/></body>`)
      } else if (sessions.has(/ sid='([^']*)'/.exec(body)?.[1] ?? '')) response.end(body)
      else response.end(`<body>${body.length}</body>`)
    })
  })
  const sockets = new WebSocketServer({ server, path: '/xmpp-websocket', handleProtocols: () => 'xmpp' })
  sockets.on('connection', (socket, request) => {
    seen.push(request)
    socket.on('message', (data) => socket.send(data.toString()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = () => {
    for (const socket of sockets.clients) socket.terminate()
    server.close()
    server.closeAllConnections()
  }
  t.after(stop)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, seen, sockets, polls, sessions, stop }
}

const httpBind = 'http://jabber.org/protocol/httpbind'
const attribute = (name: string, xml: string) => new RegExp(` ${name}=(['"])(.*?)\\1`).exec(xml)?.[2] ?? ''

/** A gateway in front of several XMPP servers. */
async function startFleet(t: Test, size: number) {
  const servers = await Promise.all(Array.from({ length: size }, () => startXmpp(t)))
  const { gateway } = await startGateway(t, { XMPP_HTTP_URL: servers.map(({ url }) => url).join(',') })
  const post = async (body: string) => {
    const answer = await fetch(`${gateway.url}/http-bind`, { method: 'POST', body })
    return { status: answer.status, text: await answer.text() }
  }
  /** Begins a session; its id and the server that has it. */
  const begin = async () => {
    const sid = attribute('sid', (await post(`<body rid='1' to='im.test' xmlns='${httpBind}'/>`)).text)
    const server = servers.find(({ sessions }) => [...sessions].some((own) => sid.endsWith(own)))
    return { sid, server }
  }
  return { servers, gateway, post, begin }
}

async function startBoth(t: Test, extra: Record<string, string> = {}) {
  const xmpp = await startXmpp(t)
  const { gateway } = await startGateway(t, { XMPP_HTTP_URL: xmpp.url, ...extra })
  return { xmpp, gateway, bosh: (body: string) => fetch(`${gateway.url}/http-bind`, { method: 'POST', body }) }
}

const webSocketUrl = (url: string) => `${url.replace('http', 'ws')}/xmpp-websocket`

async function open(url: string): Promise<WebSocket> {
  const socket = new Client(webSocketUrl(url), 'xmpp')
  await once(socket, 'open')
  return socket
}

async function closeCode(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  return { code, reason: String(reason) }
}

/** The HTTP status a WebSocket is refused with. */
async function refusal(url: string): Promise<string> {
  const socket = new Client(webSocketUrl(url), 'xmpp')
  const [error] = await once(socket, 'error')
  return (error as Error).message
}

test('a WebSocket reaches the XMPP server with its subprotocol, large stanzas both ways', async (t) => {
  const { xmpp, gateway } = await startBoth(t)
  const socket = await open(gateway.url)
  t.equal(socket.protocol, 'xmpp')
  for (const stanza of ['<open xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>', '你好', 'x'.repeat(500_000)]) {
    socket.send(stanza)
    const [echo] = await once(socket, 'message')
    t.equal(String(echo), stanza)
  }
  t.equal(xmpp.seen[0]?.headers['x-forwarded-for'], '127.0.0.1')
  socket.close(1000)
  t.equal((await closeCode(socket)).code, 1000)
  await eventually(() => xmpp.sockets.clients.size === 0)
})

test('the XMPP server ending a WebSocket ends it for the app', async (t) => {
  const { xmpp, gateway } = await startBoth(t)
  const socket = await open(gateway.url)
  await eventually(() => xmpp.sockets.clients.size === 1)
  for (const served of xmpp.sockets.clients) served.close(1001)
  t.equal((await closeCode(socket)).code, 1001)
})

test('an app that sends faster than the XMPP server reads has to wait, and loses nothing', async (t) => {
  const { xmpp, gateway } = await startBoth(t)
  const socket = await open(gateway.url)
  await eventually(() => xmpp.sockets.clients.size === 1)
  const [served] = xmpp.sockets.clients
  let received = 0
  served?.on('message', () => received++)
  served?.pause()
  const stanza = 'x'.repeat(100_000)
  for (let n = 0; n < 500; n++) socket.send(stanza)
  await delay(1000)
  t.ok(socket.bufferedAmount > 30_000_000, `${socket.bufferedAmount} of 50 million bytes wait at the app`)
  served?.resume()
  await eventually(() => received === 500)
  socket.terminate()
})

test('a stanza that is far too long ends the WebSocket', async (t) => {
  const { gateway } = await startBoth(t)
  const socket = await open(gateway.url)
  socket.send('x'.repeat(2_000_000))
  t.equal((await closeCode(socket)).code, 1009)
})

test('open WebSockets do not keep the gateway from ending, nor do those that never answer', async (t) => {
  const { xmpp, gateway } = await startBoth(t)
  const socket = await open(gateway.url)
  const { hostname, port } = new URL(gateway.url)
  const silent = connect(Number(port), hostname)
  silent.on('error', () => {})
  silent.write(
    'GET /xmpp-websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n',
  )
  await eventually(() => xmpp.sockets.clients.size === 2)
  const startedAt = performance.now()
  await Promise.all([gateway.close(), closeCode(socket)])
  t.ok(performance.now() - startedAt < 5000)
})

test('without XMPP server apps are told to come again, and nothing of the network behind', async (t) => {
  const { gateway } = await startGateway(t, { XMPP_HTTP_URL: 'http://127.0.0.1:1' })
  t.match(await refusal(gateway.url), /503/)
  const answer = await fetch(`${gateway.url}/http-bind`, { method: 'POST', body: '<body/>' })
  t.equal(answer.status, 503)
  t.equal(await answer.text(), '')
})

test('nor do they hear why an XMPP server did not speak', async (t) => {
  const mute = createTcpServer((socket) => socket.on('error', () => {}).once('data', () => socket.destroy()))
  mute.listen(0, '127.0.0.1')
  await once(mute, 'listening')
  t.after(() => mute.close())
  const { gateway } = await startGateway(t, {
    XMPP_HTTP_URL: `http://127.0.0.1:${(mute.address() as AddressInfo).port}`,
  })
  t.strictSame(await closeCode(new Client(webSocketUrl(gateway.url), 'xmpp')), { code: 1013, reason: '' })
})

test('no other path switches protocols', async (t) => {
  const { gateway } = await startGateway(t)
  const socket = new Client(`${gateway.url.replace('http', 'ws')}/config`)
  const [error] = await once(socket, 'error')
  t.match((error as Error).message, /200/)
})

test('one address has so many WebSockets and no more', async (t) => {
  const { gateway } = await startBoth(t, { MAX_XMPP_PER_ADDRESS: '3' })
  const sockets = await Promise.all([1, 2, 3].map(() => open(gateway.url)))
  t.match(await refusal(gateway.url), /429/)
  sockets[0]?.close()
  await eventually(async () => (await open(gateway.url)).readyState === Client.OPEN)
  for (const socket of sockets) socket.terminate()
})

test('an ordinary call of the path of WebSockets is refused, and takes the place of none', async (t) => {
  const { xmpp, gateway } = await startBoth(t, { MAX_XMPP_PER_ADDRESS: '3' })
  // Like a proxy, which keeps its connection and sends the calls of others, too.
  const { hostname, port } = new URL(gateway.url)
  const kept = connect(Number(port), hostname)
  let answers = ''
  kept.on('data', (data) => {
    answers += data
  })
  for (const more of ['', 'Upgrade: websocket\r\n', 'Connection: keep-alive\r\n', ''])
    kept.write(`GET /xmpp-websocket HTTP/1.1\r\nHost: a\r\n${more}\r\n`)
  await eventually(() => answers.split('HTTP/1.1 426 Upgrade Required').length === 5)
  t.strictSame(xmpp.seen, [])
  const sockets = await Promise.all([1, 2, 3].map(() => open(gateway.url)))
  for (const socket of sockets) socket.terminate()
  kept.destroy()
})

test('BOSH is carried to the XMPP server, with the address of its client', async (t) => {
  const { xmpp, gateway, bosh } = await startBoth(t)
  const forged = { 'x-forwarded-for': '203.0.113.1' }
  await fetch(`${gateway.url}/http-bind`, { method: 'POST', body: '<body rid="1"/>', headers: forged })
  t.equal(xmpp.seen.at(-1)?.headers['x-forwarded-for'], '127.0.0.1')
  const answer = await bosh('<body rid="1"/>')
  t.equal(answer.status, 200)
  t.equal(await answer.text(), '<body>15</body>')
  t.equal(answer.headers.get('content-type'), 'text/xml; charset=utf-8')
  t.equal(answer.headers.get('access-control-allow-origin'), '*')
  t.equal((await fetch(`${gateway.url}/http-bind/`, { method: 'POST', body: '' })).status, 200)
  t.equal((await fetch(`${gateway.url}/http-bind`, { method: 'OPTIONS' })).status, 204)
  t.equal((await bosh('x'.repeat(600_000))).status, 413)
  for (let n = 0; n < 18; n++) t.equal((await bosh('x'.repeat(500_000))).status, 200, 'the one before is gone')
})

test('no BOSH body takes the gateway long, however it is cut', async (t) => {
  const { gateway, bosh } = await startBoth(t)
  const long = (unit: string) => unit.repeat(500_000 / unit.length)
  const bodies = [
    ...['<body ', '<body "', '<body a="', "<body a='", '<?x>', '<body/>', ' ', '<body>', '</body>'].map(long),
    ...['a', 'a ', ' a=', ' ', '\t=', ' a="b"', ` a="'" `].map((unit) => `<body ${long(unit)}>`),
    `<body rid='1'>${long('</body ')}`,
  ]
  for (const body of bodies) {
    const from = performance.now()
    const [answer] = await Promise.all([bosh(body), fetch(`${gateway.url}/healthz`)])
    const took = performance.now() - from
    t.equal(answer.status, 200, body.slice(0, 20))
    t.ok(took < 1000, `${body.slice(0, 20)} took ${Math.round(took)} ms`)
  }
})

test('a BOSH body that is cut short or without a number is refused at once, and so is content of a type that is none', async (t) => {
  const { xmpp, gateway, bosh } = await startBoth(t)
  for (const body of ["<body rid='1'>", "<body rid='1'><a>", "<?xml version='1.0'?> <body rid='1'><a/> "])
    t.match(await (await bosh(body)).text(), "type='terminate' condition='bad-request'", body)
  for (const rid of ['', "rid='x'", "rid=''", "rid='-1'", "rid='1.5'"])
    t.match(await (await bosh(`<body sid='a-b' ${rid}/>`)).text(), "type='terminate' condition='bad-request'", rid)
  t.equal(xmpp.seen.length, 0)
  for (const body of [
    "<body rid='1'/>",
    "<body rid='1'></body>",
    "<?xml version='1.0'?> <body rid='1'><a/></body >\n",
    'x',
  ])
    t.equal((await bosh(body)).status, 200, body)
  const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1')
  socket.write(
    'POST /http-bind HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\xff\x80\r\nContent-Length: 7\r\n\r\n<body/>',
    'latin1',
  )
  const [answer] = await once(socket, 'data')
  socket.destroy()
  t.match(String(answer), /^HTTP\/1\.1 415 /)
})

test('a BOSH session stays with its XMPP server, and new ones are spread', async (t) => {
  const { servers, post, begin } = await startFleet(t, 2)
  const begun = await Promise.all(Array.from({ length: 40 }, begin))
  for (const { sid, server } of begun) {
    t.ok(server)
    for (const rid of [2, 3]) {
      const body = `<body rid='${rid}' sid='SID' xmlns='${httpBind}'><message>你好 sid='x' <body sid='y'/></message></body>`
      const { text } = await post(body.replace('SID', sid))
      t.equal(text, body.replace('SID', sid), 'everything but the id is as it was')
    }
  }
  for (const server of servers) t.ok(server.sessions.size > 5, `${server.sessions.size} of 40`)
})

test('a BOSH session whose XMPP server is lost is ended, and the client goes on with another', async (t) => {
  const { servers, post, begin } = await startFleet(t, 2)
  const begun = await Promise.all(Array.from({ length: 20 }, begin))
  const [lost, other] = servers as [(typeof servers)[0], (typeof servers)[0]]
  const poll = post(`<body rid='2' sid='${begun.find(({ server }) => server === lost)?.sid}' wait=''/>`)
  await eventually(() => lost.polls.length === 1)
  lost.stop()
  t.match(await poll, { status: 200, text: / type='terminate' condition='remote-connection-failed'/ })
  for (const { sid, server } of begun) {
    const { status, text } = await post(`<body rid='2' sid='${sid}' xmlns='${httpBind}'/>`)
    t.equal(status, 200)
    if (server === lost) t.match(text, / type='terminate' condition='remote-connection-failed'/)
    else t.equal(attribute('sid', text), sid)
  }
  for (const { server } of await Promise.all(Array.from({ length: 20 }, begin))) t.equal(server, other)
  for (const sid of ['', 'a', 'ffffffff-1', '-', '&quot;'])
    t.match(await post(`<body sid="${sid}" rid='3'/>`), {
      status: 200,
      text: / type='terminate' condition='item-not-found'/,
    })
})

test('a WebSocket goes to an XMPP server that lives', async (t) => {
  const { servers, gateway } = await startFleet(t, 3)
  const sockets = await Promise.all(Array.from({ length: 30 }, () => open(gateway.url)))
  await eventually(() => servers.reduce((sum, { sockets: { clients } }) => sum + clients.size, 0) === 30)
  for (const server of servers) t.ok(server.sockets.clients.size > 2, `${server.sockets.clients.size} of 30`)
  servers[0]?.stop()
  servers[1]?.stop()
  for (let count = 0; count < 10; count++) sockets.push(await open(gateway.url))
  await eventually(() => (servers[2]?.sockets.clients.size ?? 0) >= 10)
  for (const socket of sockets) socket.terminate()
})

test('hundreds of long polls leave room for the next call', async (t) => {
  const { xmpp, bosh } = await startBoth(t, { MAX_XMPP_PER_ADDRESS: '1000' })
  const waiting = Array.from({ length: 600 }, () => bosh('wait'))
  await eventually(() => xmpp.polls.length === 600)
  const startedAt = performance.now()
  t.equal((await bosh('now')).status, 200)
  t.ok(performance.now() - startedAt < 500)
  for (const poll of xmpp.polls) poll.end('<body/>')
  for (const answer of await Promise.all(waiting)) t.equal(answer.status, 200)
})

test('one address has so many long polls and no more, also when it does not wait for them', async (t) => {
  const { xmpp, bosh, gateway } = await startBoth(t, { MAX_XMPP_PER_ADDRESS: '3' })
  const gone = new AbortController()
  const left = Array.from({ length: 3 }, () =>
    fetch(`${gateway.url}/http-bind`, { method: 'POST', body: 'wait', signal: gone.signal }).catch(() => {}),
  )
  await eventually(() => xmpp.polls.length === 3)
  gone.abort()
  await Promise.all(left)
  const refused = await bosh('now')
  t.equal(refused.status, 429)
  t.equal(refused.headers.get('retry-after'), '5')
  for (const poll of xmpp.polls) poll.end('<body/>')
  await eventually(async () => (await bosh('now')).status === 200)
  const waiting = [bosh('wait'), bosh('wait'), bosh('wait')]
  await eventually(() => xmpp.polls.length === 6)
  for (const poll of xmpp.polls) poll.end('<body/>')
  for (const answer of await Promise.all(waiting)) t.equal(answer.status, 200)
})

test('one address begins so many BOSH sessions a minute and no more; those that it has go on', async (t) => {
  const { xmpp, bosh } = await startBoth(t, { MAX_XMPP_PER_ADDRESS: '3' })
  const begin = () => bosh("<body rid='1' to='im.test'/>")
  for (let n = 0; n < 5; n++)
    t.equal((await bosh("<body rid='1'/>")).status, 200, 'refused by the server: none has begun')
  const sid = attribute('sid', await (await begin()).text())
  for (let n = 0; n < 2; n++) t.equal((await begin()).status, 200)
  t.equal((await begin()).status, 429)
  t.equal(xmpp.sessions.size, 3)
  t.equal((await bosh(`<body rid='2' sid='${sid}'/>`)).status, 200)
})

test('the end of the gateway answers long polls, which come back through another', async (t) => {
  const { xmpp, gateway, bosh } = await startBoth(t)
  const waiting = bosh('wait')
  await eventually(() => xmpp.polls.length === 1)
  const startedAt = performance.now()
  const [answer] = await Promise.all([waiting, gateway.close()])
  t.equal(answer.status, 503)
  t.ok(performance.now() - startedAt < 2000)
})
