import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Caller } from '@im/contracts'

export const callerHeader = 'x-im-caller'
export const serviceKeyHeader = 'x-service-key'

/** What the gateway vouches for: who calls (when a live token was shown), from where, as which request. */
export interface CallerClaims {
  caller?: Caller
  /** Why there is no caller: no token, or one that is not live. */
  token?: 'missing' | 'invalid'
  ip: string
  requestId: string
  /** Milliseconds; the header is void afterwards. */
  expires: number
}

const lifetime = 30_000

function seal(key: string, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}

/** Writes the caller header: base64url(JSON) '.' base64url(HMAC-SHA256), good for 30 s. */
export function signCaller(key: string, claims: Omit<CallerClaims, 'expires'>, now = Date.now()): string {
  const text = Buffer.from(JSON.stringify({ ...claims, expires: now + lifetime })).toString('base64url')
  return `${text}.${seal(key, text)}`
}

/** Reads the header back; undefined when it was not signed with `key`, is old or no header at all. */
export function readCaller(key: string, header: string | undefined, now = Date.now()): CallerClaims | undefined {
  const dot = header?.indexOf('.') ?? -1
  if (!header || dot < 0) return undefined
  const text = header.slice(0, dot)
  if (!sameText(seal(key, text), header.slice(dot + 1))) return undefined
  const claims = JSON.parse(Buffer.from(text, 'base64url').toString()) as CallerClaims
  return claims.expires > now ? claims : undefined
}

/** Compares two secrets without telling by its time how far they agree. */
export function sameText(a: string, b: string): boolean {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}
