import type { ResultOf } from '@im/contracts'
import type { pushedMessages } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { announced } from '../messages/announced.ts'

const mostMessages = 1000

/** Stored messages to these users that came later than `since` (ms) and that none of their devices has confirmed. */
export async function unconfirmed(
  { mailbox, messages, now }: Pick<Deps, 'mailbox' | 'messages' | 'now'>,
  userIds: readonly number[],
  since: number,
): Promise<ResultOf<(typeof pushedMessages)['getUnconfirmed']>> {
  const keys = await mailbox.unconfirmed(userIds, since, mostMessages)
  const found = [...(await messages.byKeys(keys)).values()]
  const live = found.filter(({ gone, expireAt }) => !gone && !(expireAt && expireAt.getTime() <= now()))
  return { messages: live.map(announced) }
}
