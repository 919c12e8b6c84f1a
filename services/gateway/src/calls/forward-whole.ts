import type { OutgoingHttpHeaders } from 'node:http'
import type { Endpoint, Method } from '@im/contracts'
import type { Deps } from '../deps.ts'
import type { Answer } from './answer.ts'
import { serviceHeaders } from './service-headers.ts'
import type { Upstream } from './upstream.ts'

/** Sends a call with its whole body to its service, as nearly all calls are short. */
export function forwardWhole(deps: Deps, endpoint: Endpoint): Answer {
  const upstream = upstreamOf(deps, endpoint)
  const seconds = deps.answered.labels(endpoint.service)
  const { timeoutMs = deps.config.serviceTimeoutMs, safe = false } = endpoint

  return async (call, url, reply) => {
    const { request, body } = call
    const outcome = await upstream.forward(
      {
        method: request.method as Method,
        url,
        headers: serviceHeaders(deps, call, url),
        body,
        requestId: request.id,
        timeoutMs,
        safe,
      },
      reply.raw,
      { ...(reply.getHeaders() as OutgoingHttpHeaders), 'x-request-id': request.id },
    )
    seconds.observe((performance.now() - call.startedAt) / 1000)
    return outcome
  }
}

function upstreamOf({ upstreams }: Deps, { service }: Endpoint): Upstream {
  const upstream = service === 'gateway' ? undefined : upstreams.get(service)
  if (!upstream) throw new Error(`no connections to ${service}`)
  return upstream
}
