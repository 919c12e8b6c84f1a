import type { FastifyInstance } from 'fastify'
import { processMetrics, type Registry } from '../metrics.ts'

/**
 * Routes for the operator's network. The gateway serves them on a port of its own, never to apps.
 * - /healthz: the process runs.
 * - /startedz: the process takes calls; 503 once it is ending. Stores and other services don't count, because taking a pod out
 *   of rotation for them helps nobody.
 * - /readyz: the stores answer; otherwise 503 with the reason.
 * - /metrics: metrics of the service and its process, as Prometheus text.
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
    // One after the other: `Registry.merge` loses the labels that all metrics of a registry have.
    reply.type(metrics.contentType).send((await metrics.metrics()) + (await processMetrics().metrics())),
  )
}
