import { internalBadges } from '@im/contracts/push'
import type { Deps } from '../deps.ts'

/** How long (ms) is waited for it: nobody is kept from their own profile because it can't be told now. */
const answerWithin = 1000

/** The number on the icon of the user's apps, which the push service counts. 0 while that does not answer. */
export async function badgeOf({ push, log }: Pick<Deps, 'push' | 'log'>, userId: number): Promise<number> {
  try {
    const waiting = { deadline: Date.now() + answerWithin }
    return (await push.call(internalBadges.getBadge, { userId }, waiting)).count
  } catch (error) {
    // Not louder: while the push service is away, this happens at every start of an app.
    log.debug({ err: error, userId }, 'the push service did not tell the badge of a user')
    return 0
  }
}
