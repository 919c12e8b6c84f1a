import { pushTokens } from '@im/contracts/push'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { startApns, topic } from './providers/apns-server.ts'
import { startFcm } from './providers/fcm-server.ts'
import { alice, bob, startPush } from './start-push.ts'

test('a provider that is away for a minute: nothing is lost or comes twice, and another provider is not held up', async (t) => {
  const [apns, fcm] = [await startApns(t), await startFcm(t)]
  let ahead = 0
  const { api, say, deps } = await startPush(t, {
    env: { ...apns.env, ...fcm.env },
    realProviders: true,
    overrides: { now: () => Date.now() + ahead },
  })
  const [iphone, android] = [apns.token(1), fcm.token(1)]
  await api.call(pushTokens.registerApns, { token: iphone, isVoip: 0, appId: topic }, { as: bob })
  await api.call(pushTokens.registerFcm, { token: android }, { as: bob })
  const pushes = deps.db.collection('pushes')
  /** Every message was handed to APNs in vain so often, and waits. */
  const failed = (messages: number, tries: number) =>
    eventually(async () => {
      const waiting = { waiting: { $exists: true }, claim: { $exists: false }, tries: { $gte: tries } }
      return (await pushes.countDocuments(waiting)) === messages
    }, 30_000)
  function pass(ms: number) {
    ahead += ms
    apns.clock.ahead = ahead
  }

  const ids = [await say(alice, bob, { text: 'before' })]
  await eventually(() => apns.shown.length === 1 && fcm.shown.length === 1, 20_000)
  await apns.goDown()
  for (const text of ['one', 'two', 'three']) ids.push(await say(alice, bob, { text }))
  await eventually(() => fcm.shown.length === 4, 20_000)
  await failed(3, 1)
  pass(31_000)
  await failed(3, 2)
  ids.push(await say(alice, bob, { text: 'four' }))
  await failed(4, 1)
  await apns.comeBack()
  pass(31_000)
  await eventually(() => ids.every((id) => apns.shown.some(({ data }) => data['messageId'] === id)), 30_000)
  await eventually(async () => (await pushes.countDocuments({ dueAt: { $exists: true } })) === 0, 20_000)
  for (const { shown, problems } of [apns, fcm]) {
    t.strictSame(shown.map(({ data }) => data['messageId']).sort(), [...ids].sort(), 'each message once')
    t.same(problems, [])
  }
  t.equal(new Set(apns.shown.map(({ more }) => more['collapseId'])).size, ids.length)
})
