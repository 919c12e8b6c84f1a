import { employeesJoined, employeesLeft } from '@im/contracts/org'
import { blacklistChanged, friendChanged, userErased } from '@im/contracts/social'
import { accounts, profiles } from '@im/contracts/user'
import { eventPublisher, eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('profiles and logins name the company; its card is for colleagues', async (t) => {
  const { api, person, peers } = await startUser(t)
  const alice = await person('alice')
  const bob = await person('bob')
  const carol = await person('carol')
  const [first, second] = ['1'.repeat(24), '2'.repeat(24)]
  const company = { companyName: 'ACME', notice: 'welcome', createTime: 5, joinedAt: 6 }
  for (const { userId } of [alice, bob]) peers.employments.push({ userId, companyId: first, companyNo: 7, ...company })
  peers.employments.push({ userId: carol.userId, companyId: second, companyNo: 8, ...company })
  const seen = (viewer: typeof alice) => api.call(profiles.getUser, { userId: alice.userId }, { as: viewer.caller })
  const card = { id: 7, name: 'ACME', description: 'welcome', createTime: 5, website: '', scale: 0 }
  for (const viewer of [alice, bob]) t.match(await seen(viewer), { companyId: 7, company: card })
  const stranger = await seen(carol)
  t.strictSame([stranger.companyId, stranger.company], [7, undefined])
  const login = await api.call(accounts.login, { telephone: alice.phone, password: '123456' })
  t.equal(login.companyId, 7)
})

test('while other services are away people log in, and nobody is shown more than they may see', async (t) => {
  const { api, person, peers } = await startUser(t)
  const alice = await person('alice')
  const bob = await person('bob')
  peers.befriend(bob, alice)
  peers.counts.set(alice.userId, { attCount: 3, fansCount: 2, friendsCount: 1 })
  const logIn = () => api.call(accounts.login, { telephone: alice.phone, password: '123456' })
  t.match(await logIn(), { attCount: 3, fansCount: 2, friendCount: 1 })
  peers.badges.set(alice.userId, 4)
  const counts = { attCount: 3, fansCount: 2, friendsCount: 1 }
  t.match(await api.call(profiles.getUser, {}, { as: alice.caller }), { ...counts, msgNum: 4 })
  t.match(await api.call(profiles.getUser, { userId: alice.userId }, { as: bob.caller }), {
    msgNum: 0,
    friendsCount: 0,
  })
  peers.state.isAway = true
  t.match(await logIn(), { userId: alice.userId, companyId: 0, friendCount: 1 }, 'as it was known last')
  const strangersLogin = await api.call(accounts.login, { telephone: bob.phone, password: '123456' })
  t.match(strangersLogin, { userId: bob.userId, companyId: 0, friendCount: 0 })
  t.match(await api.call(profiles.getUser, {}, { as: alice.caller }), { nickname: 'alice', friendsCount: 0, msgNum: 0 })
  await t.rejects(
    api.call(profiles.getUser, { userId: alice.userId }, { as: bob.caller }),
    failure('ServiceUnavailable'),
  )
})

test('other services are asked for many logins together, and for a wrong password not at all', async (t) => {
  const { api, person, peers } = await startUser(t)
  const people = await Promise.all(['alice', 'bob', 'carol', 'dave', 'erin', 'frank'].map((name) => person(name)))
  for (const { userId } of people) peers.counts.set(userId, { attCount: 1, fansCount: 1, friendsCount: userId })
  peers.countCalls.length = 0
  const logIn = (telephone: string, password = '123456') => api.call(accounts.login, { telephone, password })
  await t.rejects(logIn(people[0]!.phone, 'wrong'), failure('WrongPassword'))
  t.strictSame(peers.countCalls, [])
  const told = await Promise.all([...people, ...people].map(({ phone }) => logIn(phone)))
  t.ok(
    told.every(({ userId, friendCount }) => friendCount === userId),
    'each with their own counts',
  )
  t.ok(peers.countCalls.length < told.length, `${peers.countCalls.length} calls for ${told.length} logins`)
})

test('a login asks no other service until one of them tells that something has changed', async (t) => {
  const { api, person, peers, env, passSeconds } = await startUser(t)
  const [alice, bob] = [await person('alice'), await person('bob')]
  const { userId } = alice
  const publish = eventPublisher(t, env)
  const logIn = async () => {
    const { friendCount, companyId } = await api.call(accounts.login, { telephone: alice.phone, password: '123456' })
    return { friendCount, companyId }
  }
  let friendsCount = 0
  /** Other services know more from now on; the user service does not until it hears of it. */
  const change = () => {
    friendsCount++
    peers.counts.set(userId, { attCount: 0, fansCount: 0, friendsCount })
  }
  change()
  t.strictSame(await logIn(), { friendCount: 1, companyId: 0 })
  peers.countCalls.length = 0
  change()
  t.equal((await logIn()).friendCount, 1)
  t.strictSame(peers.countCalls, [], 'nobody was asked')

  const at = Date.now()
  const pair = { userId: bob.userId, toUserId: userId, at }
  const befriended = { ...pair, status: 2, toStatus: 2, how: 'befriended' }
  const about = { companyId: '1'.repeat(24), companyNo: 7, companyName: 'ACME', at }
  const employment = { ...about, userId, notice: '', createTime: 5, joinedAt: 6 }
  const changes: [string, () => Promise<void>][] = [
    ['a friend', () => publish(friendChanged, 'pair', befriended)],
    ['a block', () => publish(blacklistChanged, 'pair', { ...pair, blocked: true })],
    ['a deleted friend', () => publish(userErased, bob.userId, { userId: bob.userId, friends: [userId], at })],
  ]
  for (const [what, tell] of changes) {
    await tell()
    t.ok(await eventually(async () => (await logIn()).friendCount === friendsCount), what)
    change()
    t.equal((await logIn()).friendCount, friendsCount - 1)
  }
  peers.employments.push(employment)
  await publish(employeesJoined, about.companyId, { ...about, userIds: [userId], joinedAt: 6 })
  t.ok(await eventually(async () => (await logIn()).companyId === 7), 'a job')
  peers.employments.length = 0
  await publish(employeesLeft, about.companyId, { ...about, userIds: [userId] })
  t.ok(await eventually(async () => (await logIn()).companyId === 0), 'the end of it')

  change()
  t.equal((await logIn()).friendCount, friendsCount - 1)
  passSeconds(2 * 86_400)
  t.equal((await logIn()).friendCount, friendsCount, 'a day later it is asked in any case')
})
