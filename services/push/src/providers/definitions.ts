import { apns } from './apns.ts'
import { fcm } from './fcm.ts'
import type { ProviderDefinition } from './provider-definition.ts'

/** All vendors. Their settings are named in config.ts. */
export const definitions: readonly ProviderDefinition[] = [apns, fcm] as unknown as readonly ProviderDefinition[]
