import { ContractError, type Endpoint } from '@im/contracts'
import { type PeerName, serviceUrl } from '../config.ts'
import type { Deps } from '../deps.ts'
import type { Answer } from './answer.ts'
import { serviceHeaders } from './service-headers.ts'

/** Passes a body on to its service while it arrives, as uploads need it. It is never sent again. */
export function forwardStream(deps: Deps, endpoint: Endpoint): Answer {
  const upstream = serviceUrl(deps.config, endpoint.service as PeerName)
  const { timeoutMs = deps.config.serviceTimeoutMs } = endpoint

  return (call, url, reply) =>
    new Promise((resolve, reject) => {
      const { request } = call
      reply.raw.once('close', () => resolve(reply.raw.writableFinished ? `HTTP ${reply.statusCode}` : 'gone'))
      reply.from(url.split('?', 1)[0], {
        getUpstream: () => upstream,
        timeout: timeoutMs,
        retryDelay: () => null,
        rewriteRequestHeaders: (_request, { 'content-length': length }) => ({
          ...serviceHeaders(deps, call, url),
          ...(length === undefined ? {} : { 'content-length': length }),
        }),
        onResponse: (_request, _reply, { stream }) => void reply.header('x-request-id', request.id).send(stream),
        onError: (_reply, { error }) =>
          reject(new ContractError('ServiceUnavailable', { detail: request.id, cause: error })),
      })
    })
}
