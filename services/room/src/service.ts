import { defineService } from '@im/service-kit'
import { settings } from './config.ts'
import { createDeps, type Deps } from './deps.ts'
import { eventHandlers } from './event-handlers.ts'
import { internalRoutes } from './internal/routes.ts'
import { removeFromRooms } from './members/remove-from-rooms.ts'
import { memberRoutes } from './members/routes.ts'
import { noticeRoutes } from './notices/routes.ts'
import { followUsers } from './people/follow-users.ts'
import { roomRoutes } from './rooms/routes.ts'
import { shareRoutes } from './shares/routes.ts'
import { waitingRoomRoutes } from './waiting-rooms/routes.ts'

export const service = defineService<typeof settings, Deps>({
  name: 'room',
  settings,
  createDeps,
  prepare: (deps) => deps.rooms.makeAllSearchable(),
  handlers: [roomRoutes, memberRoutes, noticeRoutes, shareRoutes, waitingRoomRoutes, internalRoutes],
  eventHandlers,
  background: (deps) => [
    ...[deps.user, deps.social, deps.message, deps.serverConfig],
    followUsers(deps),
    deps.erasedUsers.start(deps, (userId) => removeFromRooms(deps, userId)),
  ],
})
