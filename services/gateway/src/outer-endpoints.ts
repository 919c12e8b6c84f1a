import { endpoints, isInternalOnly } from '@im/contracts'
import type { PeerName } from './config.ts'

/** Endpoints that apps may call. */
export const outerEndpoints = endpoints.filter(({ auth }) => !isInternalOnly(auth))

/** The services that own one of them. */
export const outerServices = [...new Set(outerEndpoints.map(({ service }) => service))].filter(
  (service): service is PeerName => service !== 'gateway',
)
