import { internalUsers } from '@im/contracts/user'
import type { Deps } from '../deps.ts'

const askedAtOnce = 500

/** What users are called, those of them who exist. */
export async function namesOf({ user }: Pick<Deps, 'user'>, userIds: readonly number[]): Promise<Map<number, string>> {
  const names = new Map<number, string>()
  for (let from = 0; from < userIds.length; from += askedAtOnce) {
    const asked = userIds.slice(from, from + askedAtOnce)
    const { contacts } = await user.call(internalUsers.getContacts, { userIds: asked })
    for (const { userId, exists, nickname } of contacts) if (exists) names.set(userId, nickname)
  }
  return names
}
