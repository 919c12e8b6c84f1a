import { configChanged } from '@im/contracts/user'
import { defineService } from '@im/service-kit'
import { accountRoutes } from './accounts/routes.ts'
import { collectionRoutes } from './collections/routes.ts'
import { configRoutes } from './config/routes.ts'
import { checkConfig, settings } from './config.ts'
import { courseRoutes } from './courses/routes.ts'
import { createDeps, type Deps } from './deps.ts'
import { eventHandlers } from './event-handlers.ts'
import { forgetUser } from './forget-user.ts'
import { friendRuleRoutes } from './friend-rules/routes.ts'
import { keyRoutes } from './keys/routes.ts'
import { meetingRoutes } from './meetings/routes.ts'
import { oauthRoutes } from './oauth/routes.ts'
import { ownChangeRoutes } from './own-changes/routes.ts'
import { pageSessionRoutes } from './page-sessions/routes.ts'
import { passwordRoutes } from './passwords/routes.ts'
import { presenceRoutes } from './presence/routes.ts'
import { startSampling } from './presence/sample-users.ts'
import { profileRoutes } from './profiles/routes.ts'
import { reportRoutes } from './reports/routes.ts'
import { searchRoutes } from './search/routes.ts'
import { sessionRoutes } from './sessions/routes.ts'
import { settingsRoutes } from './settings/routes.ts'
import { smsRoutes } from './sms/routes.ts'
import { makeConfiguredAdmin } from './system-users/configured-admin.ts'
import { makeSystemUsers } from './system-users/make-system-users.ts'
import { internalUserRoutes } from './system-users/routes.ts'
import { startAskingProviders } from './wallet/ask-providers.ts'
import { walletRoutes } from './wallet/routes.ts'
import { xmppRoutes } from './xmpp-auth/routes.ts'

export const service = defineService<typeof settings, Deps>({
  name: 'user',
  settings,
  checkConfig,
  createDeps,
  async prepare(deps) {
    await makeSystemUsers(deps)
    await makeConfiguredAdmin(deps)
    await deps.users.makeAllSearchable()
  },
  handlers: [
    configRoutes,
    smsRoutes,
    accountRoutes,
    profileRoutes,
    settingsRoutes,
    passwordRoutes,
    oauthRoutes,
    xmppRoutes,
    sessionRoutes,
    pageSessionRoutes,
    internalUserRoutes,
    friendRuleRoutes,
    keyRoutes,
    collectionRoutes,
    courseRoutes,
    ownChangeRoutes,
    meetingRoutes,
    presenceRoutes,
    reportRoutes,
    searchRoutes,
    walletRoutes,
  ],
  eventHandlers,
  background: (deps) => [
    // They were opened with the service and are closed with it.
    ...[deps.social, deps.org, deps.room, deps.message, deps.push],
    // Another replica may have changed it.
    deps.bus.listen(configChanged, () => deps.serverConfig.forget()),
    deps.erasedUsers.start(deps, (userId) => forgetUser(deps, userId)),
    startSampling(deps),
    startAskingProviders(deps),
  ],
})
