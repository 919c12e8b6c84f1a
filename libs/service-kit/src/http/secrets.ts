import { timingSafeEqual } from 'node:crypto'

/** Compares two secrets in constant time, so that the time does not tell how many characters are right. */
export function constantTimeEqual(a: string, b: string): boolean {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}

/** True when a client sent one of the keys. */
export const isOneOf = (keys: readonly string[], sent: string | string[] | undefined): boolean =>
  typeof sent === 'string' && keys.some((key) => constantTimeEqual(key, sent))
