import type { Params, ResultOf } from '@im/contracts'
import type { publicAccounts } from '@im/contracts/social'
import { internalCards } from '@im/contracts/user'
import { skipOf } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { viewOf } from '../relations/show-rows.ts'

type Search = (typeof publicAccounts)['searchAccounts']

/** Public accounts by their names, each with what the caller is to it. */
export async function searchAccounts(
  { people, relations, user, rateCounters }: Pick<Deps, 'people' | 'relations' | 'user' | 'rateCounters'>,
  userId: number,
  { keyWorld, page, limit }: Params<Search>,
): Promise<ResultOf<Search>> {
  // The count that searches for users are in, too (transport.md §8).
  await rateCounters.demand('RateLimited', { key: `search:${userId}`, max: 60, seconds: 60 })
  const skip = skipOf({ pageIndex: page, pageSize: limit })
  const found = skip === undefined ? [] : await people.publicAccounts(keyWorld, skip, limit)
  if (!found.length) return []
  const userIds = found.map(({ _id }) => _id)
  const [{ cards }, pairs] = await Promise.all([
    user.call(internalCards.getCards, { userIds }),
    relations.pairs(userId, userIds),
  ])
  return cards.map((card) => {
    const { own, other } = pairs.get(card.userId) ?? {}
    // Whom an account has blocked never sees it online. The cards are as strangers see them.
    const onlinestate = other?.blacklist ? 0 : card.onlinestate
    return { ...card, onlinestate, friends: own && viewOf({ row: own, name: card }) }
  })
}
