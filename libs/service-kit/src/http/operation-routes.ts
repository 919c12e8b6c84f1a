import type { FastifyInstance } from 'fastify'
import { processMetrics, Registry } from '../metrics.ts'

/**
 * For the operator's network; the gateway routes none of them from outside.
 * - /healthz: the process lives.
 * - /startedz: it takes calls. 503 once its end has begun. Says nothing about stores and other services: a pod that is taken
 *   out of rotation because of them helps nobody.
 * - /readyz: its stores answer, or 503 with the reason.
 * - /metrics: Prometheus text, of the service and of its process.
 */
export function addOperationRoutes(
  app: FastifyInstance,
  { metrics, ready }: { metrics: Registry; ready?: () => Promise<void> },
): void {
  let ending = false
  app.addHook('preClose', async () => {
    ending = true
  })
  app.get('/healthz', async (_request, reply) => reply.type('text/plain').send('ok\n'))
  app.get('/startedz', async (_request, reply) =>
    reply
      .code(ending ? 503 : 200)
      .type('text/plain')
      .send(ending ? 'ending\n' : 'started\n'),
  )
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
  app.get('/metrics', async (_request, reply) =>
    reply.type(metrics.contentType).send(await Registry.merge([metrics, processMetrics()]).metrics()),
  )
}
