import { defineService } from '@im/service-kit'
import { companyRoutes } from './companies/routes.ts'
import { settings } from './config.ts'
import { departmentRoutes } from './departments/routes.ts'
import { createDeps, type Deps } from './deps.ts'
import { followUsers } from './employees/follow-users.ts'
import { removeFromCompanies } from './employees/remove-from-companies.ts'
import { employeeRoutes } from './employees/routes.ts'
import { eventHandlers } from './event-handlers.ts'
import { internalRoutes } from './internal/routes.ts'

export const service = defineService<typeof settings, Deps>({
  name: 'org',
  settings,
  createDeps,
  prepare: (deps) => deps.companies.makeAllSearchable(),
  handlers: [companyRoutes, departmentRoutes, employeeRoutes, internalRoutes],
  eventHandlers,
  background: (deps) => [
    deps.user,
    followUsers(deps),
    deps.erasedUsers.start(deps, (userId) => removeFromCompanies(deps, userId)),
  ],
})
