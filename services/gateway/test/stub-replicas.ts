import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

async function listen(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

/** A service that does what `answer` says; it keeps the paths of the calls it got. */
export async function stubService(
  t: Test,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ url: string; port: number; paths: string[] }> {
  const paths: string[] = []
  const server = createServer((request, response) => {
    paths.push(request.url?.split('?')[0] ?? '')
    request.resume()
    answer(request, response)
  })
  const port = await listen(t, server)
  return { url: `http://127.0.0.1:${port}`, port, paths }
}

/** One address for several replicas: each new connection goes to the next of them, as behind a ClusterIP. */
export async function oneAddress(t: Test, ports: readonly number[]): Promise<string> {
  let next = 0
  const server = createTcpServer((client) => {
    const replica = connect(ports[next++ % ports.length] ?? 0, '127.0.0.1')
    for (const [socket, other] of [
      [client, replica],
      [replica, client],
    ] as const)
      socket.on('error', () => {}).on('close', () => other.destroy())
    client.pipe(replica).pipe(client)
  })
  return `http://127.0.0.1:${await listen(t, server)}`
}

export const success = '{"currentTime":1,"resultCode":1}'
