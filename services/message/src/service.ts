import { addOperationRoutes, createHttpServer, defineService, type Listener } from '@im/service-kit'
import { accountRoutes } from './accounts/routes.ts'
import { archiveRoutes } from './archive/routes.ts'
import { background } from './background.ts'
import { cipherRoutes } from './ciphers/routes.ts'
import { settings } from './config.ts'
import { createDeps, type Deps } from './deps.ts'
import { eventHandlers } from './event-handlers.ts'
import { checkFileSettings } from './files/open-file-store.ts'
import { fileRoutes } from './files/routes.ts'
import { talkRoutes } from './inbox/talk-routes.ts'
import { presenceRoutes } from './presence/routes.ts'
import { pushedMessageRoutes } from './pushes/routes.ts'
import { liveRoomRoutes } from './rooms/routes.ts'
import { searchRoutes } from './search/routes.ts'

/** A process that takes what XMPP servers hand on serves nobody else: its event loop is theirs. */
function operationsOnly({ config, log, metrics, ready }: Deps): Listener {
  const app = createHttpServer(log)
  addOperationRoutes(app, { metrics, ready })
  return { app, host: config.host, port: config.port }
}

export const service = defineService<typeof settings, Deps>({
  name: 'message',
  settings,
  checkConfig: checkFileSettings,
  createDeps,
  handlers: [
    accountRoutes,
    archiveRoutes,
    searchRoutes,
    cipherRoutes,
    presenceRoutes,
    talkRoutes,
    pushedMessageRoutes,
    liveRoomRoutes,
    fileRoutes,
  ],
  listeners: (deps) => (deps.config.messageRole === 'feed' ? [operationsOnly(deps)] : undefined),
  eventHandlers,
  background,
})
