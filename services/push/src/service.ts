import { defineService } from '@im/service-kit'
import { badgeRoutes } from './badges/routes.ts'
import { checkConfig, settings } from './config.ts'
import { createDeps, type Deps } from './deps.ts'
import { eventHandlers } from './event-handlers.ts'
import { tokenRoutes } from './tokens/routes.ts'

export const service = defineService<typeof settings, Deps>({
  name: 'push',
  settings,
  checkConfig,
  createDeps,
  handlers: [tokenRoutes, badgeRoutes],
  eventHandlers,
  background: ({ channels }) => [channels],
})
