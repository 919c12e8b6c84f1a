import { defineService } from '@im/service-kit'
import { badgeRoutes } from './badges/routes.ts'
import { broadcastRoutes } from './broadcasts/routes.ts'
import { checkConfig, settings } from './config.ts'
import { createDeps, type Deps } from './deps.ts'
import { eventHandlers } from './event-handlers.ts'
import { followRelations } from './friends/follow-relations.ts'
import { notificationRoutes } from './notify/routes.ts'
import { eraseUser } from './people/erase-user.ts'
import { followUsers } from './people/follow-users.ts'
import { followRooms } from './rooms/follow-rooms.ts'
import { tokenRoutes } from './tokens/routes.ts'

export const service = defineService<typeof settings, Deps>({
  name: 'push',
  settings,
  checkConfig,
  createDeps,
  handlers: [tokenRoutes, badgeRoutes, notificationRoutes, broadcastRoutes],
  eventHandlers,
  background: (deps) => [
    deps.user,
    deps.social,
    deps.room,
    deps.message,
    followUsers(deps),
    deps.erasedUsers.start(deps, (userId) => deps.outbox.commit((change) => eraseUser(deps, userId, change))),
    followRelations(deps),
    followRooms(deps),
    deps.pushWorker.start(deps),
    deps.broadcasts.start(),
  ],
})
