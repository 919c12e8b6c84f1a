import type { Call } from '@im/contracts'
import { companyNumber, companySeen, employmentsOf } from '../companies/companies.ts'
import type { Deps } from '../deps.ts'
import { countsOf, noCounts, relationsTo, toStranger } from '../relations/relations.ts'
import type { UserDocument } from '../users/user-document.ts'
import { type OwnMatters, userView } from '../users/user-view.ts'
import { badgeOf } from './badge-of.ts'

/** A user as the viewer may see them, with what other collections and services know. */
export async function showUser(
  deps: Deps,
  viewerId: number,
  user: UserDocument,
  waiting: Pick<Call, 'deadline' | 'signal'>,
) {
  const userId = user._id
  const [{ downloadAvatarUrl: avatarBase }, publicKey, relations, employments = [], own] = await Promise.all([
    deps.serverConfig.get(),
    deps.keys.publicKeyOf(userId),
    relationsTo(deps, viewerId, [userId], waiting),
    employmentsOf(deps, [userId, viewerId]),
    viewerId === userId ? ownMatters(deps, userId) : undefined,
  ])
  const work = {
    companyId: companyNumber(employments, userId),
    company: companySeen(employments, userId, viewerId),
  }
  return userView(user, { relation: relations.get(userId) ?? toStranger, avatarBase, publicKey, work, own })
}

async function ownMatters(deps: Deps, userId: number): Promise<OwnMatters> {
  const [counts = noCounts, money, msgNum] = await Promise.all([
    countsOf(deps, userId),
    deps.ledger.of(userId),
    badgeOf(deps, userId),
  ])
  return { counts, money, msgNum }
}
