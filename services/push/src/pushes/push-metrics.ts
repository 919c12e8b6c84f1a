import { Counter, Histogram, type Registry } from '@im/service-kit'

export function createPushMetrics(registry: Registry) {
  const registers = [registry]
  return {
    delay: new Histogram({
      name: 'im_push_delay_seconds',
      help: 'From the arrival of a message to its hand-over to a provider, the deliberate wait included',
      buckets: [0.5, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 60, 600],
      registers,
    }),
    dropped: new Counter({
      name: 'im_pushes_dropped_total',
      help: 'Messages that nobody had to be told of: the receiver came online, wants no notifications, or it was recalled',
      registers,
    }),
  }
}

export type PushMetrics = ReturnType<typeof createPushMetrics>
