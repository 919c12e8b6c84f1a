import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { ContractError, type ErrorName } from '@im/contracts'
import type { ConnectionError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sendUnknown } from './answers.ts'
import { failureBody, jsonType } from './envelope.ts'
import { queryLanguage } from './language.ts'
import { newRequestId } from './request-id.ts'

interface Refusal {
  status: number
  /** Reason phrase of the status. */
  reason: string
  error: ErrorName
  detail?: string
}

const unreadable: Refusal = {
  status: 400,
  reason: 'Bad Request',
  error: 'InvalidParams',
  detail: 'this is not valid HTTP',
}
const noHost: Refusal = { ...unreadable, detail: 'the Host header is missing' }
const unknownCoding: Refusal = { ...unreadable, detail: 'Transfer-Encoding may only be chunked, and only of HTTP/1.1' }
const headTooLong: Refusal = {
  status: 431,
  reason: 'Request Header Fields Too Large',
  error: 'RequestTooLarge',
  detail: 'the head of the request',
}
const tooSlow: Refusal = {
  status: 408,
  reason: 'Request Timeout',
  error: 'InvalidParams',
  detail: 'the request did not arrive in time',
}
const unknownExpectation: Refusal = {
  status: 417,
  reason: 'Expectation Failed',
  error: 'InvalidParams',
  detail: 'Expect may only be 100-continue',
}
const noTunnel: Refusal = { status: 405, reason: 'Method Not Allowed', error: 'UnknownEndpoint' }

const ofParser: Partial<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: headTooLong,
  ERR_HTTP_REQUEST_TIMEOUT: tooSlow,
}

/** No hook of the app sees these answers, so they have the headers that its hooks would add. */
const always = { 'Access-Control-Allow-Origin': '*', 'X-Content-Type-Options': 'nosniff' }

/**
 * Options that replace the answers of Node and Fastify from before routing, which have no envelope, by our own.
 * `refuseInvalidHttp` adds the rest.
 */
export const refusingOptions = {
  http: { requireHostHeader: false },
  clientErrorHandler(error: ConnectionError, socket: Socket): void {
    if (error.code === 'ECONNRESET' || socket.destroyed) return
    const { request, response } = latest.get(socket) ?? {}
    if (response?.headersSent && !request?.complete) destroyLater(socket)
    else answerSocket(socket, ofParser[error.code] ?? unreadable)
  },
  frameworkErrors(_error: unknown, _request: FastifyRequest, reply: FastifyReply): void {
    reply.headers(always)
    sendUnknown(reply)
  },
}

/**
 * Refuses with an envelope: requests without Host (RFC 9112 §3.2), bodies whose length another server may see elsewhere (RFC 9112 §6.1),
 * unknown expectations (RFC 9110 §10.1.1) and tunnels.
 */
export function refuseInvalidHttp(app: FastifyInstance): void {
  const remember = (request: IncomingMessage, response: ServerResponse) =>
    void latest.set(request.socket, { request, response })
  app.server.prependListener('request', remember)
  app.server.on('checkExpectation', (request, response) => {
    remember(request, response)
    answer(response, request, unknownExpectation)
  })
  app.server.on('connect', (request: IncomingMessage, socket: Socket) => answerSocket(socket, noTunnel, request.url))
  app.addHook('onRequest', (request, reply, done) => {
    const refusal = refusalOf(request.raw)
    if (!refusal) return done()
    reply.hijack()
    answer(reply.raw, request.raw, refusal)
  })
}

function refusalOf({ httpVersion, headers }: IncomingMessage): Refusal | undefined {
  const { host, 'transfer-encoding': coding } = headers
  if (httpVersion === '1.1' && host === undefined) return noHost
  if (coding === undefined || (httpVersion === '1.1' && coding.toLowerCase() === 'chunked')) return undefined
  return unknownCoding
}

/** The last request of each connection. Node may find out that it can't read the rest of one that is answered already. */
const latest = new WeakMap<Socket, { request: IncomingMessage; response: ServerResponse }>()

function answer(response: ServerResponse, { url }: IncomingMessage, refusal: Refusal): void {
  const body = bodyOf(refusal, url)
  response.writeHead(refusal.status, refusal.reason, headersOf(body)).end(body)
}

/** Where Node made no response, the answer is written to the socket. */
function answerSocket(socket: Socket, refusal: Refusal, url?: string): void {
  const body = bodyOf(refusal, url)
  const headers = Object.entries(headersOf(body)).map(([name, value]) => `${name}: ${value}`)
  const head = [`HTTP/1.1 ${refusal.status} ${refusal.reason}`, ...headers]
  if (socket.writable) socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  else socket.destroy()
  destroyLater(socket)
}

/** The peer may go on sending without end. */
function destroyLater(socket: Socket): void {
  setTimeout(() => socket.destroy(), 1000).unref()
}

const bodyOf = ({ error, detail }: Refusal, url = ''): string =>
  failureBody(new ContractError(error, detail === undefined ? {} : { detail }), queryLanguage(url))

const headersOf = (body: string) => ({
  'Content-Type': jsonType,
  'Content-Length': Buffer.byteLength(body),
  'X-Request-Id': newRequestId(),
  ...always,
  Connection: 'close',
})
