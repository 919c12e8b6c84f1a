import type { Deps } from '../deps.ts'

/**
 * Devices (resources) of users on servers that this replica does not hold, as far as anybody has seen them. Replicas tell each
 * other who is where, and forget it with a replica that dies, a server that is out of reach or a connection to NATS: a device
 * that is there all the same must not miss what another one has confirmed meanwhile.
 */
export async function devicesElsewhere(
  { presences, feeds }: Pick<Deps, 'presences' | 'feeds'>,
  users: readonly number[],
): Promise<Map<number, string[]>> {
  if (!users.length || feeds.holdsAll) return new Map()
  const held = new Set(feeds.servers.map(({ server }) => server))
  const found = await presences.of([...new Set(users)])
  return new Map(
    [...found].map(([user, { at }]) => [
      user,
      at.flatMap(({ server, resources }) => (held.has(server) ? [] : resources)),
    ]),
  )
}
