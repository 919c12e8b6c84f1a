import type { IncomingMessage } from 'node:http'
import { ContractError } from '@im/contracts'
import type { AddressBudget } from '../limits/address-budget.ts'

/** The length (bytes) that the head declares; undefined when the body comes in chunks. */
export function declaredLength({ headers }: IncomingMessage): number | undefined {
  if (headers['content-length'] !== undefined) return Number(headers['content-length'])
  return headers['transfer-encoding'] === undefined ? 0 : undefined
}

/** Milliseconds a body may take to arrive before its connection is closed. */
const arriveWithin = 30_000

/**
 * Reads a body of at most `maxBytes`. It counts as memory of `address` until `release` is called. Throws RequestTooLarge as
 * soon as the body is known to be longer, before it is read where its length is declared.
 */
export async function readBody(
  request: IncomingMessage,
  { maxBytes, memory, address }: { maxBytes: number; memory: AddressBudget; address: string },
): Promise<{ body: Buffer; release: () => void }> {
  if ((declaredLength(request) ?? 0) > maxBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let bytes = 0
  const release = () => memory.release(address, bytes)
  const late = setTimeout(() => request.destroy(), arriveWithin)
  try {
    // The socket stays open when the loop ends early, because the refusal is still to be written.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (bytes + chunk.length > maxBytes) throw tooLarge()
      const full = memory.take(address, chunk.length)
      if (full) throw noRoom(full)
      bytes += chunk.length
      chunks.push(chunk)
    }
  } catch (error) {
    release()
    throw error
  } finally {
    clearTimeout(late)
  }
  return { body: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks), release }
}

const tooLarge = () => new ContractError('RequestTooLarge', { detail: 'body' })

const noRoom = (full: 'all' | 'address') =>
  full === 'address'
    ? new ContractError('RateLimited', { args: [1], retryAfter: 1 })
    : new ContractError('ServiceUnavailable', { retryAfter: 1 })
