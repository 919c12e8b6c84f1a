import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ContractError, type Endpoint } from '@im/contracts'
import { countStreamed, dropRest, outcomeHeader } from '@im/service-kit'
import { type PeerName, serviceUrl } from '../config.ts'
import type { Deps } from '../deps.ts'
import type { Answer } from './answer.ts'
import { passAnswerHeaders } from './answer-headers.ts'
import { serviceHeaders } from './service-headers.ts'

/**
 * Passes bodies and answers on while they arrive, for files. An upload is never repeated. Nobody keeps a connection by doing
 * nothing, and each address may have only so many.
 */
export function forwardStream(deps: Deps, endpoint: Endpoint): Answer {
  const upstream = serviceUrl(deps.config, endpoint.service as PeerName)
  const { timeoutMs = deps.config.serviceTimeoutMs, safe = false } = endpoint

  function forward(...[call, url, reply]: Parameters<Answer>): ReturnType<Answer> {
    return new Promise((resolve, reject) => {
      const { request } = call
      if (request.body !== undefined) request.body = apart(request.raw, deps.longestPause)
      let outcome = ''
      reply.raw.once('close', () => resolve(reply.raw.writableFinished ? outcome : 'gone'))
      reply.header('x-request-id', request.id)
      reply.from(url.split('?', 1)[0], {
        getUpstream: () => upstream,
        timeout: timeoutMs,
        // A connection may be closed just as it is used again; calls that only read are then sent once more.
        retryDelay: ({ err, attempt }) => (safe && err && attempt === 0 ? 1 : null),
        rewriteRequestHeaders: (_request, { 'content-length': length }) => ({
          ...serviceHeaders(deps, call, url),
          ...(length === undefined ? {} : { 'content-length': length }),
        }),
        rewriteHeaders(headers) {
          outcome = String(headers[outcomeHeader] ?? 'answered')
          deps.sessions.hearAnswer(headers)
          return passAnswerHeaders(headers, {}) as typeof headers
        },
        onResponse(_request, answer, { stream }: { stream: Readable }) {
          // The library would close the connection, and apps that still send would not read why.
          answer.removeHeader('connection')
          dropRest(request.raw)
          answer.hijack()
          const raw = answer.raw as ServerResponse
          // Not before: while its service works on an upload nothing moves, and that is no fault of the app.
          raw.setTimeout(deps.longestPause)
          raw.writeHead(answer.statusCode, answer.getHeaders() as OutgoingHttpHeaders)
          // A client that leaves a download, or a service that dies in one, cuts it; neither is our fault.
          pipeline(stream, raw).catch(() => {})
          stream.on('data', ({ length }: Buffer) => countStreamed(length))
        },
        onError(_reply, { error }) {
          const line = { err: error, service: endpoint.service, requestId: request.id }
          // Of an upload that was cut the service can't make anything, either.
          if (!request.raw.readableAborted) deps.log.warn(line, 'a service does not answer')
          reject(new ContractError('ServiceUnavailable', { detail: request.id, cause: error }))
        },
      })
    })
  }

  return async (call, url, reply) => {
    const full = deps.streams.take(call.address)
    if (full === 'address') throw new ContractError('RateLimited', { args: [1], retryAfter: 1 })
    if (full) throw new ContractError('ServiceUnavailable', { retryAfter: 1 })
    try {
      return await forward(call, url, reply)
    } finally {
      deps.streams.release(call.address)
    }
  }
}

/** The same bytes in a stream of its own, which may fail while the connection stays open to tell of the failure. */
function apart(body: Readable, longestPause: number): Readable {
  const copy = body.pipe(new PassThrough())
  const late = setTimeout(() => body.destroy(), longestPause)
  const isHere = ({ length }: Buffer) => {
    late.refresh()
    countStreamed(length)
  }
  body.on('data', isHere)
  copy.once('close', () => {
    clearTimeout(late)
    body.off('data', isHere)
  })
  body.once('close', () => {
    clearTimeout(late)
    if (!body.readableEnded) copy.destroy()
  })
  return copy
}
