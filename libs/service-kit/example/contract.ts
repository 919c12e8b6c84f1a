import { contract, event, Text } from '@im/contracts'
import { Type } from 'typebox'

export const notes = contract('org', {
  addNote: {
    path: '/notes/add',
    summary: { zh: '添加便签', en: 'Add a note' },
    auth: 'user',
    params: Type.Object({ text: Text({ maxLength: 200 }) }),
    result: Type.Object({ id: Type.String() }),
    errors: ['AlreadyCollected'],
    limits: [{ by: 'user', max: 100, seconds: 86_400 }],
  },
  listNotes: {
    path: '/notes/list',
    summary: { zh: '便签列表', en: 'List own notes' },
    auth: 'user',
    safe: true,
    params: Type.Object({}),
    result: Type.Array(Type.Object({ id: Type.String(), text: Type.String() })),
  },
})

export const noteAdded = event('company.note-added.v1', 'A note was added', Type.Object({ userId: Type.Integer() }))
