import { createServiceClient, type Runtime, type ServiceClient } from '@im/service-kit'
import { MessagesRepository } from './archive/messages-repository.ts'
import { createPageCursors, type PageCursors } from './archive/page-cursors.ts'
import { type Contacts, createContacts } from './checks/contacts.ts'
import { noRelations, type Relations } from './checks/relations.ts'
import type { MessageConfig } from './config.ts'
import { ChatsRepository } from './inbox/chats-repository.ts'
import { OrdersRepository } from './notices/orders-repository.ts'
import { createWaiting } from './notices/waiting.ts'
import { PresencesRepository } from './presence/presence-repository.ts'
import { openSearchIndex, type SearchIndex } from './search/search-index.ts'
import { createSearchQueue, type SearchQueue } from './search/search-queue.ts'
import type { JoinedRoom } from './search/search-scope.ts'
import { PoisonRepository } from './tap/poison-repository.ts'
import { createTapMetrics, type TapMetrics } from './tap/tap-metrics.ts'

/** All that operations of this service work with. */
export interface Deps extends Runtime<MessageConfig> {
  messages: MessagesRepository
  chats: ChatsRepository
  presences: PresencesRepository
  orders: OrdersRepository
  /** Rung when an order was asked for. */
  ordersWaiting: ReturnType<typeof createWaiting>
  poison: PoisonRepository
  cursors: PageCursors
  searchIndex: SearchIndex
  searchQueue: SearchQueue
  /** Rooms the user is in now. Rooms have no owner in the fleet yet, so nobody is in one. */
  roomsOf: (userId: number) => Promise<JoinedRoom[]>
  contacts: Contacts
  relations: Relations
  user: ServiceClient
  tapMetrics: TapMetrics
}

/** The composition root. */
export function createDeps(runtime: Runtime<MessageConfig>): Omit<Deps, keyof Runtime> {
  const { config, db, redis, metrics, now } = runtime
  const user = createServiceClient({ baseUrl: config.userUrl, serviceKeys: config.serviceKeys, timeoutMs: 3000 })
  return {
    messages: new MessagesRepository(db),
    chats: new ChatsRepository(db),
    presences: new PresencesRepository(db),
    orders: new OrdersRepository(db),
    ordersWaiting: createWaiting(),
    poison: new PoisonRepository(db),
    cursors: createPageCursors(redis),
    searchIndex: openSearchIndex(db),
    searchQueue: createSearchQueue(),
    roomsOf: async () => [],
    contacts: createContacts(user, now),
    relations: noRelations,
    user,
    tapMetrics: createTapMetrics(metrics),
  }
}
