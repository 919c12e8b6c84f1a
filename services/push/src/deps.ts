import type { ServiceName } from '@im/contracts'
import { CopiedRows, createServiceClient, ErasedUsers, type Runtime, type ServiceClient } from '@im/service-kit'
import { BadgesRepository } from './badges/badges-repository.ts'
import { Broadcasts } from './broadcasts/broadcasts.ts'
import type { PushConfig } from './config.ts'
import { FriendRowsRepository } from './friends/friend-rows-repository.ts'
import type { Person } from './people/follow-users.ts'
import { createChannels } from './providers/channels.ts'
import type { Channels } from './providers/provider.ts'
import { createPushMetrics, type PushMetrics } from './pushes/push-metrics.ts'
import { PushWorker } from './pushes/push-worker.ts'
import { PushesRepository } from './pushes/pushes-repository.ts'
import { RoomsRepository } from './rooms/rooms-repository.ts'
import { EndedSessionsRepository } from './tokens/ended-sessions-repository.ts'
import { TokensRepository } from './tokens/tokens-repository.ts'

/** What operations of this service may use. */
export interface Deps extends Runtime<PushConfig> {
  tokens: TokensRepository
  endedSessions: EndedSessionsRepository
  badges: BadgesRepository
  people: CopiedRows<Person>
  erasedUsers: ErasedUsers
  friendRows: FriendRowsRepository
  rooms: RoomsRepository
  pushes: PushesRepository
  pushWorker: PushWorker
  pushMetrics: PushMetrics
  channels: Channels
  user: ServiceClient
  social: ServiceClient
  room: ServiceClient
  message: ServiceClient
  broadcasts: Broadcasts
}

/** How long (ms) other services may take: what waits for them is tried again. */
const timeouts = { user: 2000, social: 2000, room: 15_000, message: 5000 } as const satisfies Partial<
  Record<ServiceName, number>
>

/** Puts the service together. */
export function createDeps(runtime: Runtime<PushConfig>): Omit<Deps, keyof Runtime> {
  const { config, db, metrics, now } = runtime
  const { serviceKeys } = config
  return {
    tokens: new TokensRepository(db),
    endedSessions: new EndedSessionsRepository(db),
    badges: new BadgesRepository(db),
    people: new CopiedRows(db, 'people'),
    erasedUsers: new ErasedUsers(db, now),
    friendRows: new FriendRowsRepository(db),
    rooms: new RoomsRepository(db),
    pushes: new PushesRepository(db),
    pushWorker: new PushWorker(),
    pushMetrics: createPushMetrics(metrics),
    channels: createChannels(runtime),
    user: createServiceClient({ baseUrl: config.userUrl, serviceKeys, timeoutMs: timeouts.user }),
    social: createServiceClient({ baseUrl: config.socialUrl, serviceKeys, timeoutMs: timeouts.social }),
    room: createServiceClient({ baseUrl: config.roomUrl, serviceKeys, timeoutMs: timeouts.room }),
    message: createServiceClient({ baseUrl: config.messageUrl, serviceKeys, timeoutMs: timeouts.message }),
    broadcasts: new Broadcasts(runtime),
  }
}
