import type { Params, ResultOf } from '@im/contracts'
import type { internalMessages } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { findVisible } from './find-visible.ts'

type Asked = (typeof internalMessages)['readMessages']

/**
 * Bodies of the messages with these ids that a user can see in single chats. Those of rooms are found once rooms and their members
 * are known.
 */
export async function readMessages(
  deps: Pick<Deps, 'messages' | 'chats' | 'now'>,
  { userId, messageIds, room }: Params<Asked>,
): Promise<ResultOf<Asked>> {
  const found = room === undefined ? await findVisible(deps, userId, messageIds) : []
  return { messages: found.map(({ messageId, from, body, contentType: type }) => ({ messageId, from, body, type })) }
}
