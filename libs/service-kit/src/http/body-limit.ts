import type { Endpoint } from '@im/contracts'
import type { ParamSchema } from './decode/param-schema.ts'

/** 1 MiB per request (transport.md §1). */
export const maxBodyBytes = 1024 * 1024
/** Enough for every parameter that is not long: bodies wait in memory before anybody is known to send them. */
const shortBodyBytes = 64 * 1024
const longText = 4096

/** How long the body of a call may be. */
export function longestBody({ maxBytes, params }: Pick<Endpoint, 'maxBytes' | 'params'>): number {
  if (maxBytes !== undefined) return maxBytes
  return Object.values(params.properties).some((param) => isLong(param as ParamSchema)) ? maxBodyBytes : shortBodyBytes
}

function isLong({ wire, long, maxLength = 0, properties = {} }: ParamSchema): boolean {
  if (wire === 'json' || wire === 'list') return true
  if (wire === 'entity') return Object.values(properties).some(isLong)
  return long === true || maxLength > longText
}
