import { ContractError, type Params } from '@im/contracts'
import type { archive, MessageRow } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { messageRow } from './message-row.ts'

/** A message of the caller's own single chats. Room messages (type 2) are found once rooms and their members are known. */
export async function getMessage(
  { messages }: Pick<Deps, 'messages'>,
  userId: number,
  { messageId, type }: Params<(typeof archive)['getMessage']>,
): Promise<MessageRow> {
  const found = type === 2 ? [] : await messages.findForUser(userId, [messageId])
  // Both sides may have used the same id: the caller's own message comes first.
  const message = found.find(({ from }) => from === userId) ?? found[0]
  if (!message) throw new ContractError('MessageNotFound')
  return messageRow(message, userId)
}
