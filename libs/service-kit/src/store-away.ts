import {
  MongoBulkWriteError,
  MongoClientClosedError,
  MongoError,
  MongoErrorLabel,
  MongoExpiredSessionError,
  MongoNetworkError,
  MongoNotConnectedError,
  MongoServerClosedError,
  MongoServerError,
  MongoServerSelectionError,
  MongoStalePrimaryError,
  MongoTopologyClosedError,
} from 'mongodb'

/** A store refuses connections, does not answer or is too slow. Clients are told to try again later, and events wait. */
export class StoreAwayError extends Error {
  override name = 'StoreAwayError'

  constructor(store: string, reason: string, options?: ErrorOptions) {
    super(`${store}: ${reason}`, options)
  }
}

/** The connections to Redis and NATS throw StoreAwayError themselves; the MongoDB driver has classes, labels and codes. */
export function isStoreAway(error: unknown): boolean {
  if (error instanceof StoreAwayError) return true
  if (error instanceof MongoError) return isMongoAway(error)
  // The driver does not wrap this error, which it gets when the server has just closed the connection.
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'EPIPE'
}

const awayClasses = [
  MongoNetworkError,
  MongoServerSelectionError,
  MongoStalePrimaryError,
  MongoTopologyClosedError,
  MongoClientClosedError,
  MongoServerClosedError,
  MongoNotConnectedError,
  MongoExpiredSessionError,
]

/** The driver throws these two, but does not export their classes. */
const awayNames = new Set(['MongoPoolClosedError', 'MongoWaitQueueTimeoutError'])

const awayLabels = [
  MongoErrorLabel.TransientTransactionError,
  MongoErrorLabel.UnknownTransactionCommitResult,
  MongoErrorLabel.RetryableWriteError,
  MongoErrorLabel.SystemOverloadedError,
]

/** Error codes of a server that has no primary, no majority, no room or no time, shuts down, or does not know this service. */
const awayCodes = {
  HostUnreachable: 6,
  HostNotFound: 7,
  AuthenticationFailed: 18,
  WriteConcernFailed: 64,
  NetworkTimeout: 89,
  ShutdownInProgress: 91,
  UnsatisfiableWriteConcern: 100,
  ReadConcernMajorityNotAvailableYet: 134,
  PrimarySteppedDown: 189,
  ExceededTimeLimit: 262,
  SocketException: 9001,
  NotWritablePrimary: 10_107,
  InterruptedAtShutdown: 11_600,
  InterruptedDueToReplStateChange: 11_602,
  NotPrimaryNoSecondaryOk: 13_435,
  NotPrimaryOrSecondary: 13_436,
  OutOfDiskSpace: 14_031,
}

/** `insertMany` and `bulkWrite` wrap a MongoNetworkError; one of its fields still shows. */
const isNetworkErrorOfBulk = (error: MongoError) => error instanceof MongoBulkWriteError && 'beforeHandshake' in error

function isMongoAway(error: MongoError): boolean {
  return (
    awayClasses.some((type) => error instanceof type) ||
    isNetworkErrorOfBulk(error) ||
    awayNames.has(error.name) ||
    awayLabels.some((label) => error.hasErrorLabel(label)) ||
    (error instanceof MongoServerError && Object.values(awayCodes).includes(Number(error.code)))
  )
}
