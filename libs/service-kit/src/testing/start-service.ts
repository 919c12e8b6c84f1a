import type { Connections } from '../runtime.ts'
import type { RunningService, Service } from '../service.ts'
import { dropNamespace, testEnv } from './namespace.ts'
import { createTestClient, type TestClient } from './test-client.ts'

export interface ServiceUnderTest<D> extends RunningService<D> {
  env: Record<string, string>
  /** Calls endpoints past the gateway; `as` says who calls. */
  api: TestClient
  /** The same with the service key. */
  internal: TestClient
}

/** How many services of this process use a namespace. */
const users = new Map<string, number>()

/** Starts a service on the shared servers in a namespace of its own. The end of the test leaves nothing of it behind. */
export async function startService<D extends Connections>(
  t: { after(end: () => Promise<unknown>): unknown },
  service: Service<D>,
  options: { env?: Record<string, string>; overrides?: Partial<D> } = {},
): Promise<ServiceUnderTest<D>> {
  const env = testEnv(options.env)
  const namespace = env['NAMESPACE']!
  const running = await service.start(env, options.overrides)
  users.set(namespace, (users.get(namespace) ?? 0) + 1)
  const [callerKey] = running.deps.config.callerKeys
  const [serviceKey] = running.deps.config.serviceKeys
  const api = createTestClient({ baseUrl: running.url, callerKey })
  const internal = createTestClient({ baseUrl: running.url, callerKey, serviceKey })
  t.after(async () => {
    await Promise.all([api.close(), internal.close()])
    await running.close()
    // Replicas share one, which the last of them leaves: nobody can end in order on a database that is gone.
    const left = users.get(namespace)! - 1
    users.set(namespace, left)
    if (left === 0) await dropNamespace(env)
  })
  return { ...running, env, api, internal }
}
