import { createHmac } from 'node:crypto'
import type { Caller } from '@im/contracts'
import { constantTimeEqual } from './secrets.ts'

export const callerHeader = 'x-im-caller'
export const serviceKeyHeader = 'x-service-key'
/** How many milliseconds the caller waits for the answer. A span, so that clocks need not agree. */
export const timeoutHeader = 'x-im-timeout-ms'
/** In answers: `Success` or the name of the error, for the log of the gateway. */
export const outcomeHeader = 'x-im-outcome'
/** In answers: ids of the sessions that ended in the call, so that the gateway believes none of them once it is answered. */
export const endedSessionsHeader = 'x-im-ended-sessions'

export const endedSessionsOf = (header: string | readonly string[]): string[] => String(header).split(',')

/** What the gateway says about a call: who calls, how they were recognised, from where, with which request id. */
export interface CallerClaims {
  /** The owner of a live token. Absent without one, and where none is needed. */
  caller?: Caller
  /** The token that identified the caller. */
  token?: string
  /** The token came in a cookie, which browsers send by themselves, so changes also need a CSRF token. */
  byCookie?: boolean
  ip: string
  requestId: string
  /** As the client sees the server. */
  proto: 'http' | 'https'
  host: string
}

/** The request that the header is signed for. It is not valid for any other. */
export interface SignedRequest {
  method: string
  /** Path and query, as the service receives them. */
  url: string
}

/**
 * How far (ms) the clocks of gateway and service may differ, in both directions. Somebody who reads a header on its way could
 * use it for as long, but only for the same request with another body.
 */
const leeway = 300_000

const signatureOf = (key: string, text: string, { method, url }: SignedRequest) =>
  createHmac('sha256', key).update(`${method} ${url}\n${text}`).digest('base64url')

/** Writes the caller header, signed with the first key: base64url(JSON) '.' base64url(HMAC-SHA256). */
export function signCaller(
  keys: readonly string[],
  claims: CallerClaims,
  request: SignedRequest,
  now = Date.now(),
): string {
  const text = Buffer.from(JSON.stringify({ ...claims, issuedAt: now })).toString('base64url')
  return `${text}.${signatureOf(keys[0] ?? '', text, request)}`
}

/** The caller header is not valid: it has another key, belongs to another request, or the clocks are minutes apart. */
export class CallerUnreadableError extends Error {
  constructor(reason: string) {
    super(`the caller header ${reason}`)
    this.name = 'CallerUnreadableError'
  }
}

/** Reads and checks the header; undefined without one. Throws CallerUnreadableError when it is not valid. */
export function readCaller(
  keys: readonly string[],
  header: string | undefined,
  request: SignedRequest,
  now = Date.now(),
): CallerClaims | undefined {
  if (header === undefined) return undefined
  const dot = header.indexOf('.')
  const text = header.slice(0, Math.max(0, dot))
  if (!keys.some((key) => constantTimeEqual(signatureOf(key, text, request), header.slice(dot + 1))))
    throw new CallerUnreadableError('is not signed for this request with a known key')
  const { issuedAt, ...claims } = JSON.parse(Buffer.from(text, 'base64url').toString()) as CallerClaims & {
    issuedAt: number
  }
  if (Math.abs(now - issuedAt) > leeway) throw new CallerUnreadableError(`was written ${now - issuedAt} ms ago`)
  return claims
}
