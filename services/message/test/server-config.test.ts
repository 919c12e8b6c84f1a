import { configChanged } from '@im/contracts/user'
import { connectBus, createLogger } from '@im/service-kit'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startArchive } from './start-archive.ts'

test('the limit of recalls is that of the configuration: known at once when it changes, kept while the user service is away', async (t) => {
  const im = await startArchive(t, { config: { recallLimitSeconds: 3600 } })
  const { user, deps, env, log } = im
  const busLog = createLogger({ service: 'user', level: 'silent', format: 'json' })
  const { NATS_URL: url = '', NAMESPACE: namespace = '' } = env
  const bus = await connectBus({ url, namespace, replicas: 1, service: 'user', log: busLog })
  t.after(() => bus.close())
  const [a, b] = im.pair()
  const recall = async () => {
    const messageId = await log.say(a, b, { content: 'old', ts: Date.now() - 600_000 })
    return im.remove(a, [messageId], 2)
  }
  await t.resolves(recall())

  const limit = () => deps.serverConfig.current?.recallLimitSeconds
  user.config.recallLimitSeconds = 60
  const changedAt = Date.now()
  await bus.broadcast(configChanged, { changed: ['recallLimitSeconds'], at: changedAt })
  await eventually(() => limit() === 60)
  t.ok(Date.now() - changedAt < 2000, 'told by the broadcast')
  await t.rejects(recall(), failure('RecallExpired'))

  // Nobody could tell.
  user.config.recallLimitSeconds = 3600
  t.ok(await eventually(() => limit() === 3600, 7000))

  user.mode = 'is away'
  user.config.recallLimitSeconds = 60
  await bus.broadcast(configChanged, { changed: ['recallLimitSeconds'], at: changedAt })
  await t.resolves(recall())
  user.mode = 'answers'
  t.ok(await eventually(() => limit() === 60, 7000))
})
