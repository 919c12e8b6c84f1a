import type { Payload } from '@im/contracts'
import { contactRegistered } from '@im/contracts/social'
import type { userRegistered } from '@im/contracts/user'
import type { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'

/** Owners of one change and its event. */
const ownersAtOnce = 500

/**
 * A number was registered: the address books that hold it say so, and each owner is told. Part by part, because some numbers
 * stand in very many books; doing it again tells nobody twice.
 */
export async function tellOwners(
  { books, outbox, now }: Pick<Deps, 'books' | 'outbox' | 'now'>,
  { userId, nickname, telephone, registeredAt }: Payload<typeof userRegistered>,
): Promise<void> {
  if (!telephone) return
  let after: ObjectId | undefined
  for (;;) {
    const rows = await books.ownersOf(telephone, after, ownersAtOnce)
    const waiting = rows.filter((row) => row.toUserId !== userId)
    if (waiting.length)
      await outbox.commit(async (change) => {
        const ids = waiting.map(({ _id }) => _id)
        await books.register(ids, { toUserId: userId, registerTime: registeredAt, wereFriends: false }, change)
        change.announce(contactRegistered, String(userId), {
          ...{ userId, nickname, telephone, registeredAt, at: now() },
          owners: waiting.map((row) => ({ userId: row.userId, telephone: row.telephone })),
        })
      })
    if (rows.length < ownersAtOnce) return
    after = rows.at(-1)!._id
  }
}
