import { setTimeout as delay } from 'node:timers/promises'
import { ContractError } from '@im/contracts'
import { type ClientSession, type MongoClient, MongoError, MongoErrorLabel } from 'mongodb'
import { isCallerGone } from './current-call.ts'

/** How long (ms) a transaction is retried: about as long as anybody waits for an answer. */
const retryFor = 4000

/**
 * Runs `work` in a transaction, and again after a conflict or an election. The driver's own loop would retry for two minutes,
 * long after the caller got an error.
 *
 * A transaction of a call is not committed once its caller left or got an error: after a stall of the database, nothing takes
 * effect that the caller was told has failed.
 */
export async function inTransaction<T>(client: MongoClient, work: (session: ClientSession) => Promise<T>): Promise<T> {
  const session = client.startSession()
  const giveUpAt = performance.now() + retryFor
  const mayRetry = (error: unknown, label: MongoErrorLabel) =>
    error instanceof MongoError && error.hasErrorLabel(label) && performance.now() < giveUpAt && !isCallerGone()
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        session.startTransaction()
        const result = await work(session)
        if (isCallerGone()) throw new ContractError('ServiceUnavailable', { detail: 'the caller is gone' })
        await commit()
        return result
      } catch (error) {
        if (session.inTransaction()) await session.abortTransaction().catch(() => {})
        if (!mayRetry(error, MongoErrorLabel.TransientTransactionError)) throw error
        // A random pause, so that two transactions do not conflict for ever.
        await delay(Math.random() * Math.min(5 * 1.5 ** attempt, 250))
      }
    }
  } finally {
    await session.endSession()
  }

  async function commit(): Promise<void> {
    for (;;) {
      try {
        return await session.commitTransaction()
      } catch (error) {
        if (!mayRetry(error, MongoErrorLabel.UnknownTransactionCommitResult)) throw error
      }
    }
  }
}
