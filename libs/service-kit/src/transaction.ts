import { setTimeout as delay } from 'node:timers/promises'
import { type ClientSession, type MongoClient, MongoError, MongoErrorLabel } from 'mongodb'

/** How long a transaction is tried again (ms): about as long as anybody waits for an answer. */
const retryFor = 4000

/**
 * Runs `work` in a transaction, again from its start on a conflict or after an election. The driver's own loop would go on
 * for two minutes, long after the caller was told that it failed.
 */
export async function inTransaction<T>(client: MongoClient, work: (session: ClientSession) => Promise<T>): Promise<T> {
  const session = client.startSession()
  const giveUpAt = performance.now() + retryFor
  const mayRetry = (error: unknown, label: MongoErrorLabel) =>
    error instanceof MongoError && error.hasErrorLabel(label) && performance.now() < giveUpAt
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        session.startTransaction()
        const result = await work(session)
        await commit()
        return result
      } catch (error) {
        if (session.inTransaction()) await session.abortTransaction().catch(() => {})
        if (!mayRetry(error, MongoErrorLabel.TransientTransactionError)) throw error
        // Of two that keep meeting in a document one must come first.
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
