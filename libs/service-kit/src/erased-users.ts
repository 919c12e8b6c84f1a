import type { Collection, Db } from 'mongodb'
import type { Change } from './events/outbox.ts'
import type { Logger } from './logs.ts'
import { ensureIndexes } from './mongo.ts'
import type { Closable } from './runtime.ts'

/** How long (ms) after their deletion users are erased again: no call that was under way then is still alive. */
export const eraseAgainAfter = 600_000
/** Milliseconds. */
const lookEvery = 60_000
const usersAtOnce = 100

/**
 * Users who were deleted a short while ago. A call that is under way meanwhile may keep something of them after everything of them was
 * removed, and its process may die before it looks whether they are still there. So they are erased once more, later.
 */
export class ErasedUsers {
  readonly #users: Collection<{ _id: number; againAt: Date }>
  readonly #now: () => number

  constructor(db: Db, now: () => number) {
    this.#users = db.collection('erased_users')
    this.#now = now
  }

  createIndexes = () => ensureIndexes(this.#users, [{ key: { againAt: 1 } }])

  /** To be called when a user was deleted, before they are erased for the first time. */
  async note(userId: number, { session }: Partial<Pick<Change, 'session'>> = {}): Promise<void> {
    const againAt = new Date(this.#now() + eraseAgainAfter)
    await this.#users.updateOne({ _id: userId }, { $set: { againAt } }, { session, upsert: true })
  }

  /** Erases again, in each replica, who is due. `erase` may be done any number of times. */
  start({ log }: { log: Logger }, erase: (userId: number) => Promise<unknown>): Closable {
    let looking = Promise.resolve()
    const look = () => {
      looking = looking
        .then(() => this.#eraseDue(erase, log))
        .catch((error) => log.warn({ err: error }, 'deleted users are not erased again yet'))
    }
    look()
    const timer = setInterval(look, lookEvery)
    return {
      async close() {
        clearInterval(timer)
        await looking
      },
    }
  }

  async #eraseDue(erase: (userId: number) => Promise<unknown>, log: Logger): Promise<void> {
    const due = await this.#users
      .find({ againAt: { $lte: new Date(this.#now()) } })
      .sort({ againAt: 1 })
      .limit(usersAtOnce)
      .toArray()
    for (const { _id, againAt } of due) {
      try {
        await erase(_id)
        await this.#users.deleteOne({ _id, againAt })
      } catch (error) {
        log.warn({ err: error, userId: _id }, 'a deleted user is not erased again yet')
        // Later, so that it stops nobody behind it.
        await this.note(_id)
      }
    }
  }
}
