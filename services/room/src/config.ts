import { type ConfigOf, peerUrl } from '@im/service-kit'

/** Settings of the room service, also the source of docs/configuration.md. */
export const settings = {
  userUrl: peerUrl('user'),
  socialUrl: peerUrl('social'),
  messageUrl: peerUrl('message'),
}

export type RoomConfig = ConfigOf<typeof settings>
