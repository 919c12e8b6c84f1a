import { Readable } from 'node:stream'
import {
  ContractError,
  type Endpoint,
  type ErrorName,
  endpoints,
  type Language,
  OAuthError,
  type RawAnswer,
} from '@im/contracts'
import type { FastifyReply } from 'fastify'
import { failureBody, jsonType } from './envelope.ts'
import { queryLanguage } from './language.ts'

/** Writes an error in the form of the endpoint's answers: the envelope, or an OAuth document with its HTTP status. */
export function sendError(
  reply: FastifyReply,
  error: ContractError | OAuthError,
  language: Language,
  form: Endpoint['answer'],
): void {
  if (error instanceof OAuthError) sendOAuthError(reply, error)
  else if (form === 'oauth') sendOAuthError(reply, oauthErrorOf(error, reply.request.id), error.retryAfter)
  else sendFailure(reply, error, language, form === 'file' || form === 'callback' ? statusOf(error) : 200)
}

/** The answer where nothing is served: with a status below the paths of files, so that no app takes it for a file. */
export function sendUnknown(reply: FastifyReply): void {
  const { url = '' } = reply.request.raw
  sendError(reply, new ContractError('UnknownEndpoint'), queryLanguage(url), isOfFiles.test(url) ? 'file' : 'envelope')
}

/** The paths below which files are read. */
const filePaths = endpoints.filter(({ answer }) => answer === 'file').map(({ path }) => path.split('/')[1])
const isOfFiles = new RegExp(`^/+(${filePaths.join('|')})/`)

/** HTTP statuses of errors for those who go by them. An address of a form that no file has is one without a file. */
const statuses: Partial<Record<ErrorName, number>> = {
  FileNotFound: 404,
  UnknownEndpoint: 404,
  InvalidParams: 404,
  RateLimited: 429,
  ServiceUnavailable: 503,
  InternalError: 500,
}
const statusOf = ({ errorName }: ContractError) => statuses[errorName] ?? 400

/** The envelope of an error. Its HTTP status is 200 except for those who go by it (transport.md §3). */
export function sendFailure(reply: FastifyReply, error: ContractError, language: Language, status = 200): void {
  sendRetryAfter(reply, error.retryAfter)
  // The unread rest of the body would be taken for the next request.
  if (error.errorName === 'RequestTooLarge') reply.header('connection', 'close')
  reply.code(status).header('content-type', jsonType).header('x-request-id', reply.request.id)
  reply.send(failureBody(withoutInternals(error, reply.request.id), language))
}

/** Replaces internal details by the request id: details are in the log. */
function withoutInternals(error: ContractError, requestId: string): ContractError {
  if (error.errorName !== 'InternalError' && error.errorName !== 'ServiceUnavailable') return error
  return new ContractError(error.errorName, { detail: requestId })
}

export function sendRaw(reply: FastifyReply, raw: RawAnswer): void {
  reply.code(raw.status)
  sendHeaders(reply, raw.headers)
  const { body } = raw
  // Fastify sets the length of a Buffer, and calls each text, an empty one too, text/plain where nothing else is said.
  if (body === '') reply.send()
  else if (typeof body === 'string') reply.send(body)
  else if (body instanceof Uint8Array) reply.send(Buffer.from(body))
  else reply.send(body instanceof Readable ? body : Readable.from(body))
}

export function sendHeaders(reply: FastifyReply, headers: RawAnswer['headers'] = {}): void {
  for (const [name, value] of Object.entries(headers))
    reply.header(name, typeof value === 'string' ? value : [...value])
}

function sendOAuthError(reply: FastifyReply, error: OAuthError, retryAfter?: number): void {
  sendRetryAfter(reply, retryAfter)
  if (error.status === 401) reply.header('www-authenticate', challengeFor(reply.request.headers.authorization))
  reply.code(error.status).header('content-type', jsonType).header('cache-control', 'no-store')
  reply.header('x-request-id', reply.request.id)
  reply.send(JSON.stringify({ error: error.error, error_description: error.message }))
}

/** The scheme that the client tried (RFC 6749 §5.2), else Bearer. */
const challengeFor = (authorization: string | undefined) =>
  /^basic\s/i.test(authorization ?? '') ? 'Basic realm="im"' : 'Bearer realm="im"'

function oauthErrorOf(failure: ContractError, requestId: string): OAuthError {
  const text = failure.detail ?? failure.textIn('en')
  switch (failure.errorName) {
    case 'MissingParam':
    case 'InvalidParams':
    case 'RequestTooLarge':
      return new OAuthError(400, 'invalid_request', text)
    case 'LoginTooOften':
    case 'RateLimited':
      return new OAuthError(429, 'slow_down', failure.textIn('en'))
    case 'InternalError':
    case 'ServiceUnavailable':
      return new OAuthError(503, 'temporarily_unavailable', requestId)
    case 'PermissionDenied':
    case 'TokenMissing':
    case 'TokenInvalid':
      return new OAuthError(401, 'invalid_client', failure.textIn('en'))
    default:
      return new OAuthError(400, 'invalid_grant', failure.textIn('en'))
  }
}

/** Seconds. */
function sendRetryAfter(reply: FastifyReply, seconds: number | undefined): void {
  if (seconds !== undefined) reply.header('retry-after', String(Math.ceil(seconds)))
}
