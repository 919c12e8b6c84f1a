import type { Runtime } from '@im/service-kit'
import { BadgesRepository } from './badges/badges-repository.ts'
import type { PushConfig } from './config.ts'
import { TokensRepository } from './tokens/tokens-repository.ts'

/** What operations of this service may use. */
export interface Deps extends Runtime<PushConfig> {
  tokens: TokensRepository
  badges: BadgesRepository
}

/** Puts the service together. */
export function createDeps({ db }: Runtime<PushConfig>): Omit<Deps, keyof Runtime> {
  return { tokens: new TokensRepository(db), badges: new BadgesRepository(db) }
}
