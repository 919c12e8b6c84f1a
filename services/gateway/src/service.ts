import { defineService } from '@im/service-kit'
import { createApp, createOperationsApp } from './app.ts'
import { checkConfig, settings } from './config.ts'
import { createDeps, type Deps, partsToClose } from './deps.ts'

export const service = defineService<typeof settings, Deps>({
  name: 'gateway',
  settings,
  checkConfig,
  database: false,
  createDeps,
  listeners(deps) {
    const { host, port, operationsHost, operationsPort } = deps.config
    return [
      { app: createApp(deps), host, port },
      { app: createOperationsApp(deps), host: operationsHost, port: operationsPort },
    ]
  },
  background: partsToClose,
})
