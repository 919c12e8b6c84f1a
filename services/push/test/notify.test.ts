import type { errors } from '@im/contracts'
import { serverMessages } from '@im/contracts/message'
import { notifications, pushTokens } from '@im/contracts/push'
import { internalRelations, pairOf } from '@im/contracts/social'
import { eventually, failure, stub } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { alice, bob, carol, startPush } from './start-push.ts'

const staff = { userId: carol, sessionId: 's', device: 'web', kind: 'console' as const, role: 5 }

interface Sent {
  from: number
  type: number
  content: string
  more?: Record<string, unknown> | undefined
  receivers: { userId: number; messageId: string }[]
}

async function start(t: Test) {
  const sent: Sent[] = []
  const friends = new Set([pairOf(alice, bob)])
  const blockers = new Set<number>()
  const side = (user: number) => ({ status: 2, hasBlocked: blockers.has(user) })
  const push = await startPush(t, {
    stubs: [
      stub(internalRelations.getStandings, (_, { params }) => ({
        standings: params.pairs.map((pair) => {
          const [low, high] = pair.split(':').map(Number) as [number, number]
          return { pair, ...(friends.has(pair) ? { low: side(low), high: side(high) } : {}) }
        }),
      })),
      stub(serverMessages.sendToUsers, (_, { params }) => {
        sent.push(params as Sent)
        return { sent: params.receivers.length, known: 0 }
      }),
    ],
  })
  await push.api.call(pushTokens.registerFcm, { token: 'f' }, { as: bob })
  return { ...push, sent, friends, blockers }
}

test('a notification is pushed for other servers, for staff, and for a user to a friend', async (t) => {
  const { api, internal, channels, state } = await start(t)
  const body = JSON.stringify({ type: 1, content: 'hello', messageId: 'm1' })
  await internal.call(notifications.notify, { from: alice, to: bob, body })
  await internal.call(notifications.notify, { from: alice, to: bob, body })
  await api.call(notifications.notify, { from: alice, to: bob, body: 'plain' }, { as: alice })
  await api.call(notifications.notify, { from: alice, to: bob, body: '{"type":2}' }, { as: staff })
  await eventually(() => channels.sent.length === 3)
  t.same(
    channels.sent.map(({ body }) => body).sort(),
    ['alice:[图片]', 'alice:hello', 'alice:plain'],
    'a message of one id is pushed once',
  )
  const refused = async (params: object, as: Parameters<typeof api.call>[2], name: keyof typeof errors) =>
    t.rejects(api.call(notifications.notify, { from: alice, to: bob, body: 'x', ...params }, as), failure(name))
  await refused({}, { as: carol }, 'PermissionDenied')
  await refused({ to: carol }, { as: alice }, 'PermissionDenied')
  await refused({}, { as: { ...staff, role: 4 } }, 'PermissionDenied')
  await refused({ to: 10_009_999 }, { as: staff }, 'UserNotFound')
  await refused({ to: carol }, { as: staff }, 'PushFailed')
  await refused({ body: '{"type":-1}' }, { as: staff }, 'InvalidParams')
  await internal.call(notifications.notify, { from: alice, to: bob, body: 'old', ts: Date.now() / 1000 - 3700 })
  state.present.add(bob)
  await internal.call(notifications.notify, { from: alice, to: bob, body: 'not while he is there' })
  state.users.set(carol, 'carol')
  await api.call(pushTokens.registerFcm, { token: 'c' }, { as: carol })
  await internal.call(notifications.notify, { from: alice, to: carol, body: 'last', ts: Date.now() / 1000 + 36_000 })
  await eventually(() => channels.on('c').length === 1)
  t.ok(Number(channels.on('c')[0]?.data['timeSend']) <= Date.now() / 1000, 'nothing is written in the future')
  t.equal(channels.sent.length, 4)
})

test('of what a notification says no more is kept than it shows', async (t) => {
  const { internal, channels, deps } = await start(t)
  const long = '好'.repeat(20_000)
  for (const more of [{}, { isReadDel: 1 }, { isEncrypt: 1 }])
    await internal.call(notifications.notify, {
      ...{ from: alice, to: bob, body: JSON.stringify({ type: 1, content: long, ...more }) },
    })
  await eventually(() => channels.sent.length === 3)
  const shown = channels.sent.map(({ body }) => body).sort()
  t.strictSame(shown, [`alice:${'好'.repeat(44)}...`, 'alice:[消息]', 'alice:[点击查看T]'].sort())
  const kept = await deps.db.collection('pushes').find().toArray()
  t.strictSame(kept.map(({ text }) => text.length).sort(), [0, 0, 200])
})

test('between friends of whom one has blocked the other nothing is pushed', async (t) => {
  const { api, channels, blockers } = await start(t)
  const notify = (body: string) => api.call(notifications.notify, { from: alice, to: bob, body }, { as: alice })
  for (const blocker of [alice, bob]) {
    blockers.add(blocker)
    await t.rejects(notify('blocked'), failure('PermissionDenied'))
    blockers.clear()
  }
  await notify('friends')
  await eventually(() => channels.sent.length === 1)
  t.match(channels.sent, [{ body: 'alice:friends' }])
})

test('Baidu alone is asked, where the user has a device of it', async (t) => {
  const { internal, api, channels } = await start(t)
  await t.rejects(internal.call(notifications.notifyByBaidu, { from: alice, to: bob }), failure('PushFailed'))
  await api.call(pushTokens.registerBaidu, { channelId: 'b', deviceId: '2' }, { as: bob })
  await internal.call(notifications.notifyByBaidu, { from: alice, to: bob, content: 'by baidu' })
  await eventually(() => channels.sent.length === 1)
  t.match(channels.sent, [{ provider: 'baidu', body: 'alice:by baidu' }])
  channels.missing.add('baidu')
  await t.rejects(internal.call(notifications.notifyByBaidu, { from: alice, to: bob }), failure('FeatureDisabled'))
})

test('a notice goes to each user who exists, from 10005, once', async (t) => {
  const { internal, api, sent } = await start(t)
  const body = JSON.stringify({ type: 1, content: 'maintenance', messageId: 'n1', fromUserId: '1', objectId: 'o' })
  const params = { text: `${alice},${bob},10009999`, body }
  await internal.call(notifications.sendNotice, params)
  await api.call(notifications.sendNotice, params, { as: staff })
  t.match(sent[0], { from: 10_005, type: 1, content: 'maintenance', more: { objectId: 'o' } })
  t.same(sent[0]?.more, { objectId: 'o' })
  t.same(
    sent[0]?.receivers.map(({ userId }) => userId),
    [alice, bob],
  )
  t.same(
    sent[1]?.receivers.map(({ messageId }) => messageId),
    sent[0]?.receivers.map(({ messageId }) => messageId),
  )
  await t.rejects(api.call(notifications.sendNotice, params, { as: alice }), failure('PermissionDenied'))
  await t.rejects(
    internal.call(notifications.sendNotice, { ...params, body: '{"type":201}' }),
    failure('InvalidParams'),
  )
})

test('of a given body nothing is read that no message may have', async (t) => {
  const { api, internal, channels, sent } = await start(t)
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  for (const body of [`{"type":1,"content":${deep}}`, `{"type":${deep}}`])
    await api.call(notifications.notify, { from: alice, to: bob, body }, { as: alice })
  await eventually(() => channels.sent.length === 2)
  t.match(channels.sent, Array(2).fill({ body: /^alice:\{"type"/ }), 'they are texts')
  const refused = '{"type":1,"content":"a\\u0000b"}'
  await t.rejects(
    api.call(notifications.notify, { from: alice, to: bob, body: refused }, { as: alice }),
    failure('InvalidParams'),
  )
  const notice = (body: string) => internal.call(notifications.sendNotice, { text: [alice], body })
  const wrong = ['"$set":1', '"a":{"$ne":1}', '"a":[1]', '"__proto__":{"b":1}', '"a b":1'].map(
    (field) => `{"type":1,"content":"x",${field}}`,
  )
  for (const body of [refused, ...wrong]) await t.rejects(notice(body), failure('InvalidParams'), body)
  await notice('{"type":1,"content":"\\ud83d","fileName":null,"objectId":"o"}')
  t.match(sent, [{ content: '\ufffd', more: { objectId: 'o' } }])
  t.same(sent[0]?.more, { objectId: 'o' })
})

test('browsers register for Web Push with the key of the server', async (t) => {
  const { api, deps } = await start(t)
  await t.rejects(api.call(pushTokens.getWebPushKey, {}, { as: alice }), failure('FeatureDisabled'))
  const point = Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)]).toString('base64url')
  const subscription = {
    endpoint: 'https://push.example/x',
    p256dh: point,
    auth: Buffer.alloc(16).toString('base64url'),
  }
  await t.rejects(api.call(pushTokens.registerWebPush, subscription, { as: alice }), failure('FeatureDisabled'))
  await api.call(pushTokens.registerHonor, { token: 'h' }, { as: alice })
  t.match(await deps.tokens.of([alice]), [{ provider: 'honor', device: 'android', token: 'h' }])
})
