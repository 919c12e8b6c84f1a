import { endpoints } from '@im/contracts'
import { listen, type RunningService } from '@im/service-kit'
import { createApp, createOperationsApp } from './app.ts'
import { readConfig } from './config.ts'
import { connectDeps } from './deps.ts'
import { ownersOf, routeTable } from './routes.ts'

export interface RunningGateway extends RunningService {
  /** Address of /metrics. */
  operationsUrl: string
}

export async function start(env: NodeJS.ProcessEnv): Promise<RunningGateway> {
  const config = readConfig(env)
  const table = routeTable(endpoints)
  const deps = await connectDeps(config, ownersOf(table))
  const { log, host, port, operationsHost, operationsPort } = { ...config, log: deps.log }
  const operations = await listen(createOperationsApp(deps), {
    host: operationsHost,
    port: operationsPort,
    log,
    parts: [deps],
  })
  const api = await listen(createApp(deps, table), { host, port, log, parts: [operations] }).catch(async (error) => {
    await operations.close()
    throw error
  })
  return { url: api.url, close: api.close, operationsUrl: operations.url }
}
