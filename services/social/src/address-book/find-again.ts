import { friendRules } from '@im/contracts/user'
import type { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { askFriendRules } from '../people/friend-rules.ts'
import type { Contact } from './books-repository.ts'
import { telephoneOf } from './contact-number.ts'

/** Rows of one change. */
const rowsAtOnce = 500

/**
 * A user has another number, or may or may not be found by it now: address books say so from then on. It goes by what is true
 * now, so it may be done late and again.
 */
export async function findAgain(deps: Deps, userId: number): Promise<void> {
  const { user, books } = deps
  const { telephone } = (await askFriendRules(user, [userId])).get(userId) ?? {}
  const key = telephone && `${telephone.areaCode}:${telephone.number}`
  const { users } = key ? await user.call(friendRules.findByTelephones, { telephones: [key] }) : { users: [] }
  const found = users.find((one) => one.userId === userId)
  const number = found && telephoneOf(found.telephone)
  await books.forgetNumbers(userId, number)
  if (!found || !number) return
  let after: ObjectId | undefined
  for (;;) {
    const rows = await books.ownersOf(number, after, rowsAtOnce)
    await register(deps, found, rows)
    if (rows.length < rowsAtOnce) return
    after = rows.at(-1)!._id
  }
}

async function register(
  { books, relations }: Pick<Deps, 'books' | 'relations'>,
  { userId, registeredAt: registerTime }: { userId: number; registeredAt: number },
  rows: readonly Contact[],
): Promise<void> {
  const waiting = rows.filter((row) => row.toUserId !== userId)
  const pairs = await relations.pairs(
    userId,
    waiting.map((row) => row.userId),
  )
  await books.settle(
    waiting.map((was) => {
      const wereFriends = pairs.get(was.userId)?.own?.status === 2
      return { was, found: { toUserId: userId, registerTime, wereFriends } }
    }),
  )
}
