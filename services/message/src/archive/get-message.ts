import { ContractError, type Params } from '@im/contracts'
import type { archive, MessageRow, RoomRow } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { messageRow, roomRow } from '../messages/message-row.ts'
import { findVisible, findVisibleInRooms } from './find-visible.ts'

/** A message of the caller's own single chats, or of the rooms they are in. */
export async function getMessage(
  deps: Pick<Deps, 'messages' | 'chats' | 'roomFacts' | 'roomsOf' | 'now'>,
  userId: number,
  { messageId, type, roomJid }: Params<(typeof archive)['getMessage']>,
): Promise<MessageRow | RoomRow> {
  if (type === 2) {
    const [found] = await findVisibleInRooms(deps, userId, [messageId], roomJid)
    if (!found) throw new ContractError('MessageNotFound')
    return roomRow(found.message)
  }
  const found = await findVisible(deps, userId, [messageId])
  // Both sides may have used the same id: the caller's own message comes first.
  const message = found.find(({ from }) => from === userId) ?? found[0]
  if (!message) throw new ContractError('MessageNotFound')
  return messageRow(message, userId)
}
