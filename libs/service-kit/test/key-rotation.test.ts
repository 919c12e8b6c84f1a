/** SERVICE_KEY and CALLER_KEY are changed in three steps (docs/operations.md, "Keys"): no call fails between two of them. */
import { contract, type Handlers } from '@im/contracts'
import {
  bindHandlers,
  callerHeader,
  createLogger,
  createMetrics,
  createServiceApp,
  createServiceClient,
  signCaller,
} from '@im/service-kit'
import { type Test, test } from 'tap'
import { Type } from 'typebox'

const summary = { zh: '试', en: 'A test' }
const calls = contract('user', {
  internal: {
    ...{ path: '/internal/ping', summary, auth: 'internal' },
    params: Type.Object({}),
    result: Type.Object({ ok: Type.Boolean() }),
  },
  own: { path: '/ping', summary, auth: 'user', params: Type.Object({}), result: Type.Object({ ok: Type.Boolean() }) },
})
const handlers: Handlers<typeof calls, object> = { internal: () => ({ ok: true }), own: () => ({ ok: true }) }
const log = createLogger({ service: 'test', level: 'silent', format: 'json' })

const [before, after] = ['the key of yesterday', 'the key of tomorrow']
/** What the setting holds from step to step. */
const steps = [[before], [before, after], [after, before], [after]]

async function startWith(t: Test, keys: string[]): Promise<string> {
  const config = { serviceKeys: keys, callerKeys: keys, nodeEnv: 'test' as const }
  const bound = bindHandlers(calls, handlers)
  const app = createServiceApp({ handlers: bound, deps: {}, config, log, metrics: createMetrics('test') })
  t.after(async () => {
    app.server.closeAllConnections()
    await app.close()
  })
  return app.listen({ port: 0, host: '127.0.0.1' })
}

/** Whether a service with these keys takes calls of another service, and of the gateway, with those. */
async function takes(t: Test, baseUrl: string, keys: string[]): Promise<boolean[]> {
  const client = createServiceClient({ baseUrl, serviceKeys: keys, timeoutMs: 10_000 })
  t.after(() => client.close())
  const internal = await client.call(calls.internal, {}).then(
    ({ ok }) => ok,
    () => false,
  )
  const caller = { userId: 10_000_001, sessionId: 's', device: 'android', kind: 'user' } as const
  const claims = { caller, ip: '', requestId: '', proto: 'http', host: '' } as const
  const header = signCaller(keys, claims, { method: 'POST', url: '/ping' })
  const answer = await fetch(`${baseUrl}/ping`, { method: 'POST', headers: { [callerHeader]: header } })
  return [internal, ((await answer.json()) as { resultCode: number }).resultCode === 1]
}

test('whoever is a step ahead or behind is understood; two steps at once are not', async (t) => {
  const urls = await Promise.all(steps.map((keys) => startWith(t, keys)))
  for (const [at, url] of urls.entries())
    for (const [from, keys] of steps.entries()) {
      const near = Math.abs(at - from) <= 1
      if (near) t.strictSame(await takes(t, url, keys), [true, true], `a call of step ${from} to step ${at}`)
    }
  t.strictSame(await takes(t, urls[0]!, steps[2]!), [false, false], 'the new one before it is known')
  t.strictSame(await takes(t, urls[3]!, steps[1]!), [false, false], 'the old one after it is forgotten')
})
