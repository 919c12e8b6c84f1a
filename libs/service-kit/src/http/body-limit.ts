import type { Endpoint } from '@im/contracts'
import type { ParamSchema } from './decode/param-schema.ts'

/** 1 MiB per request (transport.md §1). */
export const maxBodyBytes = 1024 * 1024
/** Enough where no parameter is long. The bound is low because a body is in memory before the caller is known. */
const shortBodyBytes = 64 * 1024
const longText = 4096

/** How long (bytes) the body of a call may be. */
export function longestBody({ maxBytes, params }: Pick<Endpoint, 'maxBytes' | 'params'>): number {
  if (maxBytes !== undefined) return maxBytes
  return Object.values(params.properties).some((param) => isLong(param as ParamSchema)) ? maxBodyBytes : shortBodyBytes
}

function isLong({ wire, long, maxLength = 0, properties = {} }: ParamSchema): boolean {
  if (wire === 'json' || wire === 'list') return true
  if (wire === 'entity') return Object.values(properties).some(isLong)
  return long === true || maxLength > longText
}
