import { connectRuntime, type DatabaseConfig, type Runtime, type ServiceConfig, serviceConfig } from '@im/service-kit'
import { dropNamespace, testEnv } from '@im/service-kit/testing'
import type { Test } from 'tap'

/** What any service reads of its environment. */
export const readConfig = (env: NodeJS.ProcessEnv) =>
  serviceConfig('user', { own: {}, database: true }).read(env) as ServiceConfig & DatabaseConfig

/** The environment of one test: its own namespace, removed when the test ends. */
export function ownNamespace(t: Test, extra: Record<string, string> = {}): Record<string, string> {
  const env = testEnv({ LOG_LEVEL: 'silent', ...extra })
  // A MongoDB of the test's own goes with its folder.
  if (!extra['MONGODB_URL']) t.after(() => dropNamespace(env).catch(() => {}))
  return env
}

/** Stores, bus and outbox as a service has them; closed when the test ends. */
export async function startRuntime(t: Test, env = ownNamespace(t), service = 'kit'): Promise<Runtime> {
  const runtime = await connectRuntime(service, readConfig(env))
  t.after(() => runtime.close())
  return runtime
}
