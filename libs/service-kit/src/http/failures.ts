import { ContractError } from '@im/contracts'
import type { Logger } from '../logs.ts'
import { isStoreAway } from '../store-away.ts'
import { CallerUnreadableError } from './caller.ts'

/** Whether trying again later may help, because a store or another service is away. */
export function isTransient(error: unknown): boolean {
  if (error instanceof ContractError)
    return error.errorName === 'ServiceUnavailable' || error.errorName === 'RateLimited'
  return isStoreAway(error)
}

/** Maps anything thrown to an error of the table. Unexpected errors are logged whole, and clients see no detail of them. */
export function asContractError(error: unknown, requestId: string, log: Logger, path?: string): ContractError {
  if (error instanceof ContractError) return error
  const thrown = error instanceof Error ? error : new Error(String(error))
  // Errors of MongoDB have numbers as codes.
  const { code, statusCode } = thrown as { code?: unknown; statusCode?: number }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new ContractError('RequestTooLarge', { detail: 'body' })
  if (typeof code === 'string' && code.startsWith('FST_ERR_') && statusCode !== undefined && statusCode < 500)
    return new ContractError('InvalidParams', { detail: 'the request could not be read' })
  if (thrown instanceof CallerUnreadableError) {
    log.error({ err: thrown, requestId, path }, 'gateway and service disagree about CALLER_KEY or the time')
    return new ContractError('ServiceUnavailable', { detail: requestId })
  }
  if (isStoreAway(thrown)) {
    log.warn({ err: thrown, requestId, path }, 'a store is away')
    return new ContractError('ServiceUnavailable', { detail: requestId })
  }
  log.error({ err: thrown, requestId, path }, 'a request failed unexpectedly')
  return new ContractError('InternalError', { detail: requestId })
}
