import { type Change, ensureIndexes } from '@im/service-kit'
import { type Collection, type Db, ObjectId } from 'mongodb'

interface NoteDocument {
  _id: ObjectId
  userId: number
  text: string
}

export class NotesRepository {
  readonly #notes: Collection<NoteDocument>

  constructor(db: Db) {
    this.#notes = db.collection('notes')
  }

  createIndexes = () => ensureIndexes(this.#notes, [{ key: { userId: 1, text: 1 }, unique: true }])

  async add(userId: number, text: string, { session }: Change): Promise<string> {
    const { insertedId } = await this.#notes.insertOne({ _id: new ObjectId(), userId, text }, { session })
    return insertedId.toHexString()
  }

  of = (userId: number) => this.#notes.find({ userId }).sort({ text: 1 }).limit(1000).toArray()
}
