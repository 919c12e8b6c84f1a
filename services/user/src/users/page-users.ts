import { type ReplayPage, streams } from '@im/contracts'
import type { UserRow } from '@im/contracts/user'
import { inTransaction } from '@im/service-kit'
import type { Static } from 'typebox'
import type { Deps } from '../deps.ts'
import { telephoneText } from './telephones.ts'
import type { ReplayedUser } from './users-repository.ts'

/** Returns a page of all users, for services that keep something of each. */
export async function pageUsers(
  { users, outbox, mongoClient }: Pick<Deps, 'users' | 'outbox' | 'mongoClient'>,
  { after, pageSize }: { after?: string; pageSize: number },
): Promise<ReplayPage<Static<typeof UserRow>>> {
  // In one transaction, so that each user is as of the last event whose number goes with them.
  return await inTransaction(mongoClient, async (session) => {
    const found = await users.pageAfter(Number(after ?? 0), pageSize, session)
    const aggregates = found.map(({ _id }) => String(_id))
    const sequences = await outbox.lastSequences(streams.user.name, aggregates, session)
    const rows = found.map((user) => {
      const aggregate = String(user._id)
      return { aggregate, sequence: sequences.get(aggregate) ?? 0, data: rowOf(user) }
    })
    return { rows, next: found.length === pageSize ? aggregates.at(-1) : undefined }
  })
}

const rowOf = (user: ReplayedUser): Static<typeof UserRow> => ({
  userId: user._id,
  nickname: user.nickname,
  account: user.account,
  telephone: telephoneText(user) ?? '',
  userType: user.userType,
  locked: user.status === -1,
  offlineNoPushMsg: user.offlineNoPushMsg,
  registeredAt: user.createTime,
})
