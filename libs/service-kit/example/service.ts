import { ContractError } from '@im/contracts'
import { userRegistered } from '@im/contracts/user'
import {
  bindHandlers,
  type ConfigOf,
  defineService,
  exactlyOnce,
  isDuplicateKey,
  type Runtime,
  setting,
} from '@im/service-kit'
import { noteAdded, notes } from './contract.ts'
import { NotesRepository } from './notes-repository.ts'

const settings = {
  welcome: setting.text({ env: 'WELCOME_NOTE', default: '欢迎', description: 'first note of every new user' }),
}

interface Deps extends Runtime<ConfigOf<typeof settings>> {
  notes: NotesRepository
}

async function addNote({ notes, outbox }: Deps, userId: number, text: string): Promise<{ id: string }> {
  try {
    return await outbox.commit(async (change) => {
      change.announce(noteAdded, String(userId), { userId })
      return { id: await notes.add(userId, text, change) }
    })
  } catch (error) {
    throw isDuplicateKey(error) ? new ContractError('AlreadyCollected') : error
  }
}

export const service = defineService<typeof settings, Deps>({
  name: 'org',
  settings,
  createDeps: ({ db }) => ({ notes: new NotesRepository(db) }),
  handlers: [
    bindHandlers(notes, {
      addNote: (deps: Deps, { caller, params }) => addNote(deps, caller.userId, params.text),
      listNotes: async (deps, { caller }) =>
        (await deps.notes.of(caller.userId)).map(({ _id, text }) => ({ id: _id.toHexString(), text })),
    }),
  ],
  eventHandlers: ({ notes, config }) => [
    exactlyOnce(userRegistered, ({ userId }, change) => notes.add(userId, config.welcome, change)),
  ],
})
