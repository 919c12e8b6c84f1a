import { companyNumber, employmentsOf } from '../companies/companies.ts'
import type { Deps } from '../deps.ts'
import { countsOf, noCounts } from '../relations/relations.ts'
import type { KeptElsewhere, KnownElsewhere, UserDocument } from '../users/user-document.ts'

/** What counts while nothing is known yet. */
const nothingElsewhere: KnownElsewhere = { counts: noCounts, companyId: 0 }

/** After this time (ms) others are asked again: events may have been lost, and none tells of followers who were deleted. */
const keptFor = 86_400_000

type ElsewhereDeps = Pick<Deps, 'users' | 'relationCounts' | 'employments' | 'log' | 'now'>

/** The answer of the services that know, and what is to be kept of it. */
interface Told {
  known: KnownElsewhere
  keep?: KeptElsewhere
}

/**
 * What is known elsewhere of a user, as it was read. Other services are asked when what is kept may be out of date; while one
 * does not answer, the last known value counts. Never rejects, so that it can run beside a login; `keepElsewhere` stores the
 * answer after that.
 */
export async function askElsewhere(deps: ElsewhereDeps, user: UserDocument): Promise<Told> {
  const { _id: userId, elsewhere: kept, elsewhereChanges: changes = 0 } = user
  const askedAt = deps.now()
  if (kept?.changes === changes && askedAt < kept.askedAt + keptFor) return { known: kept }
  const [counts, employments] = await Promise.all([countsOf(deps, userId), employmentsOf(deps, [userId])])
  const last = kept ?? nothingElsewhere
  const known = {
    counts: counts ?? last.counts,
    companyId: employments ? companyNumber(employments, userId) : last.companyId,
  }
  return counts && employments ? { known, keep: { ...known, changes, askedAt } } : { known }
}

/** Only logs a failure: the next login asks again. */
export async function keepElsewhere({ users, log }: ElsewhereDeps, userId: number, { keep }: Told): Promise<void> {
  if (!keep) return
  try {
    await users.keepElsewhere(userId, keep)
  } catch (error) {
    log.debug({ err: error, userId }, 'what other services know of a user was not kept')
  }
}

/** Both at once, for callers that do not change the user themselves. */
export async function knownElsewhere(deps: ElsewhereDeps, user: UserDocument): Promise<KnownElsewhere> {
  const told = await askElsewhere(deps, user)
  await keepElsewhere(deps, user._id, told)
  return told.known
}
