import { configChanged, internalConfig, type ServerConfig } from '@im/contracts/user'
import {
  createServiceClient,
  FollowedServers,
  FollowedValue,
  type Runtime,
  type ServiceClient,
  steadyClock,
} from '@im/service-kit'
import { Resenders } from './archive/copy-order.ts'
import { createPageCursors, type PageCursors } from './archive/page-cursors.ts'
import type { MessageConfig } from './config.ts'
import { Colleagues } from './decide/colleagues.ts'
import { Contacts } from './decide/contacts.ts'
import { KeywordFilter } from './decide/keyword-filter.ts'
import { type Relations, SocialRelations } from './decide/relations.ts'
import { ChatFirst } from './deliver/chat-first.ts'
import { Deliverer } from './deliver/deliverer.ts'
import { FarDeliveriesOverNats } from './deliver/far-deliveries.ts'
import { LateStreams } from './deliver/late-streams.ts'
import { MailboxDrain } from './deliver/mailbox-drain.ts'
import { createRecentMessages, type RecentMessages } from './deliver/recent-messages.ts'
import { createFeedMetrics, type FeedMetrics } from './feed/feed-metrics.ts'
import { FeedWatchers } from './feed/feed-watchers.ts'
import { ParkedRepository } from './feed/parked-repository.ts'
import { Feeds } from './feed/share-servers.ts'
import type { FileStore } from './files/file-store.ts'
import { FilesRepository } from './files/files-repository.ts'
import { Images } from './files/images.ts'
import { openFileStore, stagingFolder } from './files/open-file-store.ts'
import { RemovalsRepository } from './files/removals-repository.ts'
import { Staging } from './files/staging.ts'
import { UploadsUnderWay } from './files/uploads-under-way.ts'
import { ChatsRepository } from './inbox/chats-repository.ts'
import { RoomChatsRepository } from './inbox/room-chats-repository.ts'
import { MailboxLimits } from './mailbox/mailbox-limits.ts'
import { MailboxRepository } from './mailbox/mailbox-repository.ts'
import { MailboxWriter } from './mailbox/mailbox-writer.ts'
import { MessagesRepository } from './messages/messages-repository.ts'
import { Peers } from './peers/peers.ts'
import { PresencesRepository } from './presence/presence-repository.ts'
import { StreamCloser } from './revocations/close-revoked.ts'
import { RevocationsRepository } from './revocations/revocations-repository.ts'
import { RoomFacts } from './room-facts/room-facts.ts'
import { type RoomsOf, roomsOf } from './room-facts/rooms-of.ts'
import { RoomEnforcer } from './rooms/enforce-room.ts'
import { FanOut } from './rooms/fan-out.ts'
import { MissedRoomsRepository } from './rooms/missed-rooms-repository.ts'
import { OccupantRolls } from './rooms/occupant-rolls.ts'
import { Occupants } from './rooms/occupants.ts'
import { ReservedRoomsRepository } from './rooms/reserved-rooms-repository.ts'
import { RoomJoins } from './rooms/room-joins.ts'
import { RoomOrders } from './rooms/room-order.ts'
import { openSearchIndex, type SearchIndex } from './search/search-index.ts'
import { createSearchQueue, type SearchQueue } from './search/search-queue.ts'
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
  lateStreams: LateStreams
  streams: StreamTable
  revocations: RevocationsRepository
  streamCloser: StreamCloser
  toldStreams: ToldStreams
  farDeliveries: FarDeliveriesOverNats
  deliverer: Deliverer
  chatFirst: ChatFirst
  peers: Peers
  /** The component ports of the XMPP servers. */
  xmppServers: FollowedServers
  feeds: Feeds
  recentMessages: RecentMessages
  resenders: Resenders
  cursors: PageCursors
  searchIndex: SearchIndex
  searchQueue: SearchQueue
  roomChats: RoomChatsRepository
  /** Rooms the user is in now. */
  roomsOf: RoomsOf
  room: ServiceClient
  roomFacts: RoomFacts
  roomEnforcer: RoomEnforcer
  occupants: Occupants
  occupantRolls: OccupantRolls
  roomJoins: RoomJoins
  roomFanOut: FanOut
  reservedRooms: ReservedRoomsRepository
  missedRooms: MissedRoomsRepository
  contacts: Contacts
  relations: Relations
  /** The same, as it is asked of the social service. */
  socialRelations: SocialRelations
  colleagues: Colleagues
  user: ServiceClient
  social: ServiceClient
  org: ServiceClient
  /** The configuration that the user service keeps. */
  serverConfig: FollowedValue<ServerConfig>
  keywordFilter: KeywordFilter
  fileStore: FileStore
  files: FilesRepository
  fileRemovals: RemovalsRepository
  staging: Staging
  uploadsUnderWay: UploadsUnderWay
  images: Images
  feedMetrics: FeedMetrics
  feedWatchers: FeedWatchers
}

/** How long (ms) an answer about users or rooms is waited for: meanwhile their messages wait. */
const answerTimeout = 2000

/** The composition root. */
export function createDeps(runtime: Runtime<MessageConfig>): Omit<Deps, keyof Runtime> {
  const { config, db, redis, metrics, now, log, bus, replicas } = runtime
  const { serviceKeys } = config
  const user = createServiceClient({ baseUrl: config.userUrl, serviceKeys, timeoutMs: answerTimeout })
  const social = createServiceClient({ baseUrl: config.socialUrl, serviceKeys, timeoutMs: answerTimeout })
  const org = createServiceClient({ baseUrl: config.orgUrl, serviceKeys, timeoutMs: answerTimeout })
  const steadyNow = steadyClock(now)
  const room = createServiceClient({ baseUrl: config.roomUrl, serviceKeys, timeoutMs: answerTimeout })
  const messages = new MessagesRepository(db)
  const chats = new ChatsRepository(db)
  const mailbox = new MailboxRepository(db, now)
  const mailboxLimits = new MailboxLimits(mailbox, steadyNow)
  const mailboxWriter = new MailboxWriter(mailbox, log)
  const streams = new StreamTable()
  const peers = new Peers({ bus, replicas, feeds: config.messageRole !== 'http' })
  const factsClock = { now: steadyNow, isInTouch: () => peers.isInTouch }
  const socialRelations = new SocialRelations(social, factsClock)
  const far = new FarDeliveriesOverNats({ bus, peers })
  const deliverer = new Deliverer({ streams, writer: mailboxWriter, limits: mailboxLimits, far, now: steadyNow })
  const feeds = new Feeds(peers)
  const revocations = new RevocationsRepository(db)
  const serverConfig = new FollowedValue({
    read: () => user.call(internalConfig.getServerConfig, {}),
    changed: configChanged,
    bus,
    log,
  })
  const occupants = new Occupants(streams)
  const roomFacts = new RoomFacts({ service: room, ...factsClock })
  const missedRooms = new MissedRoomsRepository(db)
  const { fileStore, fileDirectory } = config
  const staging = new Staging(stagingFolder(config), log, fileStore === 'directory' ? fileDirectory : undefined)
  const orders = new RoomOrders({ occupants, roomFacts, feeds, config, log })
  const occupantRolls = new OccupantRolls({ bus, peers, occupants })
  const carryOut = (server: string, order: Parameters<typeof orders.carryOut>[1]) => orders.carryOut(server, order)
  return {
    messages,
    chats,
    presences: new PresencesRepository(db),
    parked: new ParkedRepository(db),
    mailbox,
    mailboxLimits,
    mailboxWriter,
    mailboxDrain: new MailboxDrain({ mailbox, messages, deliverer, streams, log }),
    lateStreams: new LateStreams({ chats, messages, mailbox, deliverer, log, now }),
    streams,
    revocations,
    streamCloser: new StreamCloser({ revocations, streams, feeds, bus, log, now }),
    toldStreams: new ToldStreams({ bus, peers, streams }),
    farDeliveries: far,
    deliverer,
    chatFirst: new ChatFirst({ now, metrics, bus, peers }),
    peers,
    xmppServers: new FollowedServers({ urls: config.xmppComponentUrl, log }),
    feeds,
    recentMessages: createRecentMessages(),
    resenders: new Resenders(),
    cursors: createPageCursors(redis),
    searchIndex: openSearchIndex(db),
    searchQueue: createSearchQueue(),
    roomChats: new RoomChatsRepository(db),
    roomsOf: roomsOf(roomFacts),
    room,
    roomFacts,
    roomEnforcer: new RoomEnforcer({ bus, peers, facts: roomFacts }),
    occupants,
    occupantRolls,
    roomJoins: new RoomJoins({ messages, occupants, occupantRolls, roomFacts, feeds, config, log, now }),
    roomFanOut: new FanOut({ bus, peers, feeds, missed: missedRooms, log, carryOut }),
    reservedRooms: new ReservedRoomsRepository(db, now),
    missedRooms,
    contacts: new Contacts(user, factsClock),
    relations: socialRelations,
    socialRelations,
    colleagues: new Colleagues(org, factsClock),
    user,
    social,
    org,
    serverConfig,
    keywordFilter: new KeywordFilter(serverConfig),
    fileStore: openFileStore(config, staging),
    files: new FilesRepository(db),
    fileRemovals: new RemovalsRepository(db),
    staging,
    uploadsUnderWay: new UploadsUnderWay(),
    images: new Images(log),
    feedMetrics: createFeedMetrics(metrics),
    feedWatchers: new FeedWatchers(),
  }
}
