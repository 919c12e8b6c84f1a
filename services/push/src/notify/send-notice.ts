import { randomBytes } from 'node:crypto'
import { ContractError } from '@im/contracts'
import { messageType, mostReceivers, serverMessages } from '@im/contracts/message'
import { noticeUserId } from '@im/contracts/user'
import { causedId } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { findPeople } from '../people/find-people.ts'
import { furtherFields, type GivenBody } from './message-body.ts'

/** Fields of a body that say who and what it is: these are ours. */
const ownFields = new Set([
  ...['type', 'messageId', 'fromUserId', 'fromUserName', 'toUserId', 'toUserName', 'content', 'timeSend'],
])

/**
 * Sends a message from 10005 to users. It is archived and pushed as every other one. A body with a messageId is sent to each
 * user once, however often it is given. Users who do not exist are skipped.
 */
export async function sendNotice(
  { people, user, message }: Pick<Deps, 'people' | 'user' | 'message'>,
  userIds: readonly number[],
  { type, content, messageId = randomBytes(16).toString('hex'), fields }: GivenBody,
): Promise<void> {
  if (!messageType(type).archived) throw new ContractError('InvalidParams', { detail: 'body: type' })
  const more = furtherFields(Object.fromEntries(Object.entries(fields).filter(([name]) => !ownFields.has(name))))
  const found = await findPeople({ people, user }, [noticeUserId, ...userIds])
  const receivers = userIds
    .filter((userId) => found.has(userId) && userId !== noticeUserId)
    .map((userId) => ({
      ...{ userId, name: found.get(userId)!.nickname, messageId: causedId('notice', messageId, userId) },
    }))
  for (let at = 0; at < receivers.length; at += mostReceivers)
    await message.call(serverMessages.sendToUsers, {
      ...{ from: noticeUserId, fromUserName: found.get(noticeUserId)?.nickname ?? '', type, content, more },
      receivers: receivers.slice(at, at + mostReceivers),
    })
}
