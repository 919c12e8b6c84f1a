import { setTimeout as delay } from 'node:timers/promises'
import { ContractError } from '@im/contracts'
import { type ClientSession, type MongoClient, MongoError, MongoErrorLabel } from 'mongodb'
import { currentCaller, isCallerGone } from './current-call.ts'
import { StoreAwayError } from './store-away.ts'
import { Turns } from './turns.ts'
import { noteSession } from './used-sessions.ts'
import { within } from './within.ts'

/** How long (ms) a transaction is retried unless its caller says otherwise: about as long as anybody waits for an answer. */
const defaultRetryFor = 4000
/** A step of a transaction that is neither done nor failed after so long (ms) is given up: the server lives and does not answer. */
const stuckAfter = 15_000

/**
 * Runs `work` in a transaction, and again after a conflict or an election. The driver's own loop would retry for two minutes,
 * long after the caller got an error.
 *
 * A transaction of a call is not committed once its caller left or got an error: after a stall of the database, nothing takes
 * effect that the caller was told has failed.
 */
export async function inTransaction<T>(
  client: MongoClient,
  work: (session: ClientSession) => Promise<T>,
  retryFor = defaultRetryFor,
): Promise<T> {
  const giveUpAt = performance.now() + retryFor
  try {
    return await runOnce(client, work, giveUpAt)
  } catch (error) {
    if (!mayRetry(error, MongoErrorLabel.TransientTransactionError, giveUpAt)) throw error
  }
  const caller = currentCaller()
  const again = () => runAgain(client, work, giveUpAt)
  return caller === undefined ? await again() : await retries.take(caller, again)
}

/**
 * What met others is done again one after the other for each caller: a hundred changes of one thing that somebody makes at the same
 * moment would meet each other until nobody waits for them.
 */
const retries = new Turns<number>()

async function runAgain<T>(
  client: MongoClient,
  work: (session: ClientSession) => Promise<T>,
  giveUpAt: number,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    // A random pause, so that two transactions do not conflict for ever.
    await delay(Math.random() * Math.min(5 * 1.5 ** attempt, 250))
    try {
      return await runOnce(client, work, giveUpAt)
    } catch (error) {
      if (!mayRetry(error, MongoErrorLabel.TransientTransactionError, giveUpAt)) throw error
    }
  }
}

/** Each attempt has a session of its own: what a failed attempt left running gets an error and can't write in the next. */
async function runOnce<T>(
  client: MongoClient,
  work: (session: ClientSession) => Promise<T>,
  giveUpAt: number,
): Promise<T> {
  const session = client.startSession()
  let isStuck = false
  try {
    await within(stuckAfter, 'MongoDB', noteSession(client, session))
    session.startTransaction()
    const result = await within(stuckAfter, 'MongoDB', work(session))
    if (isCallerGone()) throw new ContractError('ServiceUnavailable', { detail: 'the caller is gone' })
    await commit(session, giveUpAt)
    return result
  } catch (error) {
    isStuck = error instanceof StoreAwayError
    throw error
  } finally {
    // Aborts what was not committed.
    const ending = session.endSession()
    // The server releases what a stuck session holds.
    if (isStuck) ending.catch(() => {})
    else await ending
  }
}

async function commit(session: ClientSession, giveUpAt: number): Promise<void> {
  for (;;) {
    try {
      return await within(stuckAfter, 'MongoDB', session.commitTransaction())
    } catch (error) {
      if (!mayRetry(error, MongoErrorLabel.UnknownTransactionCommitResult, giveUpAt)) throw error
    }
  }
}

/** Of a change that met another one in a key that both take: it runs again, as after any conflict. */
export function asConflict(taken: unknown): Error {
  if (!(taken instanceof MongoError)) throw taken
  taken.addErrorLabel(MongoErrorLabel.TransientTransactionError)
  return taken
}

const mayRetry = (error: unknown, label: MongoErrorLabel, giveUpAt: number) =>
  error instanceof MongoError && error.hasErrorLabel(label) && performance.now() < giveUpAt && !isCallerGone()
