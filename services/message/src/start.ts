import { connectRuntime, listen, type RunningService } from '@im/service-kit'
import { createApp } from './app.ts'
import { readConfig } from './config.ts'
import { createDeps, type Deps } from './deps.ts'
import { moveExpiredHourly } from './inbox/move-expired.ts'
import { startSearchIndexer } from './search/start-indexer.ts'
import { subscribe } from './subscribers.ts'
import { holdConnection } from './tap/hold-connection.ts'

/** Starts the message service. Its end: no new requests, events or entries, then the batch in hand, then the stores. */
export async function start(
  env: NodeJS.ProcessEnv,
  overrides: Partial<Deps> = {},
): Promise<RunningService & { deps: Deps }> {
  const config = readConfig(env)
  const runtime = await connectRuntime('message', config)
  try {
    const deps = await createDeps(config, runtime, overrides)
    const subscriptions = await subscribe(deps)
    const connection = holdConnection(deps)
    const expiry = moveExpiredHourly(deps)
    const indexer = startSearchIndexer(deps)
    const parts = [...subscriptions, connection, expiry, indexer, deps.user, runtime]
    const running = await listen(createApp(deps), { host: config.host, port: config.port, log: deps.log, parts })
    return { ...running, deps }
  } catch (error) {
    await runtime.close()
    throw error
  }
}
