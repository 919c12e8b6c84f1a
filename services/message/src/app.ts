import { archive, ciphers, presence, search, xmppChecks } from '@im/contracts/message'
import { createServiceApp, serve } from '@im/service-kit'
import { archiveHandlers } from './archive/routes.ts'
import { checkHandlers } from './checks/routes.ts'
import { cipherHandlers } from './ciphers/routes.ts'
import type { Deps } from './deps.ts'
import { presenceHandlers } from './presence/routes.ts'
import { searchHandlers } from './search/routes.ts'

export function createApp(deps: Deps) {
  return createServiceApp<Deps>({
    service: 'message',
    served: [
      serve(archive, archiveHandlers),
      serve(search, searchHandlers),
      serve(ciphers, cipherHandlers),
      serve(presence, presenceHandlers),
      serve(xmppChecks, checkHandlers),
    ],
    deps,
    config: deps.config,
    log: deps.log,
    metrics: deps.metrics,
    ready: deps.ready,
  })
}
