import { defineService } from '@im/service-kit'
import { accountPageRoutes } from './account-pages/routes.ts'
import { accountReplyRoutes } from './account-replies/routes.ts'
import { addressBookRoutes } from './address-book/routes.ts'
import { blacklistRoutes } from './blacklists/routes.ts'
import { settings } from './config.ts'
import { createDeps, type Deps } from './deps.ts'
import { eventHandlers } from './event-handlers.ts'
import { followRoutes } from './follows/routes.ts'
import { friendRoutes } from './friends/routes.ts'
import { labelRoutes } from './labels/routes.ts'
import { internalNewcomerRoutes } from './newcomers/internal-routes.ts'
import { catchUpWithUsers } from './newcomers/welcome-users.ts'
import { eraseUser } from './people/erase-user.ts'
import { publicAccountRoutes } from './public-accounts/routes.ts'
import { internalRelationRoutes } from './relations/internal-routes.ts'

export const service = defineService<typeof settings, Deps>({
  name: 'social',
  settings,
  createDeps,
  handlers: [
    followRoutes,
    friendRoutes,
    blacklistRoutes,
    labelRoutes,
    addressBookRoutes,
    publicAccountRoutes,
    accountPageRoutes,
    accountReplyRoutes,
    internalRelationRoutes,
    internalNewcomerRoutes,
  ],
  eventHandlers,
  background: (deps) => [
    deps.user,
    deps.message,
    deps.push,
    deps.knownAccounts.follow(deps),
    deps.names.follow(deps),
    deps.keptRows.follow(deps),
    deps.everybodysFriends.start(deps),
    deps.erasedUsers.start(deps, (userId) => eraseUser(deps, { userId })),
    catchUpWithUsers(deps),
  ],
})
