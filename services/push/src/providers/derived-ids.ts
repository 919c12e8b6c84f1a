import { createHash } from 'node:crypto'

const sha256 = (parts: readonly string[]) => createHash('sha256').update(parts.join('\n'))

/** The same text of 32 hex digits for the same parts: vendors recognise by it what they have already taken. */
export const textId = (...parts: string[]): string => sha256(parts).digest('hex').slice(0, 32)

/** The same for vendors that want a number of 31 bits, not 0. */
export const numberId = (...parts: string[]): number => sha256(parts).digest().readUInt32BE(0) & 0x7fffffff || 1

/** The same in the form of a UUID. */
export const uuidId = (...parts: string[]): string =>
  textId(...parts).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
