import { createHash } from 'node:crypto'
import { serverMessages } from '@im/contracts/message'
import { firstUserId, internalUsers } from '@im/contracts/user'
import type { Limit } from '@im/service-kit'
import type { Deps } from '../deps.ts'

type AnswerDeps = Pick<Deps, 'names' | 'relations' | 'rateCounters' | 'user' | 'message'>

const publicAccount = 2

/** Kinds of users whom an account answers by itself: no account and no robot, or two would answer each other for ever. */
const answeredTypes: ReadonlySet<number> = new Set([0, 1])

export interface Answer {
  account: number
  user: number
  content: string
  /** What it answers: answering it again sends nothing new. */
  cause: string
  limit: Omit<Limit, 'key'>
}

/**
 * Sends what an account answers by itself; nothing to accounts, to who blocked it or was blocked, and not too often. An account that is
 * locked answers nobody.
 */
export async function answer(
  { names, relations, rateCounters, user: users, message }: AnswerDeps,
  { account, user, content, cause, limit }: Answer,
): Promise<void> {
  if (user < firstUserId) return
  const [known, pairs] = await Promise.all([names.of([account, user]), relations.pairs(account, [user])])
  const name = known.get(user)
  if (!name || name.gone || !answeredTypes.has(name.userType)) return
  const { own, other } = pairs.get(user)!
  if (own?.blacklist || other?.blacklist) return
  const { exists, status, userType } = await users.call(internalUsers.getContact, { userId: account })
  if (!exists || status !== 1 || userType !== publicAccount) return
  const counted = { ...limit, key: `account-answer:${account}:${user}:${limit.seconds}` }
  // Who dies now answers when the event comes again: that is no other answer.
  if (await rateCounters.takeOnce(counted, cause)) return
  const messageId = createHash('md5').update(`answer:${account}:${user}:${cause}`).digest('hex')
  try {
    await message.call(serverMessages.sendToUsers, {
      ...{ from: account, fromUserName: known.get(account)?.nickname ?? '', type: 1, content },
      receivers: [{ userId: user, name: name.nickname, messageId }],
    })
  } catch (error) {
    await rateCounters.giveBackOnce(counted, cause)
    throw error
  }
}
