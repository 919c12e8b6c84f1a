import { internalRelations } from '@im/contracts/social'
import { internalUsers, noticeUserId, ordinaryUsers, systemUserId } from '@im/contracts/user'
import type { ServiceClient } from '@im/service-kit'
import type { BroadcastPeers } from './broadcasts.ts'
import type { BroadcastDocument } from './broadcasts-repository.ts'

const publicAccount = 2

/** What an account is called that may write to all: one of the system, or a public one that is not locked. Else undefined. */
export async function senderName(
  user: ServiceClient,
  userId: number,
  waiting: { signal?: AbortSignal } = {},
): Promise<string | undefined> {
  const { exists, status, userType, nickname } = await user.call(internalUsers.getContact, { userId }, waiting)
  const isSystem = userId === systemUserId || userId === noticeUserId
  return isSystem || (exists && status === 1 && userType === publicAccount) ? nickname : undefined
}

/** The next receivers, in the order of their ids. Undefined: the account is none any more, or was locked. */
export async function nextReceivers(
  { user, social }: Pick<BroadcastPeers, 'user' | 'social'>,
  { audience, from: account, after, until }: BroadcastDocument,
  pageSize: number,
  signal: AbortSignal,
): Promise<number[] | undefined> {
  if ((await senderName(user, account, { signal })) === undefined) return undefined
  if (audience === 'users')
    return (await user.call(ordinaryUsers.pageOrdinaryUsers, { after, pageSize }, { signal })).userIds
  const asked = { account, after, until, pageSize }
  const { userIds, isAccount } = await social.call(internalRelations.pageFans, asked, { signal })
  return isAccount ? userIds : undefined
}
