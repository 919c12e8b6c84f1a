import { pushTokens } from '@im/contracts/push'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import type { Delivery } from '../src/providers/provider.ts'
import { newPush } from '../src/pushes/push-document.ts'
import { claimLasts } from '../src/pushes/pushes-repository.ts'
import { alice, bob, startPush } from './start-push.ts'

const conversation = `u:${alice}:${bob}`
const pushOf = (messageId: string, arrivedAt = Date.now()) => ({
  ...{ messageId, conversation, from: alice, to: bob, contentType: 1, isEncrypt: false },
  ...{ timeSend: Math.floor(arrivedAt / 1000), arrivedAt, text: messageId },
})

test('whose claim has run out says nothing of what another has claimed since', async (t) => {
  const { deps } = await startPush(t)
  const { pushes } = deps
  const later = Date.now() + 60_000
  const push = newPush(pushOf('one'), later)
  await pushes.add([push])
  const row = async () => (await pushes.ofMessages(conversation, ['one']))[0]
  t.match(await pushes.claim(later, 10, 'first', []), [{ claim: 'first', tries: 1 }])
  t.match(await pushes.claim(later + claimLasts + 1, 10, 'second', []), [{ claim: 'second', tries: 2 }])
  const claimed = await row()
  await pushes.finish([push._id], 'first')
  await pushes.postpone([push._id], later, 'first')
  await pushes.renew([push._id], later + 2 * claimLasts, 'first')
  await pushes.settle([{ id: push._id, sent: [], done: ['d'], next: 'never' }], 'first')
  t.strictSame(await row(), claimed)
  await pushes.settle([{ id: push._id, sent: ['d'], done: ['d'], next: 'never' }], 'first')
  t.strictSame(await row(), { ...claimed, sent: ['d'] }, 'but on which device it was shown, for a recall')
  await pushes.finish([push._id], 'second')
  t.match(await row(), { dueAt: undefined, claim: undefined })
})

test('who goes on where another died tells no device that needs nothing more', async (t) => {
  const { api, channels, deps } = await startPush(t)
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  await api.call(pushTokens.registerApns, { token: 'a1', isVoip: 0 }, { as: bob })
  const [fcm] = (await deps.tokens.of([bob])).filter(({ provider }) => provider === 'fcm')
  const done = [`${bob}:${fcm!._id.slice(0, 16)}`]
  await deps.pushes.add([{ ...newPush(pushOf('one'), Date.now()), claim: 'dead', tries: 1, done, sent: done }])
  await eventually(() => channels.on('a1').length === 1)
  await eventually(async () => !(await deps.pushes.ofMessages(conversation, ['one']))[0]?.dueAt)
  t.strictSame(channels.on('f1'), [])
  t.match((await deps.pushes.ofMessages(conversation, ['one']))[0], { sent: { length: 2 } })
})

test('what is under way stays claimed as long as it is', async (t) => {
  let ahead = 0
  const { api, channels, say, deps } = await startPush(t, { overrides: { now: () => Date.now() + ahead } })
  await api.call(pushTokens.registerFcm, { token: 'f1' }, { as: bob })
  const { promise, resolve } = Promise.withResolvers<Delivery>()
  let asked = 0
  channels.answer = () => {
    asked++
    return promise
  }
  const id = await say(alice, bob)
  await eventually(() => asked === 1)
  const row = async () => (await deps.pushes.ofMessages(conversation, [id]))[0]!
  const before = (await row()).dueAt!
  ahead = 2000
  await eventually(async () => (await row()).dueAt! > before)
  t.equal((await row()).tries, 1, 'it was kept, not claimed anew')
  resolve({ kind: 'accepted' })
  await eventually(async () => !(await row()).dueAt)
  t.equal(asked, 1)
})
