import { ContractError, type Params } from '@im/contracts'
import type { archive, MessageRow } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { findVisible } from './find-visible.ts'
import { messageRow } from './message-row.ts'

/** A message of the caller's own single chats. Room messages (type 2) are found once rooms and their members are known. */
export async function getMessage(
  deps: Pick<Deps, 'messages' | 'chats' | 'now'>,
  userId: number,
  { messageId, type }: Params<(typeof archive)['getMessage']>,
): Promise<MessageRow> {
  const found = type === 2 ? [] : await findVisible(deps, userId, [messageId])
  // Both sides may have used the same id: the caller's own message comes first.
  const message = found.find(({ from }) => from === userId) ?? found[0]
  if (!message) throw new ContractError('MessageNotFound')
  return messageRow(message, userId)
}
