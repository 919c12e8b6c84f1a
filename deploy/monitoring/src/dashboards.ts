import type { Dashboard, Panel } from './dashboard.ts'
import { hourlyBy, ourFault, quantileBy, rateBy, xmpp } from './promql.ts'

const quantiles = (histogram: string, labels = '', matchers = '') =>
  [0.5, 0.99].map((quantile) => ({
    expr: quantileBy(quantile, labels, histogram, matchers),
    as: `p${quantile * 100}${labels ? ` {{${labels}}}` : ''}`,
  }))

const eventLoop: Panel = {
  title: 'Delay of the event loop, p99',
  description: 'Above 0.1 s a process has more to do than one core can: add replicas.',
  unit: 's',
  queries: [{ expr: 'nodejs_eventloop_lag_p99_seconds', as: '{{instance}}' }],
}

const overview: Dashboard = {
  id: 'overview',
  title: 'Overview',
  rows: [
    {
      title: 'Now',
      panels: [
        {
          title: 'Clients connected',
          description: 'Streams of all XMPP servers.',
          unit: 'short',
          stat: true,
          queries: [{ expr: `sum(${xmpp('streams')})`, as: '' }],
        },
        {
          title: 'Messages stored',
          description: 'Per second.',
          unit: 'ops',
          stat: true,
          queries: [{ expr: 'sum(rate(im_archive_messages_total[$__rate_interval]))', as: '' }],
        },
        {
          title: 'Calls',
          description: 'Per second, as services answered them.',
          unit: 'reqps',
          stat: true,
          queries: [{ expr: 'sum(rate(im_request_seconds_count[$__rate_interval]))', as: '' }],
        },
        {
          title: 'Calls that failed',
          description: 'Share of calls that failed through our fault.',
          unit: 'percentunit',
          stat: true,
          queries: [
            {
              expr: `(sum(rate(im_request_seconds_count${ourFault}[$__rate_interval])) or vector(0)) / sum(rate(im_request_seconds_count[$__rate_interval]))`,
              as: '',
            },
          ],
        },
        {
          title: 'Receipt, p99',
          description: 'From the arrival of a message to its receipt.',
          unit: 's',
          stat: true,
          queries: [{ expr: quantileBy(0.99, '', 'im_archive_seconds'), as: '' }],
        },
        {
          title: 'Events behind',
          description: 'Events that are published and not handled.',
          unit: 'short',
          stat: true,
          queries: [{ expr: 'sum(im_events_waiting)', as: '' }],
        },
      ],
    },
    {
      title: 'Services',
      panels: [
        {
          title: 'Calls by service',
          description: 'Per second.',
          unit: 'reqps',
          queries: [{ expr: rateBy('service', 'im_request_seconds_count'), as: '{{service}}' }],
        },
        {
          title: 'Calls that failed, by service',
          description: 'InternalError and ServiceUnavailable. The log has a line for each, with its request id.',
          unit: 'reqps',
          queries: [
            { expr: rateBy('service, outcome', `im_request_seconds_count${ourFault}`), as: '{{service}} {{outcome}}' },
          ],
        },
        {
          title: 'Time to answer, p99',
          description: 'By service.',
          unit: 's',
          queries: [{ expr: quantileBy(0.99, 'service', 'im_request_seconds'), as: '{{service}}' }],
        },
        {
          title: 'CPU',
          description: 'Cores that each process uses; 1 is all that its event loop can use.',
          unit: 'short',
          queries: [{ expr: 'rate(process_cpu_seconds_total[$__rate_interval])', as: '{{instance}}' }],
        },
        {
          title: 'Memory',
          description: 'Resident. The limit of a pod is 512 MiB.',
          unit: 'bytes',
          queries: [{ expr: 'process_resident_memory_bytes', as: '{{instance}}' }],
        },
        eventLoop,
      ],
    },
    {
      title: 'Push',
      panels: [
        {
          title: 'Notifications',
          description: 'Per second, by provider and outcome.',
          unit: 'ops',
          queries: [{ expr: rateBy('provider, outcome', 'im_push_sent_total'), as: '{{provider}} {{outcome}}' }],
        },
        {
          title: 'Calls to providers',
          description: 'Time until a provider answers.',
          unit: 's',
          queries: quantiles('im_push_call_seconds', 'provider'),
        },
        {
          title: 'From a message to its notification',
          description: 'Until it is handed to a provider, the deliberate wait included.',
          unit: 's',
          queries: quantiles('im_push_delay_seconds'),
        },
        {
          title: 'Devices that wait for a provider',
          description: 'Grows when a provider is slow or away.',
          unit: 'short',
          queries: [{ expr: 'sum by (provider) (im_push_waiting)', as: '{{provider}}' }],
        },
        {
          title: 'Providers that refuse us',
          description: '1: our credentials are refused, and nothing is sent until they are right.',
          unit: 'short',
          queries: [{ expr: 'max by (provider) (im_push_circuit_open)', as: '{{provider}}' }],
        },
      ],
    },
  ],
}

const gateway: Dashboard = {
  id: 'gateway',
  title: 'Gateway',
  rows: [
    {
      title: 'Calls',
      panels: [
        {
          title: 'Calls by service',
          description: 'Forwarded, per second.',
          unit: 'reqps',
          queries: [{ expr: rateBy('service', 'im_gateway_answer_seconds_count'), as: '{{service}}' }],
        },
        {
          title: 'Time of an answer',
          description: 'From a call to the end of the answer of its service, without the way to the app.',
          unit: 's',
          queries: quantiles('im_gateway_answer_seconds', 'service'),
        },
        {
          title: 'Calls that reached no service',
          description: 'By error. Token errors are everyday life; ServiceUnavailable is a service that is away.',
          unit: 'reqps',
          queries: [{ expr: rateBy('error', 'im_gateway_refused_total'), as: '{{error}}' }],
        },
        {
          title: 'Connections closed at once',
          description: 'all: the gateway is full; address: one client opens too many.',
          unit: 'ops',
          queries: [{ expr: rateBy('of', 'im_gateway_refused_connections_total'), as: '{{of}}' }],
        },
      ],
    },
    {
      title: 'Endpoints',
      panels: [
        {
          title: 'Busiest endpoints',
          description: 'Ten, per second.',
          unit: 'reqps',
          queries: [{ expr: `topk(10, ${rateBy('path', 'im_request_seconds_count')})`, as: '{{path}}' }],
        },
        {
          title: 'Slowest endpoints, p99',
          description: 'Ten.',
          unit: 's',
          queries: [{ expr: `topk(10, ${quantileBy(0.99, 'path', 'im_request_seconds')})`, as: '{{path}}' }],
        },
        {
          title: 'Outcomes',
          description: 'What calls were answered with.',
          unit: 'reqps',
          queries: [{ expr: rateBy('outcome', 'im_request_seconds_count'), as: '{{outcome}}' }],
        },
        {
          title: 'Limits reached',
          description: 'Refusals by limit: a client that does too much, or a limit that is too small.',
          unit: 'ops',
          queries: [{ expr: rateBy('limit', 'im_limited_total'), as: '{{limit}}' }],
        },
        eventLoop,
      ],
    },
  ],
}

const messages: Dashboard = {
  id: 'messages',
  title: 'Messages',
  rows: [
    {
      title: 'From the XMPP servers to the archive',
      panels: [
        {
          title: 'Messages',
          description: 'Stored and refused, per second.',
          unit: 'ops',
          queries: [
            { expr: 'sum(rate(im_archive_messages_total[$__rate_interval]))', as: 'stored' },
            { expr: rateBy('condition', 'im_refused_total'), as: 'refused: {{condition}}' },
          ],
        },
        {
          title: 'From the arrival to the receipt',
          description: 'What people feel. 0.1 s is usual under load.',
          unit: 's',
          queries: quantiles('im_archive_seconds'),
        },
        {
          title: 'Messages in one transaction',
          description: 'Grows with the load: large batches are cheap ones.',
          unit: 'short',
          queries: quantiles('im_archive_batch_size'),
        },
        {
          title: 'Batches tried again',
          description: 'The database was away, or a transaction met another.',
          unit: 'ops',
          queries: [{ expr: 'sum(rate(im_archive_failures_total[$__rate_interval]))', as: 'failures' }],
        },
        {
          title: 'Under way',
          description: 'Entries that wait for a fact of another service, for a batch, or for confirmations of devices.',
          unit: 'short',
          queries: [
            { expr: 'sum(im_feed_waiting)', as: 'for a fact' },
            { expr: 'sum(im_feed_queued)', as: 'for a batch' },
            { expr: 'sum by (server) (im_feed_open)', as: 'not settled, {{server}}' },
          ],
        },
        {
          title: 'Set aside',
          description: 'Must be 0: entries we failed on, and entries damaged on a disk.',
          unit: 'short',
          queries: [
            { expr: 'sum(increase(im_feed_parked_total[1h]))', as: 'parked in an hour' },
            { expr: 'sum(increase(im_feed_holes_total[1h]))', as: 'damaged in an hour' },
          ],
        },
        {
          title: 'XMPP servers by replica',
          description: 'Which replica holds how many. Together as many as there are servers.',
          unit: 'short',
          queries: [{ expr: 'im_xmpp_connected', as: '{{instance}}' }],
        },
        {
          title: 'Connections to XMPP servers that ended',
          description: 'Per second.',
          unit: 'ops',
          queries: [{ expr: 'sum(rate(im_xmpp_reconnects_total[$__rate_interval]))', as: 'ended' }],
        },
      ],
    },
    {
      title: 'Search',
      panels: [
        {
          title: 'Behind the archive',
          description:
            'Age of the oldest message that is not in the index. It is found all the same, only more slowly.',
          unit: 's',
          queries: [{ expr: 'max(im_search_lag_seconds)', as: 'lag' }],
        },
        {
          title: 'Batches that are not indexed',
          description: 'Each search reads all of them.',
          unit: 'short',
          queries: [
            { expr: 'max(im_search_backlog_batches)', as: 'batches' },
            { expr: 'sum(increase(im_search_stuck_steps_total[1h]))', as: 'stuck steps in an hour' },
          ],
        },
      ],
    },
  ],
}

const servers: Dashboard = {
  id: 'xmpp',
  title: 'XMPP servers',
  rows: [
    {
      title: 'Clients',
      panels: [
        {
          title: 'Streams',
          description: 'By server. 10,000 take 1 GB; add a server beyond 15,000.',
          unit: 'short',
          queries: [{ expr: xmpp('streams'), as: '{{instance}}' }],
        },
        {
          title: 'Streams without a connection',
          description: 'They may be resumed for a minute. Many at once: a network went away.',
          unit: 'short',
          queries: [{ expr: xmpp('streams_waiting'), as: '{{instance}}' }],
        },
        {
          title: 'Message service connected',
          description: '0: nothing is stored or delivered by this server.',
          unit: 'short',
          queries: [{ expr: xmpp('component_connected'), as: '{{instance}}' }],
        },
      ],
    },
    {
      title: 'Log',
      panels: [
        {
          title: 'Not stored yet',
          description:
            'Entries on the disk that the message service has not stored. Grows while it is away or too slow.',
          unit: 'short',
          queries: [{ expr: xmpp('log_unstored_entries'), as: '{{instance}}' }],
        },
        {
          title: 'Not released yet',
          description: 'Stored entries whose deliveries are neither confirmed nor in a mailbox count, too.',
          unit: 'short',
          queries: [{ expr: xmpp('log_unreleased_entries'), as: '{{instance}}' }],
        },
        {
          title: 'Not sent yet, and on the way to the disk',
          description: 'Beyond the window of the message service, and before the sync.',
          unit: 'short',
          queries: [
            { expr: xmpp('log_unsent_entries'), as: 'not sent, {{instance}}' },
            { expr: xmpp('log_gathering_entries'), as: 'to the disk, {{instance}}' },
          ],
        },
        {
          title: 'Size',
          description: 'At XMPP_LOG_MAX_BYTES (4 GiB) new messages are refused.',
          unit: 'bytes',
          queries: [{ expr: xmpp('log_bytes'), as: '{{instance}}' }],
        },
        {
          title: 'Faults of the disk',
          description: 'Must be 0: groups that could not be written, and damaged entries.',
          unit: 'short',
          queries: [
            { expr: `increase(${xmpp('log_refused_groups_total')}[1h])`, as: 'not written in an hour, {{instance}}' },
            { expr: `increase(${xmpp('log_holes_total')}[1h])`, as: 'damaged in an hour, {{instance}}' },
          ],
        },
      ],
    },
  ],
}

const events: Dashboard = {
  id: 'events',
  title: 'Events',
  rows: [
    {
      title: 'Published',
      panels: [
        {
          title: 'Outbox',
          description: 'Events that are committed and not published. Grows while NATS is away.',
          unit: 'short',
          queries: [{ expr: 'max by (service) (im_outbox_rows)', as: '{{service}}' }],
        },
        {
          title: 'Set aside',
          description: 'Events that NATS refused; they are in outbox_parked.',
          unit: 'short',
          queries: [{ expr: hourlyBy('service, event', 'im_outbox_parked_total'), as: '{{service}} {{event}}' }],
        },
      ],
    },
    {
      title: 'Handled',
      panels: [
        {
          title: 'Events handled',
          description: 'Per second, by outcome.',
          unit: 'ops',
          queries: [{ expr: rateBy('service, outcome', 'im_events_handled_total'), as: '{{service}} {{outcome}}' }],
        },
        {
          title: 'Events behind',
          description: 'By service.',
          unit: 'short',
          queries: [{ expr: 'sum by (service) (im_events_waiting)', as: '{{service}}' }],
        },
        {
          title: 'From the announcement to the end of the handling',
          description: 'By service.',
          unit: 's',
          queries: quantiles('im_event_delay_seconds', 'service'),
        },
        {
          title: 'By event',
          description: 'Ten busiest, per second.',
          unit: 'ops',
          queries: [{ expr: `topk(10, ${rateBy('event', 'im_events_handled_total')})`, as: '{{event}}' }],
        },
        {
          title: 'Dead and lost',
          description:
            'Must be 0: events that failed five times, and places in a stream that were gone when they were to be read.',
          unit: 'short',
          queries: [
            {
              expr: hourlyBy('service, event', 'im_events_handled_total', '{outcome="dead"}'),
              as: 'dead: {{service}} {{event}}',
            },
            { expr: hourlyBy('service', 'im_events_lost_total'), as: 'lost: {{service}}' },
          ],
        },
      ],
    },
  ],
}

const stores: Dashboard = {
  id: 'stores',
  title: 'Stores',
  rows: [
    {
      title: 'As the services see them; how the stores are is told by their own exporters',
      panels: [
        {
          title: 'Waiting for MongoDB',
          description: 'Operations that wait for a connection. Beyond a hundred calls are refused.',
          unit: 'short',
          queries: [{ expr: 'sum by (service) (im_mongodb_waiting)', as: '{{service}}' }],
        },
        {
          title: 'Done without Redis',
          description: 'Per second. Not 0: Redis is away, limits are counted by each process alone.',
          unit: 'ops',
          queries: [{ expr: rateBy('service', 'im_without_redis_total'), as: '{{service}}' }],
        },
        {
          title: 'Calls that ended with ServiceUnavailable',
          description: 'A store or another service was away.',
          unit: 'reqps',
          queries: [
            { expr: rateBy('service', 'im_request_seconds_count{outcome="ServiceUnavailable"}'), as: '{{service}}' },
          ],
        },
        {
          title: 'Outbox',
          description: 'Grows while NATS is away.',
          unit: 'short',
          queries: [{ expr: 'max by (service) (im_outbox_rows)', as: '{{service}}' }],
        },
        {
          title: 'Batches of messages tried again',
          description: 'MongoDB was away or had another primary.',
          unit: 'ops',
          queries: [{ expr: 'sum(rate(im_archive_failures_total[$__rate_interval]))', as: 'failures' }],
        },
        {
          title: 'Log of the XMPP servers',
          description: 'Messages that wait for MongoDB wait here.',
          unit: 'short',
          queries: [{ expr: xmpp('log_unstored_entries'), as: '{{instance}}' }],
        },
      ],
    },
  ],
}

export const dashboards: readonly Dashboard[] = [overview, gateway, messages, servers, events, stores]
