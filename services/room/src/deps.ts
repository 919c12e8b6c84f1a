import type { ServiceName } from '@im/contracts'
import { configChanged, internalConfig, type ServerConfig } from '@im/contracts/user'
import {
  CopiedRows,
  createServiceClient,
  ErasedUsers,
  FollowedValue,
  type Runtime,
  type ServiceClient,
  Turns,
} from '@im/service-kit'
import type { RoomConfig } from './config.ts'
import { MembersRepository } from './documents/members-repository.ts'
import { MutesRepository } from './documents/mutes-repository.ts'
import { RoomsRepository } from './documents/rooms-repository.ts'
import { NoticesRepository } from './notices/notices-repository.ts'
import type { Person } from './people/follow-users.ts'
import { Names } from './people/names.ts'
import { RoomNumbers } from './rooms/room-numbers.ts'
import { SharesRepository } from './shares/shares-repository.ts'
import { WaitingRoomsRepository } from './waiting-rooms/waiting-rooms-repository.ts'

/** What operations of this service may use. */
export interface Deps extends Runtime<RoomConfig> {
  rooms: RoomsRepository
  members: MembersRepository
  mutes: MutesRepository
  notices: NoticesRepository
  shares: SharesRepository
  waitingRooms: WaitingRoomsRepository
  numbers: RoomNumbers
  people: CopiedRows<Person>
  names: Names
  erasedUsers: ErasedUsers
  turns: Turns<string>
  user: ServiceClient
  social: ServiceClient
  message: ServiceClient
  /** The configuration that the user service keeps. */
  serverConfig: FollowedValue<ServerConfig>
}

/** How long (ms) other services may take. The message service needs its time when one of its replicas has just died. */
const timeouts = { user: 2000, social: 2000, message: 3000 } as const satisfies Partial<Record<ServiceName, number>>

/** Puts the service together. */
export function createDeps({ config, db, bus, log, now }: Runtime<RoomConfig>): Omit<Deps, keyof Runtime> {
  const { userUrl, socialUrl, messageUrl, serviceKeys } = config
  const user = createServiceClient({ baseUrl: userUrl, serviceKeys, timeoutMs: timeouts.user })
  const people = new CopiedRows<Person>(db, 'people')
  return {
    rooms: new RoomsRepository(db),
    members: new MembersRepository(db),
    mutes: new MutesRepository(db),
    notices: new NoticesRepository(db),
    shares: new SharesRepository(db),
    waitingRooms: new WaitingRoomsRepository(db, now),
    numbers: new RoomNumbers(db),
    people,
    names: new Names(people, user),
    erasedUsers: new ErasedUsers(db, now),
    turns: new Turns(),
    user,
    social: createServiceClient({ baseUrl: socialUrl, serviceKeys, timeoutMs: timeouts.social }),
    message: createServiceClient({ baseUrl: messageUrl, serviceKeys, timeoutMs: timeouts.message }),
    serverConfig: new FollowedValue({
      read: () => user.call(internalConfig.getServerConfig, {}),
      changed: configChanged,
      bus,
      log,
    }),
  }
}
