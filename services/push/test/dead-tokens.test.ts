import { pushTokens } from '@im/contracts/push'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, carol, startPush } from './start-push.ts'

test('a token that is registered again while its provider calls the old registration dead lives', async (t) => {
  const { api, channels, say, deps } = await startPush(t)
  const register = () => api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  await register()
  channels.answer = async () => {
    const since = Date.now()
    await eventually(() => Date.now() > since)
    await register()
    return { kind: 'dead', since }
  }
  await say(alice, bob)
  const settled = async () => (await deps.db.collection('pushes').countDocuments({ dueAt: { $exists: true } })) === 0
  const queued = async () => (await deps.db.collection('pushes').countDocuments({})) === 1
  await eventually(async () => (await queued()) && (await settled()))
  t.equal((await deps.tokens.of([bob])).length, 1)
  channels.answer = () => ({ kind: 'accepted' })
  await say(alice, bob, { text: 'still there?' })
  await eventually(() => channels.on('f1').length === 1)

  channels.answer = () => ({ kind: 'dead', since: Date.now() })
  await say(alice, bob)
  await eventually(async () => (await deps.tokens.of([bob])).length === 0)
})

test('nobody takes the place of what another wrote by using its id', async (t) => {
  const [roomId, jid] = ['a'.repeat(24), 'b'.repeat(32)]
  const { api, channels, say } = await startPush(t, {
    prepare(state) {
      const members = [alice, bob, carol].map((userId) => ({ userId, offlineNoPushMsg: 0 }))
      const data = { roomId, jid, name: 'three', dissolved: false, members }
      state.rooms.push({ aggregate: roomId, sequence: 0, data })
    },
  })
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  const id = await say(alice, jid, { text: 'first' })
  await eventually(() => channels.on('f1').length === 1)
  await say(carol, jid, { text: 'second', id })
  await eventually(() => channels.on('f1').length === 2)
  t.not(channels.on('f1')[0]?.id, channels.on('f1')[1]?.id)
})
