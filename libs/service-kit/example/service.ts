/** A whole service: endpoints, a collection, an event that it announces, one that it handles, a setting. */
import { ContractError, contract, event, Nothing, Text } from '@im/contracts'
import { userRegistered } from '@im/contracts/user'
import * as kit from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import { Type } from 'typebox'

export const notes = contract('org', {
  addNote: {
    path: '/notes/add',
    summary: { zh: '添加便签', en: 'Add a note' },
    auth: 'user',
    params: Type.Object({ text: Text({ maxLength: 200 }) }),
    result: Nothing,
    errors: ['AlreadyCollected'],
    limits: [{ by: 'user', max: 100, seconds: 86_400 }],
  },
  listNotes: {
    path: '/notes/list',
    summary: { zh: '便签列表', en: 'List own notes' },
    auth: 'user',
    params: Type.Object({}),
    result: Type.Array(Type.Object({ text: Type.String() })),
  },
})
export const noteAdded = event('company.note-added.v1', 'A note was added', Type.Object({ userId: Type.Integer() }))

class NotesRepository {
  readonly #notes: Collection<{ userId: number; text: string }>
  constructor(db: Db) {
    this.#notes = db.collection('notes')
  }
  createIndexes = () => kit.ensureIndexes(this.#notes, [{ key: { userId: 1, text: 1 }, unique: true }])
  of = (userId: number) => this.#notes.find({ userId }).sort({ text: 1 }).limit(1000).toArray()
  async add(note: { userId: number; text: string }, { session }: kit.Change): Promise<boolean> {
    return (await this.#notes.updateOne(note, { $setOnInsert: note }, { upsert: true, session })).upsertedCount === 1
  }
}

const settings = { welcome: kit.setting.text({ env: 'WELCOME_NOTE', default: '欢迎', description: 'first note' }) }
type Deps = kit.Runtime<kit.ConfigOf<typeof settings>> & { notes: NotesRepository }
const addNote = ({ notes, outbox }: Deps, userId: number, text: string) =>
  outbox.commit(async (change) => {
    if (!(await notes.add({ userId, text }, change))) throw new ContractError('AlreadyCollected')
    change.announce(noteAdded, String(userId), { userId })
  })
const handlers = kit.bindHandlers(notes, {
  addNote: (deps: Deps, { caller, params }) => addNote(deps, caller.userId, params.text),
  listNotes: ({ notes }, { caller }) => notes.of(caller.userId),
})
export const service = kit.defineService<typeof settings, Deps>({
  name: 'org',
  settings,
  createDeps: ({ db }) => ({ notes: new NotesRepository(db) }),
  handlers: [handlers],
  eventHandlers: ({ notes, config }) => [
    kit.exactlyOnce(userRegistered, ({ userId }, change) => notes.add({ userId, text: config.welcome }, change)),
  ],
})
