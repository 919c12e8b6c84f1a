import type { Params, ResultOf } from '@im/contracts'
import type { internalMessages } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { findVisible, findVisibleInRooms } from './find-visible.ts'

type Asked = (typeof internalMessages)['readMessages']

/** Bodies of the messages with these ids that a user can see: in single chats, or in a room they are in. */
export async function readMessages(
  deps: Pick<Deps, 'messages' | 'chats' | 'roomFacts' | 'roomsOf' | 'now'>,
  { userId, messageIds, room }: Params<Asked>,
): Promise<ResultOf<Asked>> {
  const found =
    room === undefined
      ? await findVisible(deps, userId, messageIds)
      : (await findVisibleInRooms(deps, userId, messageIds, room)).map(({ message }) => message)
  return { messages: found.map(({ messageId, from, body, contentType: type }) => ({ messageId, from, body, type })) }
}
