import type { ResultOf } from '@im/contracts'
import { accountChats } from '@im/contracts/message'
import type { accountSession } from '@im/contracts/social'
import type { Deps } from '../deps.ts'

/** What waits for an account. */
export async function showHome(
  { message, relations, names }: Pick<Deps, 'message' | 'relations' | 'names'>,
  account: number,
): Promise<ResultOf<(typeof accountSession)['showHome']>> {
  const [unread, fansCount, name] = await Promise.all([
    message.call(accountChats.countUnread, { userId: account }),
    relations.countShownFans(account),
    names.ofOne(account),
  ])
  return {
    userId: account,
    nickname: name?.nickname ?? '',
    msgCount: unread.messages,
    userCount: unread.peers,
    fansCount,
  }
}
