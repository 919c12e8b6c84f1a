import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const sasl = 'urn:ietf:params:xml:ns:xmpp-sasl'
const binding = 'urn:ietf:params:xml:ns:xmpp-bind'

/** A logged-in XMPP stream on which a test writes whatever it likes, byte for byte; over TCP, or a WebSocket. */
export class RawStream {
  /** All that came, as text. */
  heard = ''
  isOver = false
  readonly #write: (data: string | Buffer) => void
  readonly #close: () => void
  readonly isWebSocket: boolean

  constructor(options: { write: (data: string | Buffer) => void; close: () => void; isWebSocket: boolean }) {
    this.#write = options.write
    this.#close = options.close
    this.isWebSocket = options.isWebSocket
  }

  /** `place`: a TCP port, or the address of a WebSocket. */
  static async login(place: number | string, account: { domain: string; userId: number; password: string }) {
    const stream = typeof place === 'number' ? await overTcp(place) : await overWebSocket(place)
    const { domain, userId, password } = account
    const open = stream.isWebSocket
      ? `<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='${domain}' version='1.0'/>`
      : `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}' version='1.0'>`
    const secret = Buffer.from(`\0${userId}\0${password}`).toString('base64')
    await stream.ask(open, '</stream:features>')
    await stream.ask(`<auth xmlns='${sasl}' mechanism='PLAIN'>${secret}</auth>`, '<success')
    await stream.ask(open, '</stream:features>')
    const bind = `<bind xmlns='${binding}'><resource>android</resource></bind>`
    await stream.ask(`<iq xmlns='jabber:client' type='set' id='bind'>${bind}</iq>`, '</iq>')
    stream.write(`<presence xmlns='jabber:client'/>`)
    return stream
  }

  write(data: string | Buffer): void {
    if (!this.isOver) this.#write(data)
  }

  /** Writes, and waits until the text has come. */
  async ask(data: string, answer: string): Promise<void> {
    this.heard = ''
    this.write(data)
    for (const end = Date.now() + 10_000; !this.heard.includes(answer); await delay(10))
      if (this.isOver || Date.now() > end) throw new Error(`no ${answer} in ${this.heard}`)
  }

  close(): void {
    this.#close()
  }
}

async function overTcp(port: number): Promise<RawStream> {
  const socket: Socket = connect(port, '127.0.0.1')
  const stream = new RawStream({
    write: (data) => socket.write(data),
    close: () => socket.destroy(),
    isWebSocket: false,
  })
  socket.on('data', (data) => {
    stream.heard += data.toString()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    stream.isOver = true
  })
  await once(socket, 'connect')
  return stream
}

async function overWebSocket(url: string): Promise<RawStream> {
  const socket = new WebSocket(url, 'xmpp')
  const stream = new RawStream({
    write: (data) => socket.send(data),
    close: () => socket.close(),
    isWebSocket: true,
  })
  socket.addEventListener('message', ({ data }) => {
    stream.heard += String(data)
  })
  socket.addEventListener('error', () => {})
  socket.addEventListener('close', () => {
    stream.isOver = true
  })
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve(), { once: true })
    socket.addEventListener('error', () => reject(new Error('no WebSocket')), { once: true })
  })
  return stream
}
