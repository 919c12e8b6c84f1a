import { configChanged, internalConfig, type ServerConfig } from '@im/contracts/user'
import { createServiceClient, FollowedServers, FollowedValue, type Runtime, type ServiceClient } from '@im/service-kit'
import { MessagesRepository } from './archive/messages-repository.ts'
import { createPageCursors, type PageCursors } from './archive/page-cursors.ts'
import type { MessageConfig } from './config.ts'
import { Contacts } from './decide/contacts.ts'
import { KeywordFilter } from './decide/keyword-filter.ts'
import { type Relations, SocialRelations } from './decide/relations.ts'
import { Deliverer } from './deliver/deliverer.ts'
import { FarDeliveriesOverNats } from './deliver/far-deliveries.ts'
import { createRecentMessages, type RecentMessages } from './deliver/recent-messages.ts'
import { createFeedMetrics, type FeedMetrics } from './feed/feed-metrics.ts'
import { FeedWatchers } from './feed/feed-watchers.ts'
import { ParkedRepository } from './feed/parked-repository.ts'
import { Peers } from './feed/peers.ts'
import { Feeds } from './feed/share-servers.ts'
import { ChatsRepository } from './inbox/chats-repository.ts'
import { MailboxDrain } from './mailbox/drain.ts'
import { MailboxLimits } from './mailbox/mailbox-limits.ts'
import { MailboxRepository } from './mailbox/mailbox-repository.ts'
import { MailboxWriter } from './mailbox/mailbox-writer.ts'
import { PresencesRepository } from './presence/presence-repository.ts'
import { openSearchIndex, type SearchIndex } from './search/search-index.ts'
import { createSearchQueue, type SearchQueue } from './search/search-queue.ts'
import type { JoinedRoom } from './search/search-scope.ts'
import { StreamCloser } from './streams/close-revoked.ts'
import { RevocationsRepository } from './streams/revocations-repository.ts'
import { StreamTable } from './streams/stream-table.ts'
import { ToldStreams } from './streams/tell-streams.ts'

/** All that operations of this service work with. */
export interface Deps extends Runtime<MessageConfig> {
  messages: MessagesRepository
  chats: ChatsRepository
  presences: PresencesRepository
  parked: ParkedRepository
  mailbox: MailboxRepository
  mailboxLimits: MailboxLimits
  mailboxWriter: MailboxWriter
  mailboxDrain: MailboxDrain
  streams: StreamTable
  revocations: RevocationsRepository
  streamCloser: StreamCloser
  toldStreams: ToldStreams
  farDeliveries: FarDeliveriesOverNats
  deliverer: Deliverer
  peers: Peers
  /** The component ports of the XMPP servers. */
  xmppServers: FollowedServers
  feeds: Feeds
  recentMessages: RecentMessages
  cursors: PageCursors
  searchIndex: SearchIndex
  searchQueue: SearchQueue
  /** Rooms the user is in now. Rooms have no owner in the fleet yet, so nobody is in one. */
  roomsOf: (userId: number) => Promise<JoinedRoom[]>
  contacts: Contacts
  relations: Relations
  /** The same, as it is asked of the social service. */
  socialRelations: SocialRelations
  user: ServiceClient
  social: ServiceClient
  /** The configuration that the user service keeps. */
  serverConfig: FollowedValue<ServerConfig>
  keywordFilter: KeywordFilter
  feedMetrics: FeedMetrics
  feedWatchers: FeedWatchers
}

/** How long (ms) an answer about users is waited for: meanwhile their messages wait. */
const answerTimeout = 2000

/** The composition root. */
export function createDeps(runtime: Runtime<MessageConfig>): Omit<Deps, keyof Runtime> {
  const { config, db, redis, metrics, now, log, bus, replicas } = runtime
  const { serviceKeys } = config
  const user = createServiceClient({ baseUrl: config.userUrl, serviceKeys, timeoutMs: answerTimeout })
  const social = createServiceClient({ baseUrl: config.socialUrl, serviceKeys, timeoutMs: answerTimeout })
  const socialRelations = new SocialRelations(social, now)
  const messages = new MessagesRepository(db)
  const mailbox = new MailboxRepository(db, now)
  const mailboxLimits = new MailboxLimits(mailbox, now)
  const mailboxWriter = new MailboxWriter(mailbox, log)
  const streams = new StreamTable()
  const peers = new Peers({ bus, replicas, feeds: config.messageRole !== 'http' })
  const far = new FarDeliveriesOverNats({ bus, peers })
  const deliverer = new Deliverer({ streams, writer: mailboxWriter, limits: mailboxLimits, far, now })
  const feeds = new Feeds(peers)
  const revocations = new RevocationsRepository(db)
  const serverConfig = new FollowedValue({
    read: () => user.call(internalConfig.getServerConfig, {}),
    changed: configChanged,
    bus,
    log,
  })
  return {
    messages,
    chats: new ChatsRepository(db),
    presences: new PresencesRepository(db),
    parked: new ParkedRepository(db),
    mailbox,
    mailboxLimits,
    mailboxWriter,
    mailboxDrain: new MailboxDrain({ mailbox, messages, deliverer, streams, log }),
    streams,
    revocations,
    streamCloser: new StreamCloser({ revocations, streams, feeds, bus, log, now }),
    toldStreams: new ToldStreams({ bus, peers, streams }),
    farDeliveries: far,
    deliverer,
    peers,
    xmppServers: new FollowedServers({ urls: config.xmppComponentUrl, log }),
    feeds,
    recentMessages: createRecentMessages(),
    cursors: createPageCursors(redis),
    searchIndex: openSearchIndex(db),
    searchQueue: createSearchQueue(),
    roomsOf: async () => [],
    contacts: new Contacts(user, now),
    relations: socialRelations,
    socialRelations,
    user,
    social,
    serverConfig,
    keywordFilter: new KeywordFilter(serverConfig),
    feedMetrics: createFeedMetrics(metrics),
    feedWatchers: new FeedWatchers(),
  }
}
