import { internalUsers } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import type { Person } from './follow-users.ts'

const askedAtOnce = 500

/** People from the own copy, else from the user service, so that nobody is unknown because an event is late. */
export async function findPeople(
  { people, user }: Pick<Deps, 'people' | 'user'>,
  userIds: readonly number[],
): Promise<Map<number, Pick<Person, 'nickname' | 'isMuted'>>> {
  const found = new Map<number, Pick<Person, 'nickname' | 'isMuted'>>()
  const known = await people.find(userIds)
  for (const [userId, { nickname = '', isMuted = false }] of known)
    if (nickname) found.set(userId, { nickname, isMuted })
  const missing = userIds.filter((userId) => !found.has(userId) && !known.get(userId)?.gone)
  for (let from = 0; from < missing.length; from += askedAtOnce) {
    const { contacts } = await user.call(internalUsers.getContacts, {
      userIds: missing.slice(from, from + askedAtOnce),
    })
    for (const { userId, exists, nickname } of contacts) if (exists) found.set(userId, { nickname, isMuted: false })
  }
  return found
}
