import { createServiceApp, type Runtime } from '@im/service-kit'
import { accountRoutes } from './accounts/routes.ts'
import { configRoutes } from './config/routes.ts'
import type { Deps } from './deps.ts'
import { oauthRoutes } from './oauth/routes.ts'
import { passwordRoutes } from './passwords/routes.ts'
import { profileRoutes } from './profiles/routes.ts'
import { sessionRoutes } from './sessions/routes.ts'
import { settingsRoutes } from './settings/routes.ts'
import { smsRoutes } from './sms/routes.ts'
import { internalUserRoutes } from './system-users/routes.ts'
import { xmppRoutes } from './xmpp-auth/routes.ts'

export function createApp(deps: Deps, { log, metrics, ready }: Pick<Runtime, 'log' | 'metrics' | 'ready'>) {
  return createServiceApp<Deps>({
    service: 'user',
    served: [
      configRoutes,
      smsRoutes,
      accountRoutes,
      profileRoutes,
      settingsRoutes,
      passwordRoutes,
      oauthRoutes,
      xmppRoutes,
      sessionRoutes,
      internalUserRoutes,
    ],
    deps,
    config: deps.config,
    log,
    metrics,
    ready,
  })
}
