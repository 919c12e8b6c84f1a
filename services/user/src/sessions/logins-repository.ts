import type { Change } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { UserDocument } from '../users/user-document.ts'
import { type PageSessionDocument, pageSessionsCollection } from './page-sessions-repository.ts'
import { type SessionDocument, sessionsCollection } from './sessions-repository.ts'

/** What a user is logged in with, sessions of our own pages, too. */
export interface UserLogins {
  passwordVersion: number | undefined
  sessions: SessionDocument[]
  pageSessions: PageSessionDocument[]
}

/** A user's password and sessions, read as one. */
export class LoginsRepository {
  readonly #users: Collection<UserDocument>

  constructor(db: Db) {
    this.#users = db.collection('users')
  }

  /** The version of a user's password, and everything they are logged in with. Undefined for nobody. */
  async of(userId: number, { session }: Change): Promise<UserLogins | undefined> {
    const lookup = (from: string, as: keyof UserLogins) => ({
      $lookup: { from, localField: '_id', foreignField: 'userId', as },
    })
    const [found] = await this.#users
      .aggregate<UserLogins & Pick<UserDocument, 'password'>>(
        [
          { $match: { _id: userId } },
          { $project: { password: 1 } },
          lookup(sessionsCollection, 'sessions'),
          lookup(pageSessionsCollection, 'pageSessions'),
        ],
        { session },
      )
      .toArray()
    if (!found) return undefined
    const { password, sessions, pageSessions } = found
    return { passwordVersion: password?.version, sessions, pageSessions }
  }
}
