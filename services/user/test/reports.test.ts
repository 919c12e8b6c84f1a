import { configChanged, consoleConfig, internalReports, meetings, profiles, reports } from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('users, rooms and web pages are reported', async (t) => {
  const { api, person, peers, deps } = await startUser(t, { LIMIT_FACTOR: '1' })
  const alice = await person('alice')
  const bob = await person('bob')
  const jid = 'a'.repeat(32)
  const roomId = 'b'.repeat(24)
  peers.rooms.set(jid, { roomId, jid, members: new Map([[bob.userId, 1]]), allowSpeakCourse: 1 })
  const report = (params: object) => api.call(reports.report, { reason: 100, ...params }, { as: alice.caller })
  await report({ toUserId: bob.userId })
  await report({ roomId })
  await report({ roomId: jid, reason: 12_345 })
  await report({ webUrl: 'https://bad.example/x' })
  await t.rejects(report({}), failure('MissingParam'))
  await t.rejects(report({ toUserId: bob.userId, reason: '' }), failure('MissingParam'))
  await t.rejects(report({ toUserId: 99_999_999 }), failure('UserNotFound'))
  await t.rejects(report({ toUserId: 10_005 }), failure('UserNotFound'))
  await t.rejects(report({ roomId: 'c'.repeat(24) }), failure('RoomNotFound'))
  const stored = await deps.db.collection('reports').find().toArray()
  t.equal(stored.length, 4)
  t.ok(stored.every(({ userId, status }) => userId === alice.userId && status === 'open'))
  for (let n = 9; n < 20; n++) await report({ toUserId: bob.userId })
  await t.rejects(report({ toUserId: bob.userId }), failure('RateLimited'), '20 a day')
})

test('a blocked web page is blocked however it is written', async (t) => {
  const { api, internal, person } = await startUser(t)
  const { caller } = await person('alice')
  const check = (webUrl: string) => api.call(reports.checkLink, { webUrl }, { as: caller })
  await check('https://bad.example/page')
  await internal.call(internalReports.blockLink, { webUrl: 'https://Bad.example/page/' })
  for (const webUrl of ['https://bad.example/page', 'http://bad.example/page#top', 'BAD.example/page'])
    await t.rejects(check(webUrl), failure('LinkExpired'), webUrl)
  await check('https://bad.example/other')
  await check('https://bad.example/page?id=1')
  await internal.call(internalReports.blockLink, { webUrl: 'bad.example/page', blocked: 0 })
  await check('https://bad.example/page')
})

test('meetings are held where the configuration says', async (t) => {
  const { api, configure, person } = await startUser(t)
  const { caller } = await person('alice')
  await t.rejects(api.call(meetings.openMeeting, {}, { as: caller }), failure('FeatureDisabled'))
  await configure({ jitsiServer: 'https://meet.example/' })
  t.strictSame(await api.call(meetings.openMeeting, {}, { as: caller }), { meetUrl: 'https://meet.example/' })
})

test('do-not-disturb is the own setting of a user', async (t) => {
  const { api, person } = await startUser(t)
  const { caller } = await person('alice')
  const user = await api.call(profiles.updateDoNotDisturb, { offlineNoPushMsg: 1 }, { as: caller })
  t.equal(user.offlineNoPushMsg, 1)
  t.equal((await api.call(profiles.getUser, {}, { as: caller })).offlineNoPushMsg, 1)
})

test('the console shows and changes the configuration, and every change is recorded', async (t) => {
  const { api, deps, person, events } = await startUser(t)
  const { caller, userId } = await person('alice')
  const staff = (role: number) => ({ as: { ...caller, kind: 'console' as const, role } })
  const changed = await events(configChanged)
  for (const as of [{ as: caller }, staff(4)])
    await t.rejects(api.call(consoleConfig.showConfig, {}, as), failure('PermissionDenied'))
  await t.rejects(
    api.call(consoleConfig.setConfig, { XMPPTimeout: 60 } as never, staff(5)),
    failure('PermissionDenied'),
  )
  const set = (params: object) => api.call(consoleConfig.setConfig, params as never, staff(6))
  await set({ XMPPTimeout: 60, keywords: '["a","b"]', apiUrl: 'https://api.example', isAuthApi: 1 })
  await set({ config: JSON.stringify({ jitsiServer: 'https://meet.example', androidAppUrl: 'https://a.example/x' }) })
  await set({ androidAppUrl: '' })
  const config = await api.call(consoleConfig.showConfig, {}, staff(5))
  const { XMPPTimeout, keywords, apiUrl, isAuthApi, jitsiServer, androidAppUrl } = config
  t.strictSame(
    [XMPPTimeout, keywords, apiUrl, isAuthApi, jitsiServer, androidAppUrl],
    [60, ['a', 'b'], 'https://api.example/', 1, 'https://meet.example/', ''],
  )
  await eventually(() => changed.length >= 3)
  for (const bad of [
    { apiUrl: 'api.example' },
    { apiUrl: 'javascript:alert(1)' },
    { XMPPTimeout: 'soon' },
    { isAuthApi: 2 },
    { popularAPP: '{' },
  ])
    await t.rejects(set(bad), failure('InvalidParams'), JSON.stringify(bad))
  await t.rejects(set({}), failure('MissingParam'))
  const audit = await deps.db.collection('audit').find({ outcome: 'Success' }).sort({ at: 1 }).toArray()
  t.equal(audit.length, 3)
  t.equal(audit[0]?.['userId'], userId)
  t.match(audit[0]?.['notes'], { before: { XMPPTimeout: 180 }, after: { XMPPTimeout: 60 } })
})
