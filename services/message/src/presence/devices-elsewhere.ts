import type { Deps } from '../deps.ts'

/** Somebody a message is for. */
interface Receiver {
  user: number
  /** When it came (ms). */
  at: number
  /** It was in the log before the server was connected. */
  cameBefore?: boolean
}

/**
 * Devices (resources) of users that this replica can't know by streams of its own, as far as anybody has seen them:
 * - On servers that it does not hold. Replicas tell each other who is where, and forget it with a replica that dies, a server
 *   that is out of reach or a connection to NATS.
 * - For a message that came before its server was connected, perhaps to a replica that died: also those that were there then and
 *   are not any more. It may have been on its way to them.
 *
 * Such a device must not miss what another one has confirmed meanwhile.
 */
export async function devicesElsewhere(
  { presences, feeds }: Pick<Deps, 'presences' | 'feeds'>,
  receivers: readonly Receiver[],
): Promise<Map<number, string[]>> {
  const asked = feeds.holdsAll ? receivers.filter(({ cameBefore }) => cameBefore) : receivers
  if (!asked.length) return new Map()
  /** When the oldest message came that came before. */
  const oldest = new Map<number, number>()
  for (const { user, at, cameBefore } of asked) if (cameBefore) oldest.set(user, Math.min(at, oldest.get(user) ?? at))
  const held = new Set(feeds.servers.map(({ server }) => server))
  const found = await presences.of([...new Set(asked.map(({ user }) => user))])
  return new Map(
    [...found].map(([user, { at, left = [] }]) => {
      const cameAt = oldest.get(user) ?? Number.POSITIVE_INFINITY
      // What is stored of a server that has just been connected may be from before.
      const there = at.flatMap(({ server, resources }) => (held.has(server) && !oldest.has(user) ? [] : resources))
      const gone = left.filter((device) => device.at > cameAt).map(({ resource }) => resource)
      return [user, [...new Set([...there, ...gone])]]
    }),
  )
}
