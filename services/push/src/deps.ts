import type { Runtime } from '@im/service-kit'
import { BadgesRepository } from './badges/badges-repository.ts'
import { Broadcasts } from './broadcasts/broadcasts.ts'
import type { PushConfig } from './config.ts'
import { createChannels } from './providers/channels.ts'
import type { Channels } from './providers/provider.ts'
import { TokensRepository } from './tokens/tokens-repository.ts'

/** What operations of this service may use. */
export interface Deps extends Runtime<PushConfig> {
  tokens: TokensRepository
  badges: BadgesRepository
  channels: Channels
  broadcasts: Broadcasts
}

/** Puts the service together. */
export function createDeps(runtime: Runtime<PushConfig>): Omit<Deps, keyof Runtime> {
  const { db } = runtime
  return {
    tokens: new TokensRepository(db),
    badges: new BadgesRepository(db),
    channels: createChannels(runtime),
    broadcasts: new Broadcasts(runtime),
  }
}
