import { randomBytes } from 'node:crypto'
import {
  createServiceClient,
  ErasedUsers,
  type GatheredQuestions,
  type Logger,
  type Runtime,
  type ServiceClient,
} from '@im/service-kit'
import { CollectedRepository } from './collections/collected-repository.ts'
import { type Employment, gatherEmployments } from './companies/companies.ts'
import { ConfigRepository } from './config/config-repository.ts'
import type { UserConfig } from './config.ts'
import { CoursesRepository } from './courses/courses-repository.ts'
import { KeysRepository } from './keys/keys-repository.ts'
import { LoginLimits } from './limits/login-limits.ts'
import { OwnChangesRepository } from './own-changes/own-changes-repository.ts'
import { PasswordHasher } from './passwords/password-hasher.ts'
import { createPayments, type Payments } from './payments/payments.ts'
import { UserCountsRepository } from './presence/user-counts-repository.ts'
import { type Counts, gatherCounts } from './relations/relations.ts'
import { BlockedLinksRepository } from './reports/blocked-links-repository.ts'
import { ReportsRepository } from './reports/reports-repository.ts'
import { LoginsRepository } from './sessions/logins-repository.ts'
import { PageSessionsRepository } from './sessions/page-sessions-repository.ts'
import { SessionCache } from './sessions/session-cache.ts'
import { SessionsRepository } from './sessions/sessions-repository.ts'
import { aliyunSmsProvider } from './sms/aliyun-sms.ts'
import { ImageCodes } from './sms/image-codes.ts'
import { SmsCodes } from './sms/sms-codes.ts'
import { consoleSmsProvider, httpSmsProvider, noSmsProvider, type SmsProvider } from './sms/sms-provider.ts'
import { tencentSmsProvider } from './sms/tencent-sms.ts'
import { UsersRepository } from './users/users-repository.ts'
import { Ledger } from './wallet/ledger.ts'
import { OpenidsRepository } from './wallet/openids-repository.ts'
import { RechargesRepository } from './wallet/recharges-repository.ts'
import { SpentSecretsRepository } from './wallet/spent-secrets-repository.ts'
import { WithdrawalsRepository } from './wallet/withdrawals-repository.ts'
import { WithdrawersRepository } from './wallet/withdrawers-repository.ts'
import { ProvenPasswords } from './xmpp-auth/proven-passwords.ts'

/** What operations of this service may use. */
export interface Deps extends Runtime<UserConfig> {
  /** Settings that depend on others when they are `auto`. */
  smsOptions: { smsEchoCode: boolean; smsImageCode: boolean }
  serverConfig: ConfigRepository
  users: UsersRepository
  sessions: SessionsRepository
  logins: LoginsRepository
  pageSessions: PageSessionsRepository
  sessionCache: SessionCache
  loginLimits: LoginLimits
  hasher: PasswordHasher
  provenPasswords: ProvenPasswords
  smsCodes: SmsCodes
  imageCodes: ImageCodes
  smsProvider: SmsProvider
  keys: KeysRepository
  collected: CollectedRepository
  courses: CoursesRepository
  ownChanges: OwnChangesRepository
  erasedUsers: ErasedUsers
  reports: ReportsRepository
  blockedLinks: BlockedLinksRepository
  userCounts: UserCountsRepository
  payments: Payments
  ledger: Ledger
  recharges: RechargesRepository
  withdrawals: WithdrawalsRepository
  withdrawers: WithdrawersRepository
  spentSecrets: SpentSecretsRepository
  openids: OpenidsRepository
  social: ServiceClient
  org: ServiceClient
  room: ServiceClient
  message: ServiceClient
  push: ServiceClient
  /** Of the social service. */
  relationCounts: GatheredQuestions<number, Counts>
  /** Of the org service. */
  employments: GatheredQuestions<number, readonly Employment[]>
  /** 64 random bits as hex. Tests replace it. */
  newInviteCode: () => string
}

/** How long (ms) another service may take to answer. */
const peerTimeoutMs = 3000

/** Puts the service together. */
export async function createDeps(runtime: Runtime<UserConfig>): Promise<Omit<Deps, keyof Runtime>> {
  const { config, db, redis, rateCounters, log, now } = runtime
  const peer = (baseUrl: string) =>
    createServiceClient({ baseUrl, serviceKeys: config.serviceKeys, timeoutMs: peerTimeoutMs })
  const [social, org] = [peer(config.socialUrl), peer(config.orgUrl)]
  return {
    smsOptions: smsOptionsOf(config),
    serverConfig: new ConfigRepository(db, config),
    users: new UsersRepository(db),
    sessions: new SessionsRepository(db),
    logins: new LoginsRepository(db),
    pageSessions: new PageSessionsRepository(db),
    sessionCache: new SessionCache(redis, log),
    loginLimits: new LoginLimits(rateCounters, 2 * config.hashConcurrency),
    hasher: await PasswordHasher.create(config),
    provenPasswords: new ProvenPasswords(),
    smsCodes: new SmsCodes(redis, rateCounters, config.pepper),
    imageCodes: new ImageCodes(redis, rateCounters),
    smsProvider: smsProviderOf(config, log),
    keys: new KeysRepository(db),
    collected: new CollectedRepository(db),
    courses: new CoursesRepository(db),
    ownChanges: new OwnChangesRepository(db),
    erasedUsers: new ErasedUsers(db, now),
    reports: new ReportsRepository(db),
    blockedLinks: new BlockedLinksRepository(db),
    userCounts: new UserCountsRepository(db),
    payments: createPayments(config, now),
    ledger: new Ledger(db),
    recharges: new RechargesRepository(db),
    withdrawals: new WithdrawalsRepository(db),
    withdrawers: new WithdrawersRepository(db),
    spentSecrets: new SpentSecretsRepository(db),
    openids: new OpenidsRepository(db),
    social,
    org,
    relationCounts: gatherCounts(social),
    employments: gatherEmployments(org),
    room: peer(config.roomUrl),
    message: peer(config.messageUrl),
    push: peer(config.pushUrl),
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

function smsProviderOf(config: UserConfig, log: Logger): SmsProvider {
  const { smsProvider, smsHttpUrl, smsHttpKey } = config
  if (smsProvider === 'console') return consoleSmsProvider(log)
  if (smsProvider === 'none') return noSmsProvider
  if (smsProvider === 'http') return httpSmsProvider({ url: smsHttpUrl ?? '', key: smsHttpKey })
  const { smsKeyId: id = '', smsKeySecret: secret = '', smsSignName: signName = '', smsTemplate = '' } = config
  const templateOf = (language: 'zh' | 'en') => (language === 'en' && config.smsTemplateEn) || smsTemplate
  const { smsAppId: appId = '', smsRegion: region, smsUrl: url } = config
  const settings = { key: { id, secret }, signName, templateOf, appId, region, url }
  return smsProvider === 'aliyun' ? aliyunSmsProvider(settings) : tencentSmsProvider(settings)
}
