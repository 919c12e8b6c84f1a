import type { Endpoint, Handler } from '@im/contracts'
import { createServiceApp } from '../http/edge.ts'
import { createLogger } from '../logs.ts'
import { createMetrics } from '../metrics.ts'

interface StubbedEndpoint {
  endpoint: Endpoint
  handler: Handler<Endpoint, undefined>
}

/** An endpoint of another service, answered by a test. */
export const stub = <E extends Endpoint>(endpoint: E, answer: Handler<E, undefined>): StubbedEndpoint => ({
  endpoint,
  handler: answer as unknown as Handler<Endpoint, undefined>,
})

/**
 * Answers in the place of services beside the one under test, over HTTP, until the end of the test. The contracts check what is
 * asked and what is answered. While `isAway` returns true, connections are closed without an answer. Returns the address.
 */
export async function stubServices(
  t: { after(end: () => Promise<unknown>): unknown },
  config: { serviceKeys: readonly string[]; callerKeys: readonly string[] },
  handlers: readonly StubbedEndpoint[],
  isAway: () => boolean = () => false,
): Promise<string> {
  const log = createLogger({ service: 'stub', level: 'error', format: 'json' })
  const app = createServiceApp({ handlers, deps: undefined, config, log, metrics: createMetrics('stub') })
  app.addHook('onRequest', async (request) => {
    if (isAway()) request.raw.socket.destroy()
  })
  t.after(() => app.close())
  return await app.listen({ host: '127.0.0.1', port: 0 })
}
