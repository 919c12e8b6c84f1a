import { setTimeout as delay } from 'node:timers/promises'
import { type Closable, holdLease } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { Deps } from '../deps.ts'
import { eraseThoseGone } from '../people/erase-user.ts'
import { befriendWithin } from './befriend-account.ts'

/** An account that every user is to be a friend of, and how far that has come. */
interface Task {
  /** The account. */
  _id: number
  /** Users up to this id are its friends. */
  after: number
}

/** Users of one change. */
const usersAtOnce = 50
const lookEvery = 1000

/** What is left to be done of "make this account everybody's friend". It survives the process that was asked. */
export class EverybodysFriends {
  readonly #tasks: Collection<Task>

  constructor(db: Db) {
    this.#tasks = db.collection('everybodys_friends')
  }

  async add(account: number): Promise<void> {
    await this.#tasks.updateOne({ _id: account }, { $set: { after: 0 } }, { upsert: true })
  }

  /** Does the work in one replica, a part after the other. */
  start(deps: Deps): Closable {
    return holdLease(deps, {
      name: "everybody's friends",
      work: async (signal) => {
        while (!signal.aborted) {
          const task = await this.#tasks.findOne({ _id: { $gt: 0 } })
          if (task) await this.#goOn(deps, task)
          else await delay(lookEvery, undefined, { signal }).catch(() => {})
        }
      },
    })
  }

  async #goOn(deps: Deps, { _id: account, after }: Task): Promise<void> {
    if ((await deps.people.find([account])).get(account)?.gone)
      return void (await this.#tasks.deleteOne({ _id: account }))
    const users = await deps.people.idsAfter(after, usersAtOnce)
    if (users.length) {
      await deps.outbox.commit((change) => befriendWithin(deps, account, users, change))
      await eraseThoseGone(deps, [account, ...users])
    }
    const last = users.at(-1)
    // A task that was begun anew meanwhile is not at this place any more.
    if (last === undefined) await this.#tasks.deleteOne({ _id: account, after })
    else await this.#tasks.updateOne({ _id: account, after }, { $set: { after: last } })
  }
}
