import { Counter, Gauge, Histogram, type Registry } from '@im/service-kit'

export function createTapMetrics(registry: Registry) {
  const registers = [registry]
  return {
    connected: new Gauge({
      name: 'im_xmpp_connected',
      help: '1 while this replica holds the component connection',
      registers,
    }),
    queued: new Gauge({ name: 'im_tap_queued', help: 'Entries received and not yet in a batch', registers }),
    backlog: new Gauge({
      name: 'im_tap_backlog',
      help: 'Entries the XMPP server holds unacknowledged, as far as known',
      registers,
    }),
    lag: new Gauge({ name: 'im_tap_lag_seconds', help: 'Age of the oldest entry that is not archived', registers }),
    batchSize: new Histogram({
      name: 'im_archive_batch_size',
      help: 'Entries in one transaction',
      buckets: [1, 5, 10, 25, 50, 100, 250, 500],
      registers,
    }),
    latency: new Histogram({
      name: 'im_archive_seconds',
      help: 'From the arrival at the XMPP server to the acknowledgement',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
      registers,
    }),
    stored: new Counter({ name: 'im_archive_messages_total', help: 'Messages stored', registers }),
    receipts: new Counter({ name: 'im_archive_receipts_total', help: 'Receipts sent to senders', registers }),
    poison: new Counter({ name: 'im_tap_poison_total', help: 'Entries that could not be read or stored', registers }),
    failures: new Counter({ name: 'im_archive_failures_total', help: 'Batches that had to be tried again', registers }),
    reconnects: new Counter({ name: 'im_xmpp_reconnects_total', help: 'Component connections that ended', registers }),
  }
}

export type TapMetrics = ReturnType<typeof createTapMetrics>
