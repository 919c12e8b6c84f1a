import type { SeenServer } from './presence-repository.ts'

/** After what silence (ms) a server counts as gone with its users. */
const goneAfter = 45_000

/** Finds servers that nobody holds any more. The clocks of two replicas are not compared: each measures how long it saw no sign. */
export class UnheldServers {
  #seen = new Map<string, SeenServer & { since: number }>()

  /** Of all servers those that nobody has seen for long; `now` in ms by a clock that nobody sets. */
  among(servers: readonly SeenServer[], now: number): SeenServer[] {
    const before = this.#seen
    this.#seen = new Map(
      servers.map((one) => {
        const known = before.get(one.server)
        const isSame = known?.epoch === one.epoch && known.seenAt === one.seenAt
        return [one.server, { ...one, since: isSame ? known.since : now }]
      }),
    )
    return servers.filter(({ server }) => now - this.#seen.get(server)!.since > goneAfter)
  }
}
