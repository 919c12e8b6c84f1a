import { configChanged, type ServerConfig } from '@im/contracts/user'
import type { Deps } from '../deps.ts'

/** Stores the given values of the configuration and announces those that differ from before. Returns what they were. */
export async function changeConfig(
  { serverConfig, outbox, now }: Pick<Deps, 'serverConfig' | 'outbox' | 'now'>,
  values: Partial<ServerConfig>,
): Promise<Partial<ServerConfig>> {
  const before = await outbox.commit(async (change) => {
    const replaced = await serverConfig.store(values, change)
    const changed = Object.keys(replaced)
    if (changed.length) change.announce(configChanged, 'config', { changed, at: now() })
    return replaced
  })
  serverConfig.forget()
  return before
}
