import { createHmac } from 'node:crypto'
import type { Caller } from '@im/contracts'
import { constantTimeEqual } from './secrets.ts'

export const callerHeader = 'x-im-caller'
export const serviceKeyHeader = 'x-service-key'
/** Milliseconds the answer is waited for, so that clocks need not agree. */
export const timeoutHeader = 'x-im-timeout-ms'
/** In answers, for the log of the gateway: `Success` or the name of the error. */
export const outcomeHeader = 'x-im-outcome'

/** What the gateway vouches for: who calls, how they were recognised, from where, as which request. */
export interface CallerClaims {
  /** The owner of a live token; absent when none was shown, or none was needed. */
  caller?: Caller
  /** The token they were recognised by. */
  token?: string
  /** The token came in a cookie, which a browser sends on its own: what changes something needs a CSRF token too. */
  byCookie?: boolean
  ip: string
  requestId: string
  /** As the client sees the server. */
  proto: 'http' | 'https'
  host: string
}

/** What the header is bound to: it is good for no other call. */
export interface SignedRequest {
  method: string
  /** Path and query, as the service receives them. */
  url: string
}

/**
 * Difference (ms) between the clocks of gateway and service that is tolerated, in both directions. A header that was read on
 * its way could be sent again so long, but only as the same request with another body.
 */
const leeway = 300_000

const seal = (key: string, text: string, { method, url }: SignedRequest) =>
  createHmac('sha256', key).update(`${method} ${url}\n${text}`).digest('base64url')

/** Writes the caller header, sealed with the first key: base64url(JSON) '.' base64url(HMAC-SHA256). */
export function signCaller(
  keys: readonly string[],
  claims: CallerClaims,
  request: SignedRequest,
  now = Date.now(),
): string {
  const text = Buffer.from(JSON.stringify({ ...claims, issuedAt: now })).toString('base64url')
  return `${text}.${seal(keys[0] ?? '', text, request)}`
}

/** The caller header is there but not good: another key, another request, or clocks that are minutes apart. */
export class CallerUnreadableError extends Error {
  constructor(reason: string) {
    super(`the caller header ${reason}`)
    this.name = 'CallerUnreadableError'
  }
}

/** Reads the header back; undefined without one. Throws CallerUnreadableError when it says nothing that can be believed. */
export function readCaller(
  keys: readonly string[],
  header: string | undefined,
  request: SignedRequest,
  now = Date.now(),
): CallerClaims | undefined {
  if (header === undefined) return undefined
  const dot = header.indexOf('.')
  const text = header.slice(0, Math.max(0, dot))
  if (!keys.some((key) => constantTimeEqual(seal(key, text, request), header.slice(dot + 1))))
    throw new CallerUnreadableError('is not sealed for this request with a key of ours')
  const { issuedAt, ...claims } = JSON.parse(Buffer.from(text, 'base64url').toString()) as CallerClaims & {
    issuedAt: number
  }
  if (Math.abs(now - issuedAt) > leeway) throw new CallerUnreadableError(`was written ${now - issuedAt} ms ago`)
  return claims
}
