import { presenceChanged } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import type { PresenceDocument } from './presence-repository.ts'

/** What is known of a user's resources: `only` replaces them all, `changes` (resource → available) edits them. */
export interface PresenceUpdate {
  only?: readonly string[]
  changes?: ReadonlyMap<string, boolean>
}

function resourcesAfter(before: readonly string[], { only, changes }: PresenceUpdate): string[] {
  const resources = new Set(only ?? before)
  for (const [resource, available] of changes ?? [])
    if (available) resources.add(resource)
    else resources.delete(resource)
  return [...resources]
}

/** Stores the presence of some users and announces whose first resource came or whose last one went. */
export async function applyPresence(
  { presences, outbox, now }: Pick<Deps, 'presences' | 'outbox' | 'now'>,
  updates: ReadonlyMap<number, PresenceUpdate>,
): Promise<void> {
  await outbox.commit(async (change) => {
    const known = await presences.of([...updates.keys()], change.session)
    const at = now()
    const changed: PresenceDocument[] = []
    for (const [userId, update] of updates) {
      const before = known.get(userId)
      const resources = resourcesAfter(before?.resources ?? [], update)
      const online = resources.length > 0
      const same = before && before.online === online && before.resources.join() === resources.join()
      if (same || (!before && !online)) continue
      changed.push({ _id: userId, online, resources, changedAt: at })
      if ((before?.online ?? false) !== online) change.announce(presenceChanged, String(userId), { userId, online, at })
    }
    await presences.save(changed, change.session)
  })
}
