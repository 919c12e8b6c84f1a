import { ContractError } from '@im/contracts'
import type { Logger } from '../logs.ts'

const awayNames = new Set([
  'MongoNetworkError',
  'MongoNetworkTimeoutError',
  'MongoServerSelectionError',
  'MongoStalePrimaryError',
  'MongoTopologyClosedError',
  'MongoClientClosedError',
  'MongoServerClosedError',
  'MongoNotConnectedError',
  'MongoOperationTimeoutError',
  'MongoPoolClearedError',
  'MongoPoolClosedError',
  'MongoExpiredSessionError',
  'MaxRetriesPerRequestError',
  // NATS
  'TimeoutError',
  'NoRespondersError',
  'RequestError',
  'ConnectionError',
  'ClosedConnectionError',
  'DrainingConnectionError',
  'BusAwayError',
])

/** Redis says so by its texts: not connected, no answer in time, still loading, a replica after a failover. */
const awayTexts =
  /^(Connection is closed|Command timed out|Stream isn't writeable|LOADING |READONLY |MASTERDOWN |CLUSTERDOWN |TRYAGAIN )/
const awaySockets = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'])
/** MongoDB without a primary for the moment, or shutting down: its own codes, and its labels for "try the whole again". */
const awayCodes = new Set([11600, 11602, 10107, 13435, 13436, 189, 91, 7, 6, 89, 9001])
const retryLabels = ['TransientTransactionError', 'UnknownTransactionCommitResult', 'RetryableWriteError']

/** A store that is away is not a fault of the program: the client is told to try again, an event waits. */
export function isStoreAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code, errorLabels } = error as { code?: unknown; errorLabels?: readonly string[] }
  return (
    awayNames.has(error.name) ||
    awayTexts.test(error.message) ||
    (typeof code === 'string' && awaySockets.has(code)) ||
    (error.name.startsWith('Mongo') && typeof code === 'number' && awayCodes.has(code)) ||
    (Array.isArray(errorLabels) && retryLabels.some((label) => errorLabels.includes(label)))
  )
}

/** Trying again later may help: a store or another service is away. */
export function isTransient(error: unknown): boolean {
  if (error instanceof ContractError)
    return error.errorName === 'ServiceUnavailable' || error.errorName === 'RateLimited'
  return isStoreAway(error)
}

/** The one funnel from any thrown thing to an error of the table. What is unexpected is logged whole and shown as nothing. */
export function asContractError(error: unknown, requestId: string, log: Logger, path?: string): ContractError {
  if (error instanceof ContractError) return error
  const thrown = error instanceof Error ? error : new Error(String(error))
  const { code, statusCode } = thrown as { code?: string; statusCode?: number }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new ContractError('RequestTooLarge', { detail: 'body' })
  if (code?.startsWith('FST_ERR_') && statusCode !== undefined && statusCode < 500)
    return new ContractError('InvalidParams', { detail: 'the request could not be read' })
  if (isStoreAway(thrown)) {
    log.warn({ err: thrown, requestId, path }, 'a store is away')
    return new ContractError('ServiceUnavailable', { detail: requestId })
  }
  log.error({ err: thrown, requestId, path }, 'a request failed unexpectedly')
  return new ContractError('InternalError', { detail: requestId })
}
