import { presencesChanged } from '@im/contracts/message'
import { pushTokens } from '@im/contracts/push'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, carol, type PushUnderTest, startPush } from './start-push.ts'

const goOffline = async ({ state, publish }: PushUnderTest, userId: number) => {
  state.present.delete(userId)
  await publish(presencesChanged, 'server', { changes: [{ userId, online: false, at: Date.now() }] })
}

test('who seemed to be online is told of what came then, once their connection counts as lost', async (t) => {
  const push = await startPush(t)
  const { api, channels, say, state } = push
  for (const userId of [bob, carol]) await api.call(pushTokens.registerFcm, { token: `f${userId}` }, { as: userId })
  state.present.add(bob)
  const asked = () => state.asked.filter((path) => path === 'present').length
  await say(alice, bob, { text: 'lost' })
  await say(alice, bob, { text: 'too old', arrivedAt: Date.now() - 3_700_000 })
  await eventually(() => asked() > 0)
  await say(alice, carol, { text: 'to another' })
  await eventually(() => channels.on(`f${carol}`).length === 1)
  t.strictSame(channels.on(`f${bob}`), [])
  await goOffline(push, bob)
  await eventually(() => channels.on(`f${bob}`).length === 1)
  t.match(channels.on(`f${bob}`), [{ body: 'alice:lost', badge: 1 }])

  await goOffline(push, bob)
  await goOffline(push, alice)
  await say(alice, bob, { text: 'next' })
  await eventually(() => channels.on(`f${bob}`).length === 2)
  t.match(channels.on(`f${bob}`)[1], { body: 'alice:next', badge: 2 })
  const questions = state.asked.filter((path) => path === 'unconfirmed')
  await goOffline(push, bob)
  await eventually(() => state.asked.filter((path) => path === 'unconfirmed').length > questions.length)
  await say(alice, carol, { text: 'last' })
  await eventually(() => channels.on(`f${carol}`).length === 2)
  t.equal(channels.on(`f${bob}`).length, 2, 'once')
})

test('who came back in the moment before a push and was lost again is told', async (t) => {
  const push = await startPush(t, { env: { PUSH_DELAY: '3' } })
  const { api, channels, say, state, deps } = push
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  const id = await say(alice, bob, { text: 'between' })
  const row = async () => (await deps.pushes.ofMessages(`u:${alice}:${bob}`, [id]))[0]
  await eventually(async () => (await row()) !== undefined)
  state.present.add(bob)
  await eventually(async () => !(await row())?.dueAt)
  t.strictSame(channels.sent, [])
  await goOffline(push, bob)
  await eventually(() => channels.on('f1').length === 1)
  t.match(channels.on('f1'), [{ body: 'alice:between', badge: 1 }])
})
