import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { cutConnection } from './cut-connection.ts'

/** Requests of one connection that may wait for their answers. Apps and proxies send the next one when they have the answer. */
const mostWaiting = 16

/**
 * Closes connections on which very many requests are sent ahead. One packet holds more than a thousand, which come all at once and
 * would keep a service from everybody else. Nothing of a closed connection is handed on.
 */
export function boundPipelining(app: FastifyInstance): void {
  const waiting = new WeakMap<Socket, number>()
  app.server.prependListener('request', ({ socket }, response) => {
    const count = (waiting.get(socket) ?? 0) + 1
    waiting.set(socket, count)
    if (count > mostWaiting) cutConnection(socket)
    else response.once('close', () => waiting.set(socket, (waiting.get(socket) ?? 1) - 1))
  })
  app.addHook('onRequest', (request, reply, done) => {
    if (request.raw.socket.destroyed) reply.hijack()
    else done()
  })
}
