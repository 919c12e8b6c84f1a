import { PassThrough, type Readable } from 'node:stream'
import { ContractError, type Endpoint } from '@im/contracts'
import { outcomeHeader } from '@im/service-kit'
import { type PeerName, serviceUrl } from '../config.ts'
import type { Deps } from '../deps.ts'
import type { Answer } from './answer.ts'
import { passAnswerHeaders } from './answer-headers.ts'
import { serviceHeaders } from './service-headers.ts'

/** Passes a body on to its service while it arrives, for uploads. The call is never repeated. */
export function forwardStream(deps: Deps, endpoint: Endpoint): Answer {
  const upstream = serviceUrl(deps.config, endpoint.service as PeerName)
  const { timeoutMs = deps.config.serviceTimeoutMs } = endpoint

  return (call, url, reply) =>
    new Promise((resolve, reject) => {
      const { request } = call
      if (request.body !== undefined) request.body = apart(request.raw)
      let outcome = ''
      reply.raw.once('close', () => resolve(reply.raw.writableFinished ? outcome : 'gone'))
      reply.header('x-request-id', request.id)
      reply.from(url.split('?', 1)[0], {
        getUpstream: () => upstream,
        timeout: timeoutMs,
        retryDelay: () => null,
        rewriteRequestHeaders: (_request, { 'content-length': length }) => ({
          ...serviceHeaders(deps, call, url),
          ...(length === undefined ? {} : { 'content-length': length }),
        }),
        rewriteHeaders(headers) {
          outcome = String(headers[outcomeHeader] ?? 'answered')
          return passAnswerHeaders(headers, {}) as typeof headers
        },
        onError(_reply, { error }) {
          deps.log.warn({ err: error, service: endpoint.service, requestId: request.id }, 'a service does not answer')
          reject(new ContractError('ServiceUnavailable', { detail: request.id, cause: error }))
        },
      })
    })
}

/** The same bytes in a stream of its own: it may fail without the connection on which the failure is to be told. */
function apart(body: Readable): Readable {
  const copy = body.pipe(new PassThrough())
  body.once('close', () => {
    if (!body.readableEnded) copy.destroy()
  })
  return copy
}
