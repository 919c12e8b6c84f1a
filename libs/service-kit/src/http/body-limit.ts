import { type Endpoint, isInternalOnly } from '@im/contracts'
import type { ParamSchema } from './decode/param-schema.ts'

/** 1 MiB per request (transport.md §1). */
export const maxBodyBytes = 1024 * 1024
/** Enough where no parameter is long. The bound is low because a body is in memory before the caller is known. */
const shortBodyBytes = 64 * 1024
const longText = 4096

/**
 * For calls between services, which nobody else can make. They hold what a client was allowed to send, as JSON, in which a byte
 * may become six (`\u0001`), and other parameters.
 */
const internalBodyBytes = 8 * maxBodyBytes

/** How long (bytes) the body of a call may be. */
export function longestBody({ maxBytes, params, auth }: Pick<Endpoint, 'maxBytes' | 'params' | 'auth'>): number {
  if (isInternalOnly(auth)) return Math.max(internalBodyBytes, maxBytes ?? 0)
  if (maxBytes !== undefined) return maxBytes
  return Object.values(params.properties).some((param) => isLong(param as ParamSchema)) ? maxBodyBytes : shortBodyBytes
}

function isLong({ wire, long, maxLength = 0, properties = {} }: ParamSchema): boolean {
  if (wire === 'json' || wire === 'list') return true
  if (wire === 'entity') return Object.values(properties).some(isLong)
  return long === true || maxLength > longText
}
