import { internalNewcomers } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import { type Counts, noCounts } from '../relations/relations.ts'

/** How long (ms) a registration waits for it. */
const answerWithin = 1000

interface Newcomer {
  userId: number
  nickname: string
  userType: number
  defaultFriends: readonly number[]
}

/**
 * Lets a new user have their first friends before the app is answered, which reads the list of friends at once and then not again. While
 * the social service does not answer, the event of the registration sees to it.
 */
export async function welcomeUser(
  { social, log }: Pick<Deps, 'social' | 'log'>,
  { userId, nickname, userType, defaultFriends }: Newcomer,
): Promise<Counts> {
  const waiting = { deadline: Date.now() + answerWithin }
  try {
    const newcomer = { userId, nickname, userType, defaultFriends: [...defaultFriends] }
    return await social.call(internalNewcomers.welcomeUser, newcomer, waiting)
  } catch (error) {
    log.debug({ err: error, userId }, 'the social service did not welcome a new user')
    return noCounts
  }
}
