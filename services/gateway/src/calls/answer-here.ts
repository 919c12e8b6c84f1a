import { clock } from '@im/contracts/gateway'
import { bindHandlers, createServiceApp, outcomeHeader } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { Answer } from './answer.ts'
import { serviceHeaders } from './service-headers.ts'

const handlers = [bindHandlers(clock, { getCurrentTime: ({ now }: Deps) => now() })]

/** Headers of an injected answer that are not copied, because the connection to the client sets its own. */
const ofConnection = ['connection', 'content-length', 'date', 'keep-alive', outcomeHeader]

/** Serves the endpoints of the gateway itself with the same edge as a service, but without a network hop. */
export function answerHere(deps: Deps): { answer: Answer; close(): Promise<void> } {
  const { config, log, metrics } = deps
  const app = createServiceApp<Deps>({ handlers: handlers.flat(), deps, config, log, metrics })
  return {
    async answer(call, url, reply) {
      const { request, body } = call
      const { statusCode, headers, rawPayload } = await app.inject({
        method: request.method as 'GET' | 'POST',
        url,
        headers: serviceHeaders(deps, call, url),
        ...(body ? { payload: body } : {}),
      })
      for (const [name, value] of Object.entries(headers))
        if (value !== undefined && !ofConnection.includes(name)) reply.header(name, value)
      reply.code(statusCode).send(rawPayload)
      return String(headers[outcomeHeader])
    },
    close: () => app.close(),
  }
}
