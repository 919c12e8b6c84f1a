import { Counter, Gauge, Histogram, type Registry } from '@im/service-kit'

export function createFeedMetrics(registry: Registry) {
  const registers = [registry]
  return {
    connected: new Gauge({ name: 'im_xmpp_connected', help: 'XMPP servers this replica holds', registers }),
    queued: new Gauge({ name: 'im_feed_queued', help: 'Entries that are decided and not yet in a batch', registers }),
    waiting: new Gauge({ name: 'im_feed_waiting', help: 'Entries that wait for a fact, or behind one', registers }),
    open: new Gauge({
      name: 'im_feed_open',
      help: 'Entries that are not settled: a delivery is neither confirmed nor in a mailbox',
      labelNames: ['server'],
      registers,
    }),
    batchSize: new Histogram({
      name: 'im_archive_batch_size',
      help: 'Entries in one transaction',
      buckets: [1, 5, 10, 25, 50, 100, 250, 500],
      registers,
    }),
    latency: new Histogram({
      name: 'im_archive_seconds',
      help: 'From the arrival at the XMPP server to the receipt',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
      registers,
    }),
    stored: new Counter({ name: 'im_archive_messages_total', help: 'Messages stored', registers }),
    refused: new Counter({ name: 'im_refused_total', help: 'Messages refused', labelNames: ['condition'], registers }),
    parked: new Counter({
      name: 'im_feed_parked_total',
      help: 'Entries kept aside because we failed on them',
      registers,
    }),
    holes: new Counter({ name: 'im_feed_holes_total', help: 'Entries that were damaged on the disk', registers }),
    failures: new Counter({ name: 'im_archive_failures_total', help: 'Batches that had to be tried again', registers }),
    reconnects: new Counter({ name: 'im_xmpp_reconnects_total', help: 'Component connections that ended', registers }),
  }
}

export type FeedMetrics = ReturnType<typeof createFeedMetrics>
