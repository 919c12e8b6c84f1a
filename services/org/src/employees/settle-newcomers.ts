import type { Deps } from '../deps.ts'
import { namesOf } from '../directory/names-of.ts'
import { removeFromCompanies } from './remove-from-companies.ts'

/**
 * To be called when employees were added, with the names they were added under: of a user who was renamed or deleted after that name
 * was asked for, the event may have come before the row.
 */
export async function settleNewcomers(deps: Deps, added: ReadonlyMap<number, string>): Promise<void> {
  const { employees, outbox, log } = deps
  try {
    const current = await namesOf(deps, [...added.keys()])
    const renamed = [...current].filter(([userId, nickname]) => nickname !== added.get(userId))
    for (const [userId, nickname] of renamed)
      await outbox.commit((change) => employees.correctName(userId, { was: added.get(userId)!, nickname }, change))
    for (const userId of added.keys()) if (!current.has(userId)) await removeFromCompanies(deps, userId)
  } catch (error) {
    // They were added all the same.
    log.warn({ err: error, userIds: [...added.keys()] }, 'whether new employees were deleted meanwhile is not known')
  }
}
