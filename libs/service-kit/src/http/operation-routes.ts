import type { FastifyInstance } from 'fastify'
import type { Registry } from '../metrics.ts'

/** /healthz, /readyz and /metrics: for the operator's network, the gateway routes none of them from outside. */
export function addOperationRoutes(app: FastifyInstance, metrics: Registry, ready?: () => Promise<void>): void {
  addHealthRoutes(app, ready)
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()))
}

/** /healthz: the process lives; /readyz: it can do its work, or 503 with the reason. */
export function addHealthRoutes(app: FastifyInstance, ready?: () => Promise<void>): void {
  app.get('/healthz', async (_request, reply) => reply.type('text/plain').send('ok\n'))
  app.get('/readyz', async (_request, reply) => {
    try {
      await ready?.()
      return reply.type('text/plain').send('ready\n')
    } catch (error) {
      return reply
        .code(503)
        .type('text/plain')
        .send(`not ready: ${(error as Error).message}\n`)
    }
  })
}
