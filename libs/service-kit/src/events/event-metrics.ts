import { Counter, Gauge, Histogram, type Registry } from '../metrics.ts'

export type EventMetrics = ReturnType<typeof eventMetrics>

export function eventMetrics(registry: Registry) {
  const registers = [registry]
  return {
    handled: new Counter({
      name: 'im_events_handled_total',
      help: 'Events handled, by outcome: done, repeated (known, so nothing was done), failed (tried again), dead (parked)',
      labelNames: ['event', 'outcome'],
      registers,
    }),
    delay: new Histogram({
      name: 'im_event_delay_seconds',
      help: 'From the announcement of an event to the end of its handling',
      labelNames: ['event'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30],
      registers,
    }),
    waiting: new Gauge({
      name: 'im_events_waiting',
      help: 'Events of a partition behind those that are being handled',
      labelNames: ['shard'],
      registers,
    }),
    lost: new Counter({
      name: 'im_events_lost_total',
      help: 'How often a partition could not be read on where reading had stopped, because the stream no longer had it',
      labelNames: ['shard'],
      registers,
    }),
  }
}
