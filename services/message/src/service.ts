import { defineService } from '@im/service-kit'
import { archiveRoutes } from './archive/routes.ts'
import { background } from './background.ts'
import { cipherRoutes } from './ciphers/routes.ts'
import { settings } from './config.ts'
import { createDeps, type Deps } from './deps.ts'
import { eventHandlers } from './event-handlers.ts'
import { presenceRoutes } from './presence/routes.ts'
import { searchRoutes } from './search/routes.ts'

export const service = defineService<typeof settings, Deps>({
  name: 'message',
  settings,
  createDeps,
  handlers: [archiveRoutes, searchRoutes, cipherRoutes, presenceRoutes],
  eventHandlers,
  background,
})
