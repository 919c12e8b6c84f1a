import { type ConfigOf, peerUrl } from '@im/service-kit'

/** Settings of the org service, also the source of docs/configuration.md. */
export const settings = { userUrl: peerUrl('user') }

export type OrgConfig = ConfigOf<typeof settings>
