import type { Change } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** What rooms keep of a user. */
export interface PersonDocument {
  _id: number
  nickname: string
}

export class PeopleRepository {
  readonly #people: Collection<PersonDocument>

  constructor(db: Db) {
    this.#people = db.collection('people')
  }

  async find(userIds: readonly number[], change?: Change): Promise<Map<number, string>> {
    const found = await this.#people.find({ _id: { $in: [...userIds] } }, { session: change?.session }).toArray()
    return new Map(found.map(({ _id, nickname }) => [_id, nickname]))
  }

  async put(people: readonly PersonDocument[], { session }: Change): Promise<void> {
    if (!people.length) return
    await this.#people.bulkWrite(
      people.map(({ _id, nickname }) => ({
        updateOne: { filter: { _id }, update: { $set: { nickname } }, upsert: true },
      })),
      { session, ordered: false },
    )
  }

  async remove(userId: number, { session }: Change): Promise<void> {
    await this.#people.deleteOne({ _id: userId }, { session })
  }
}
