import { setting } from '@im/service-kit'

export const broadcastSettings = {
  broadcastPace: setting.int({
    env: 'BROADCAST_PACE',
    default: 1000,
    minimum: 1,
    maximum: 100_000,
    description: 'receivers of broadcasts in a second, of all broadcasts together',
  }),
}
