import { internalRelations } from '@im/contracts/social'
import { ordinaryUsers } from '@im/contracts/user'
import type { BroadcastPeers } from './broadcasts.ts'
import type { BroadcastDocument } from './broadcasts-repository.ts'

/** The next receivers, in the order of their ids. Undefined: the account is none any more. */
export async function nextReceivers(
  { user, social }: Pick<BroadcastPeers, 'user' | 'social'>,
  { audience, from: account, after, until }: BroadcastDocument,
  pageSize: number,
  signal: AbortSignal,
): Promise<number[] | undefined> {
  if (audience === 'users')
    return (await user.call(ordinaryUsers.pageOrdinaryUsers, { after, pageSize }, { signal })).userIds
  const asked = { account, after, until, pageSize }
  const { userIds, isAccount } = await social.call(internalRelations.pageFans, asked, { signal })
  return isAccount ? userIds : undefined
}
