import { friendRequestLimit } from '@im/contracts/social'
import type { Limit } from '@im/service-kit'

/** How many a user may ask to become friends, in the count that each call of `follow` is in, too. */
export function requestLimit(userId: number): Limit {
  const { group, max, seconds } = friendRequestLimit
  return { key: `${group} user ${seconds}s:user=${userId}`, max, seconds }
}
