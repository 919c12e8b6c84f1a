import { profiles, userPresence } from '@im/contracts/user'
import { failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { recordPresences } from '../src/presence/record-presences.ts'
import { sampleUsers } from '../src/presence/sample-users.ts'
import { startUser } from './start-user.ts'

test('how many users were online is counted and shown to the staff', async (t) => {
  const { api, deps, person, passSeconds } = await startUser(t)
  const alice = await person('alice')
  const bob = await person('bob')
  const list = async (params: object) =>
    api.call(userPresence.listUserCounts, params, { as: { ...alice.caller, role: 4 } })
  await t.rejects(api.call(userPresence.listUserCounts, {}, { as: alice.caller }), failure('PermissionDenied'))

  // At noon, so that the story does not pass midnight.
  passSeconds((36 * 3600 - ((Date.now() / 1000) % 86_400) - new Date().getTimezoneOffset() * 60) % 86_400)
  const count = () => sampleUsers(deps)
  const at = () => deps.now()
  await count()
  await recordPresences(deps, [
    { userId: alice.userId, online: true, at: at() },
    { userId: bob.userId, online: true, at: at() },
  ])
  passSeconds(300)
  await count()
  await count()
  await recordPresences(deps, [{ userId: bob.userId, online: false, at: at() + 1 }])
  passSeconds(300)
  await count()

  const online = (await list({ type: 1 })).slice(-3)
  t.strictSame(
    online.map(({ count }) => count),
    [0, 2, 1],
  )
  t.ok(online.every(({ id, time, type }) => /^[0-9a-f]{24}$/.test(id) && time % 300 === 0 && type === 1))
  t.strictSame(
    (await list({ sign: 0 })).slice(-3).map(({ count }) => count),
    [2, 0, 1],
    'registered users who were offline',
  )
  t.strictSame(
    (await list({ sign: -2, type: 1 })).slice(-1).map(({ count, time }) => [count, time % 3600]),
    [[2, 0]],
    'the highest of each hour',
  )
  t.equal((await list({ sign: 3, type: 1 })).at(-1)?.count, 2, 'the highest of each day')
  const today = new Date(at()).toLocaleDateString('sv')
  t.equal((await list({ startDate: today, endData: today, type: 1, pageSize: 2 })).length, 2)
  t.strictSame(await list({ startData: '2020-01-01', endData: '2020-01-31' }), [])
  for (const bad of [{ startData: '2020-02-31' }, { startData: '1.1.2020' }, { sign: 7 }])
    await t.rejects(list(bad), failure('InvalidParams'), JSON.stringify(bad))
})

test('going offline is told by the app, and only to those who may see it', async (t) => {
  const { api, deps, person, peers } = await startUser(t)
  const alice = await person('alice')
  const bob = await person('bob')
  await t.rejects(
    api.call(userPresence.goOffline, { userId: bob.userId }, { as: alice.caller }),
    failure('PermissionDenied'),
  )
  await api.call(userPresence.goOffline, { userId: alice.userId }, { as: alice.caller })
  const { login } = await api.call(profiles.getUser, {}, { as: alice.caller })
  t.ok(Math.abs((login?.offlineTime ?? 0) - Date.now() / 1000) < 5)

  await recordPresences(deps, [{ userId: alice.userId, online: true, at: Date.now() }])
  const seen = () => api.call(profiles.getOnlineState, { userId: alice.userId }, { as: bob.caller })
  t.equal(await seen(), 1)
  peers.relate(bob, alice, { isBlocked: true })
  t.equal(await seen(), 0)
  t.equal((await api.call(profiles.getUser, { userId: alice.userId }, { as: bob.caller })).onlinestate, 0)
  t.equal(await api.call(profiles.getOnlineState, {}, { as: alice.caller }), 1)
})
