import { accounts } from './account.ts'
import { archive, ciphers, presence, xmppChecks } from './archive.ts'
import { clientConfig } from './config.ts'
import type { Contract, Endpoint } from './contract.ts'
import type { EventType } from './events.ts'
import { clock } from './gateway.ts'
import { internalSessions, internalUsers, xmppAccounts } from './internal-users.ts'
import { messageEvents } from './message-events.ts'
import { oauth } from './oauth.ts'
import { passwords } from './passwords.ts'
import { profiles } from './profile.ts'
import { search } from './search.ts'
import { userSettings } from './settings.ts'
import { smsCodes } from './sms.ts'
import { userEvents } from './user-events.ts'

export * from './account.ts'
export * from './archive.ts'
export * from './config.ts'
export * from './contract.ts'
export * from './errors.ts'
export * from './events.ts'
export * from './gateway.ts'
export * from './internal-users.ts'
export * from './message-entity.ts'
export * from './message-events.ts'
export * from './message-types.ts'
export * from './oauth.ts'
export * from './openapi.ts'
export * from './param-types.ts'
export * from './passwords.ts'
export * from './profile.ts'
export * from './result-types.ts'
export * from './search.ts'
export * from './settings.ts'
export * from './sms.ts'
export * from './user-entity.ts'
export * from './user-events.ts'

/** Every contract of the fleet. One line each: what is not here is not served. */
export const contracts: readonly Contract[] = [
  clock,
  clientConfig,
  smsCodes,
  accounts,
  profiles,
  userSettings,
  passwords,
  oauth,
  xmppAccounts,
  internalSessions,
  internalUsers,
  archive,
  search,
  ciphers,
  presence,
  xmppChecks,
]

export const endpoints: readonly Endpoint[] = contracts.flatMap((contract) => Object.values(contract))

export const events: readonly EventType[] = [...userEvents, ...messageEvents]
