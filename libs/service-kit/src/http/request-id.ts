import { randomBytes } from 'node:crypto'

const form = /^[A-Za-z0-9._-]{1,64}$/

/** The id of an incoming request if it has the allowed form (transport.md §1), else undefined. */
export function acceptedRequestId(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && form.test(header) ? header : undefined
}

const processPart = randomBytes(6).toString('hex')
let requestCount = 0

/** Unique, not secret. */
export const newRequestId = () => `${processPart}-${(++requestCount).toString(36)}`
