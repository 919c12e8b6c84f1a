import type { Deps } from '../deps.ts'

/** An event names all members of a room that is dissolved, so their number has an end. */
const largest = 50_000

/** Members that a room may have at most, by the configuration. */
export async function mostMembers({ serverConfig }: Pick<Deps, 'serverConfig'>): Promise<number> {
  const { maxUserSize } = await serverConfig.get()
  return Math.max(1, Math.min(maxUserSize, largest))
}
