import { type ConfigOf, peerUrl, setting } from '@im/service-kit'

/** Settings of the message service, also the source of docs/configuration.md. */
export const settings = {
  userUrl: peerUrl('user'),
  socialUrl: peerUrl('social'),
  roomUrl: peerUrl('room'),
  orgUrl: peerUrl('org'),
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
    pattern: '^xmpp://[^,]+:\\d+(,\\s*xmpp://[^,]+:\\d+)*$',
    description:
      'component ports of the XMPP servers, separated by commas; a name stands for all the servers that DNS gives it',
  }),
  xmppComponentSecret: setting.text({
    env: 'XMPP_COMPONENT_SECRET',
    default: 'development-component-secret',
    secret: true,
    production: 'own-secret',
    description: 'secret of the component connection',
  }),
  messageRole: setting.choice(['all', 'feed', 'http'], {
    env: 'MESSAGE_ROLE',
    default: 'all',
    description: 'feed: takes what XMPP servers hand on and serves no requests; http: the other way round',
  }),
  archiveBatch: setting.int({
    env: 'ARCHIVE_BATCH',
    default: 250,
    minimum: 1,
    maximum: 1000,
    description: 'most messages stored in one transaction; half the window of the tap keeps it flowing',
  }),
  streamGraceMs: setting.int({
    env: 'STREAM_GRACE_MS',
    default: 5000,
    minimum: 0,
    description: 'how long after a password change the streams of the user are closed; the devices are told before',
  }),
}

export type MessageConfig = ConfigOf<typeof settings>

/** The domain whose local parts are rooms (spec xmpp.md §7). */
export const roomsDomain = ({ xmppDomain }: Pick<MessageConfig, 'xmppDomain'>) => `muc.${xmppDomain}`

/** Name of our component on the XMPP server. */
export const componentName = ({ xmppComponentName, xmppDomain }: MessageConfig) =>
  xmppComponentName ?? `api.${xmppDomain}`
