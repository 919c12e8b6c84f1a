import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'

export interface SlowProxy {
  /** The given address, reached through the proxy. */
  url: string
  /** Milliseconds by which each answer of the server comes later. */
  delayMs: number
  /** Breaks all connections, and new ones until `open` is called. */
  cut(): { open(): void }
}

/** A server that answers slowly: everything passes, answers wait. */
export async function slowProxy(t: Test, url: string): Promise<SlowProxy> {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  let isCut = false
  const proxy: SlowProxy = {
    url,
    delayMs: 0,
    cut() {
      isCut = true
      for (const socket of sockets) socket.destroy()
      return {
        open() {
          isCut = false
        },
      }
    },
  }
  const server = createServer((inner) => {
    if (isCut) return void inner.destroy()
    const outer = connect(Number(port), hostname)
    for (const [socket, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    inner.pipe(outer)
    let inOrder = Promise.resolve()
    outer.on('data', (data) => {
      const late = delay(proxy.delayMs)
      inOrder = inOrder.then(() => late).then(() => void inner.write(data))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy.url = url.replace(`:${port}`, `:${(server.address() as AddressInfo).port}`)
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return proxy
}
