import { presencesChanged } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import type { Left, PresenceAt, PresenceDocument } from './presence-repository.ts'

/** So long (ms) it is known who left: longer than it takes to hand on again what came before a crash. */
const rememberLeft = 600_000
const mostLeft = 20

/**
 * Stores which resources of users are available on a server, and announces whose first one came or whose last one went, all
 * in one event. `missed`: ids of what the streams of a user which ended just now were given and have not confirmed: they are kept
 * with who has no other one. False when another connection of the server writes by now: nothing was stored then.
 */
export async function applyPresence(
  { presences, outbox, now }: Pick<Deps, 'presences' | 'outbox' | 'now'>,
  { server, epoch }: { server: string; epoch: number },
  placeOf: ReadonlyMap<number, Omit<PresenceAt, 'server'>>,
  missed: ReadonlyMap<number, readonly string[]> = new Map(),
): Promise<boolean> {
  return await outbox.commit(async (change) => {
    if (!(await presences.isNewest(server, epoch, change.session))) return false
    const known = await presences.of([...placeOf.keys()], change.session)
    const at = now()
    const stored: PresenceDocument[] = []
    const changes: { userId: number; online: boolean; at: number }[] = []
    for (const [userId, place] of placeOf) {
      const before = known.get(userId)
      const elsewhere = (before?.at ?? []).filter((other) => other.server !== server)
      const here = place.resources
      const places = here.length ? [...elsewhere, { server, ...place }] : elsewhere
      const online = places.length > 0
      if (before && before.online === online && JSON.stringify(before.at) === JSON.stringify(places)) continue
      if (!before && !online) continue
      const was = before?.at.find((other) => other.server === server)?.resources ?? []
      const left = leftOf(
        before?.left ?? [],
        was.filter((resource) => !here.includes(resource)),
        at,
      )
      const ids = online ? [] : (missed.get(userId) ?? [])
      const kept = ids.length ? { missed: [...ids] } : {}
      stored.push({ _id: userId, online, at: places, left, ...kept, changedAt: at })
      if ((before?.online ?? false) !== online) changes.push({ userId, online, at })
    }
    await presences.save(stored, change.session)
    if (changes.length) change.announce(presencesChanged, server, { changes })
    return true
  })
}

const leftOf = (before: readonly Left[], gone: readonly string[], at: number): Left[] =>
  [
    ...before.filter((left) => left.at > at - rememberLeft && !gone.includes(left.resource)),
    ...gone.map((resource) => ({ resource, at })),
  ].slice(-mostLeft)
