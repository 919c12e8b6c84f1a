import { internalBadges } from '@im/contracts/push'
import type { Deps } from '../deps.ts'

/** How long (ms) a profile waits for it; after that the profile is shown without it. */
const answerWithin = 1000

/** The number on the icon of the user's apps, which the push service counts. 0 while that does not answer. */
export async function badgeOf({ push, log }: Pick<Deps, 'push' | 'log'>, userId: number): Promise<number> {
  try {
    const waiting = { deadline: Date.now() + answerWithin }
    return (await push.call(internalBadges.getBadge, { userId }, waiting)).count
  } catch (error) {
    // No warning, because it happens at every start of an app while the push service is away.
    log.debug({ err: error, userId }, 'the push service did not tell the badge of a user')
    return 0
  }
}
