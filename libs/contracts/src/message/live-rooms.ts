import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Int, Oid, Text, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'

const Jid = () => Text({ maxLength: 64, pattern: '^[a-z0-9_-]{1,64}$', description: 'in lower case' })

/** Asked by the room service. Rooms live where messages are decided on (spec xmpp.md §7). */
export const liveRooms = contract('message', {
  claimRoom: {
    path: '/internal/live-rooms/claim',
    summary: { zh: '认领聊天室', en: 'Take a jid for a room that is about to be made' },
    auth: 'internal',
    params: Type.Object({ jid: Jid(), userId: UserId({ description: 'who makes the room' }) }),
    result: Nothing,
    errors: ['JidTaken'],
  },
  /**
   * To be called after a change is committed and before its caller is answered: when this has answered, no message is accepted
   * and none is handed to anybody by what was true before. One replica that does not answer is not the service: the call is repeated.
   */
  enforceRoom: {
    path: '/internal/live-rooms/enforce',
    summary: { zh: '立即生效群组变更', en: 'Put a change of a room into force' },
    auth: 'internal',
    params: Type.Object({
      jid: Jid(),
      roomId: Oid(),
      sequence: Int({ minimum: 1, description: 'of the last event of the change' }),
    }),
    result: Nothing,
  },
})
