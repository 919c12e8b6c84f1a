import { configChanged, type ServerConfig } from '@im/contracts/user'
import type { Deps } from '../deps.ts'

/** Stores the given values of the configuration and announces those that differ from before. */
export async function changeConfig(
  { serverConfig, outbox, now }: Pick<Deps, 'serverConfig' | 'outbox' | 'now'>,
  values: Partial<ServerConfig>,
): Promise<void> {
  await outbox.commit(async (change) => {
    const changed = await serverConfig.store(values, change)
    if (changed.length) change.announce(configChanged, 'config', { changed, at: now() })
  })
  serverConfig.forget()
}
