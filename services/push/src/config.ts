import type { ConfigOf } from '@im/service-kit'

/** Settings of the push service, also the source of docs/configuration.md. */
export const settings = {}

export type PushConfig = ConfigOf<typeof settings>
