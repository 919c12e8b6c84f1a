import type { TestContext } from 'node:test'
import {
  commonSettings,
  connectRuntime,
  loadConfig,
  mongoSettings,
  natsSettings,
  type Runtime,
  redisSettings,
} from '@im/service-kit'
import { dropNamespace, testEnv } from '@im/service-kit/testing'
import { Type } from 'typebox'

const settings = Type.Object({ ...commonSettings, ...mongoSettings, ...redisSettings, ...natsSettings })

/** The environment of one test: its own namespace, removed when the test ends. */
export function ownNamespace(t: TestContext, extra: Record<string, string> = {}): Record<string, string> {
  const env = testEnv({ LOG_LEVEL: 'silent', ...extra })
  // A MongoDB of the test's own goes with its folder.
  if (!extra['MONGODB_URL']) t.after(() => dropNamespace(env).catch(() => {}))
  return env
}

/** Stores, bus and outbox as a service has them; closed when the test ends. */
export async function startRuntime(t: TestContext, env = ownNamespace(t), service = 'kit'): Promise<Runtime> {
  const runtime = await connectRuntime(service, loadConfig(settings, env))
  t.after(() => runtime.close())
  return runtime
}
