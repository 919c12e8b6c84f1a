import { connectRuntime, listen, type RunningService } from '@im/service-kit'
import { createApp } from './app.ts'
import { loadUserConfig } from './config.ts'
import { createDeps, type Deps } from './deps.ts'
import { subscribe } from './subscribers.ts'
import { configuredAdmin } from './system-users/configured-admin.ts'
import { seed } from './system-users/seed.ts'

export { userSettingsSchema } from './config.ts'
export { seed } from './system-users/seed.ts'

/** Starts the user service: production, the one-process stack and tests alike. */
export async function start(env: NodeJS.ProcessEnv, overrides: Partial<Deps> = {}): Promise<RunningService> {
  const config = loadUserConfig(env)
  const runtime = await connectRuntime('user', config, overrides.now)
  try {
    const deps = await createDeps(runtime, config, overrides)
    await seed(deps, configuredAdmin(config))
    const subscriptions = await subscribe(deps)
    const app = createApp(deps, runtime)
    return await listen(app, { ...config, log: runtime.log, parts: [...subscriptions, runtime] })
  } catch (error) {
    await runtime.close()
    throw error
  }
}
