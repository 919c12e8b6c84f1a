import { isStoreAway } from '@im/service-kit'
import { BSON, MongoError, MongoServerError } from 'mongodb'

/**
 * BadValue, InvalidBSON, DocumentValidationFailure, BSONObjectTooLarge (two codes), key too long,
 * TransactionTooLargeForCache.
 */
const dataCodes = new Set<unknown>([2, 22, 121, 10334, 17419, 17280, 388])

/**
 * True when a write failed because of what was written: it would fail for ever. Everything else (network, elections, full
 * disks, conflicts) may pass, and waiting loses nothing.
 */
export function isRefusedData(error: unknown): boolean {
  if (error instanceof MongoServerError)
    return dataCodes.has(error.code) && !error.errorLabels.includes('TransientTransactionError')
  return error instanceof BSON.BSONError || error instanceof RangeError
}

/** True when a question to a store failed by no fault of what was asked: it may be answered when it is asked again. */
export const isPassing = (error: unknown): boolean =>
  isStoreAway(error) || (error instanceof MongoError && !isRefusedData(error))
