import {
  commonSettings,
  loadConfig,
  mongoSettings,
  natsSettings,
  redisSettings,
  refuseUnsafe,
  setting,
} from '@im/service-kit'
import { type Static, Type } from 'typebox'

/** Settings of the message service, also the source of docs/configuration.md. */
export const messageSettingsSchema = Type.Object({
  ...commonSettings,
  ...mongoSettings,
  ...redisSettings,
  ...natsSettings,
  port: setting.int({ env: 'PORT', default: 8105, minimum: 0, maximum: 65535, description: 'port to listen on' }),
  userUrl: setting.url({
    env: 'USER_URL',
    default: 'http://127.0.0.1:8101',
    description: 'address of the user service',
  }),
  xmppDomain: setting.text({
    env: 'XMPP_DOMAIN',
    default: 'im.localhost',
    production: 'required',
    description: 'domain of the XMPP addresses',
  }),
  xmppComponentName: setting.optionalText({
    env: 'XMPP_COMPONENT',
    description: 'name of our component (default `api.` and the domain)',
  }),
  xmppComponentUrl: setting.text({
    env: 'XMPP_COMPONENT_URL',
    default: 'xmpp://127.0.0.1:5347',
    pattern: '^xmpp://',
    description: 'component port of the XMPP server',
  }),
  xmppComponentSecret: setting.text({
    env: 'XMPP_COMPONENT_SECRET',
    default: 'development-component-secret',
    secret: true,
    production: 'own-secret',
    description: 'secret of the component connection',
  }),
  archiveBatch: setting.int({
    env: 'ARCHIVE_BATCH',
    default: 250,
    minimum: 1,
    maximum: 1000,
    description: 'most messages stored in one transaction; half the window of the tap keeps it flowing',
  }),
  recallLimitSeconds: setting.int({
    env: 'RECALL_LIMIT_SECONDS',
    default: 0,
    minimum: 0,
    description: 'how long after its arrival a message can be recalled; 0 always',
  }),
  streamGraceMs: setting.int({
    env: 'STREAM_GRACE_MS',
    default: 5000,
    minimum: 0,
    description: 'how long after a password change the streams of the user are closed',
  }),
})

export type MessageConfig = Static<typeof messageSettingsSchema> & { xmppComponent: string }

export function readConfig(env: NodeJS.ProcessEnv): MessageConfig {
  const config = loadConfig(messageSettingsSchema, env)
  refuseUnsafe(config)
  return { ...config, xmppComponent: config.xmppComponentName ?? `api.${config.xmppDomain}` }
}
