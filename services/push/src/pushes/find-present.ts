import { pushedMessages } from '@im/contracts/message'
import type { Deps } from '../deps.ts'

const askedAtOnce = 10_000

/** Those of the users who are online. */
export async function findPresent(
  { message }: Pick<Deps, 'message'>,
  userIds: readonly number[],
): Promise<Set<number>> {
  const present = new Set<number>()
  for (let at = 0; at < userIds.length; at += askedAtOnce) {
    const some = userIds.slice(at, at + askedAtOnce)
    const answer = await message.call(pushedMessages.getPresent, { userIds: some })
    for (const userId of answer.userIds) present.add(userId)
  }
  return present
}
