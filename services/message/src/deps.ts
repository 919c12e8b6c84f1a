import { type ApiClient, createClient, type Runtime } from '@im/service-kit'
import { createHistoryCursors, type HistoryCursors } from './archive/history-cursors.ts'
import { Messages } from './archive/messages-repository.ts'
import { type Contacts, createContacts } from './checks/contacts.ts'
import { noRelations, type Relations } from './checks/relations.ts'
import type { MessageConfig } from './config.ts'
import { Inbox } from './inbox/inbox-repository.ts'
import { Orders } from './notices/orders-repository.ts'
import { createWaiting } from './notices/waiting.ts'
import { Presences } from './presence/presence-repository.ts'
import { openSearchIndex, type SearchIndex } from './search/search-index.ts'
import type { JoinedRoom } from './search/search-scope.ts'
import { PoisonEntries } from './tap/poison-repository.ts'
import { createTapMetrics, type TapMetrics } from './tap/tap-metrics.ts'

/** All that operations of this service work with. */
export interface Deps extends Runtime {
  config: MessageConfig
  messages: Messages
  inbox: Inbox
  presences: Presences
  orders: Orders
  /** Rung when an order was asked for. */
  ordersWaiting: ReturnType<typeof createWaiting>
  poison: PoisonEntries
  cursors: HistoryCursors
  searchIndex: SearchIndex
  /** Rooms the user is in now. Rooms have no owner in the fleet yet, so nobody is in one. */
  roomsOf: (userId: number) => Promise<JoinedRoom[]>
  contacts: Contacts
  relations: Relations
  user: ApiClient
  tapMetrics: TapMetrics
}

/** The composition root; `overrides` replace parts in tests. Creates the indexes the repositories need. */
export async function createDeps(
  config: MessageConfig,
  runtime: Runtime,
  overrides: Partial<Deps> = {},
): Promise<Deps> {
  const now = overrides.now ?? runtime.now
  const user = overrides.user ?? createClient({ baseUrl: config.userUrl, serviceKey: config.serviceKey, timeout: 3000 })
  const deps: Deps = {
    ...runtime,
    config,
    messages: new Messages(runtime.db, now),
    inbox: new Inbox(runtime.db),
    presences: new Presences(runtime.db),
    orders: new Orders(runtime.db),
    ordersWaiting: createWaiting(),
    poison: new PoisonEntries(runtime.db),
    cursors: createHistoryCursors(runtime.redis),
    searchIndex: openSearchIndex(runtime.db),
    roomsOf: async () => [],
    contacts: createContacts(user, now),
    relations: noRelations,
    user,
    tapMetrics: createTapMetrics(runtime.metrics),
    ...overrides,
  }
  for (const repository of [deps.messages, deps.inbox, deps.presences, deps.orders, deps.searchIndex])
    await repository.createIndexes()
  return deps
}
