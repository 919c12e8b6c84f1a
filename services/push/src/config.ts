import { type ConfigOf, peerUrl, setting } from '@im/service-kit'
import { broadcastSettings } from './broadcasts/settings.ts'
import { definitions, providerSettings } from './providers/definitions.ts'
import { configProblems } from './providers/provider-definition.ts'

/** Settings of the push service, also the source of docs/configuration.md. */
export const settings = {
  userUrl: peerUrl('user'),
  socialUrl: peerUrl('social'),
  roomUrl: peerUrl('room'),
  messageUrl: peerUrl('message'),
  pushDelay: setting.number({
    env: 'PUSH_DELAY',
    default: 1,
    minimum: 0,
    description: 'seconds from a message to its push; nobody gets one who comes online meanwhile',
  }),
  pushMentions: setting.choice(['own', 'all', 'none'], {
    env: 'PUSH_MENTIONS',
    default: 'own',
    description: 'which mentions push to members who muted the room: of themselves, those of all members too, or none',
  }),
  ...broadcastSettings,
  pushConcurrency: setting.int({
    env: 'PUSH_CONCURRENCY',
    default: 100,
    minimum: 1,
    maximum: 1000,
    description: 'calls to each push provider at the same time',
  }),
  pushWaiting: setting.int({
    env: 'PUSH_WAITING',
    default: 5000,
    minimum: 1,
    description: 'devices that may wait in memory for a call to their push provider; more are handed over again later',
  }),
  pushTimeoutMs: setting.int({
    env: 'PUSH_TIMEOUT_MS',
    default: 5000,
    minimum: 100,
    description: 'how long a push provider may take to answer',
  }),
  pushCa: setting.optionalText({
    env: 'PUSH_CA',
    description:
      'certificate (PEM) that is trusted beside those of the system, for a proxy on the way to the providers',
  }),
  ...providerSettings,
}

export type PushConfig = ConfigOf<typeof settings>

/** A provider is configured whole or not at all. */
export const checkConfig = (config: PushConfig): string[] =>
  definitions.flatMap((definition) => configProblems(definition, config))
