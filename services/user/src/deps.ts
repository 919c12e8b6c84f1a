import { randomBytes } from 'node:crypto'
import type { Logger, Runtime } from '@im/service-kit'
import { ConfigRepository } from './config/config-repository.ts'
import type { UserConfig } from './config.ts'
import { LoginLimits } from './limits/login-limits.ts'
import { PasswordHasher } from './passwords/password-hasher.ts'
import { RefreshTokensRepository } from './sessions/refresh-tokens-repository.ts'
import { SessionCache } from './sessions/session-cache.ts'
import { SessionsRepository } from './sessions/sessions-repository.ts'
import { ImageCodes } from './sms/image-codes.ts'
import { SmsCodes } from './sms/sms-codes.ts'
import { consoleSmsProvider, httpSmsProvider, type SmsProvider } from './sms/sms-provider.ts'
import { UsersRepository } from './users/users-repository.ts'
import { ProvenPasswords } from './xmpp-auth/proven-passwords.ts'

/** What operations of this service may use. */
export interface Deps extends Runtime<UserConfig> {
  /** Settings that depend on others when they are `auto`. */
  smsOptions: { smsEchoCode: boolean; smsImageCode: boolean }
  serverConfig: ConfigRepository
  users: UsersRepository
  sessions: SessionsRepository
  sessionCache: SessionCache
  refreshTokens: RefreshTokensRepository
  loginLimits: LoginLimits
  hasher: PasswordHasher
  provenPasswords: ProvenPasswords
  smsCodes: SmsCodes
  imageCodes: ImageCodes
  smsProvider: SmsProvider
  /** 64 random bits as hex. Tests replace it. */
  newInviteCode: () => string
}

/** Puts the service together. */
export async function createDeps(runtime: Runtime<UserConfig>): Promise<Omit<Deps, keyof Runtime>> {
  const { config, db, redis, rateCounters, log } = runtime
  return {
    smsOptions: smsOptionsOf(config),
    serverConfig: new ConfigRepository(db, config),
    users: new UsersRepository(db),
    sessions: new SessionsRepository(db),
    sessionCache: new SessionCache(redis, log),
    refreshTokens: new RefreshTokensRepository(db),
    loginLimits: new LoginLimits(rateCounters, 2 * config.hashConcurrency),
    hasher: await PasswordHasher.create(config),
    provenPasswords: new ProvenPasswords(),
    smsCodes: new SmsCodes(redis, rateCounters, config.pepper),
    imageCodes: new ImageCodes(redis, rateCounters),
    smsProvider: smsProviderOf(config, log),
    newInviteCode: () => randomBytes(8).toString('hex'),
  }
}

function smsOptionsOf({ smsProvider, smsEchoCode, smsImageCode }: UserConfig): Deps['smsOptions'] {
  const decide = (choice: string, automatic: boolean) => (choice === 'auto' ? automatic : choice === 'true')
  return {
    smsEchoCode: decide(smsEchoCode, smsProvider === 'console'),
    smsImageCode: decide(smsImageCode, smsProvider !== 'console'),
  }
}

function smsProviderOf({ smsProvider, smsHttpUrl, smsHttpKey }: UserConfig, log: Logger): SmsProvider {
  if (smsProvider === 'console') return consoleSmsProvider(log)
  return httpSmsProvider({ url: smsHttpUrl ?? '', key: smsHttpKey })
}
