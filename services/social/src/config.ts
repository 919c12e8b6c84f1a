import { type ConfigOf, peerUrl, setting } from '@im/service-kit'

/** Settings of the social service, also the source of docs/configuration.md. */
export const settings = {
  userUrl: peerUrl('user'),
  messageUrl: peerUrl('message'),
  pushUrl: peerUrl('push'),
  apiProfile: setting.choice(['clients', 'spec'], {
    env: 'API_PROFILE',
    default: 'clients',
    description: 'spec: /friends/attention/add tells its outcome as resultCode, and /friends/page answers a bare list',
  }),
}

export type SocialConfig = ConfigOf<typeof settings>
