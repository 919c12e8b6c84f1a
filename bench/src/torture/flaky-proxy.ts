import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Passes connections on to a port of this machine, until they are cut or held. */
export class FlakyProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #mode: 'open' | 'refuses' | 'held' = 'open'

  private constructor(port: number) {
    this.#server = createServer((inner) => this.#pass(inner, port))
  }

  static async start(port: number): Promise<FlakyProxy> {
    const proxy = new FlakyProxy(port)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Breaks all connections in the middle of whatever they carry; new ones break at once until `open`. */
  cut(): void {
    this.#mode = 'refuses'
    for (const socket of this.#sockets) reset(socket)
  }

  /** Nothing passes until `open`, and nobody is told. */
  hold(): void {
    this.#mode = 'held'
    for (const socket of this.#sockets) socket.pause()
  }

  open(): void {
    this.#mode = 'open'
    for (const socket of this.#sockets) socket.resume()
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #pass(inner: Socket, port: number): void {
    if (this.#mode === 'refuses') return void reset(inner)
    const outer = connect(port, '127.0.0.1')
    for (const [socket, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('data', (data) => {
        if (other.write(data)) return
        socket.pause()
        other.once('drain', () => this.#mode !== 'held' && socket.resume())
      })
      socket.on('end', () => other.end())
      socket.on('error', () => reset(other))
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroySoon()
      })
      if (this.#mode === 'held') socket.pause()
    }
  }
}

/**
 * Breaks a connection. Node 24 loses the handle of a socket whose end is on its way when it is reset, and then the process never
 * ends: it waits for the handle in its last cleanup, with one core busy.
 */
function reset(socket: Socket): void {
  if (socket.writableEnded || socket.connecting) socket.destroy()
  else socket.resetAndDestroy()
}
