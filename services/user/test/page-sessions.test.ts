import { internalPageSessions, internalSessions, internalUsers, passwords, xmppAccounts } from '@im/contracts/user'
import { failure, watchQueries } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { tokenId } from '../src/sessions/tokens.ts'
import { md5Of123456, startUser } from './start-user.ts'

async function startWithAccount(t: Test, env: Record<string, string> = {}) {
  const running = await startUser(t, { ALLOW_PUBLIC_REGISTER: 'true', ...env })
  const { internal, person } = running
  const news = await person('news', { userType: 2 })
  const logIn = (username: string, password = '123456') =>
    internal.call(internalPageSessions.openAccountSession, { username, password, ip: '10.1.1.1' })
  const resolve = async (token: string, fresh: 0 | 1 = 1) =>
    (await internal.call(internalSessions.resolveSession, { sessionId: tokenId(token), fresh })).session
  return { ...running, news, logIn, resolve }
}

test('a public account logs in to its pages with each of its names, and its app stays logged in', async (t) => {
  const { deps, news, logIn, resolve } = await startWithAccount(t)
  const queries = watchQueries(deps)
  for (const name of [news.phone, `86${news.phone}`, String(news.userId)]) {
    const { accessToken, userId, nickname } = await logIn(name)
    t.strictSame([userId, nickname], [news.userId, 'news'])
    t.match(accessToken, /^[0-9a-f]{32}$/)
    t.match(await resolve(accessToken), { userId, kind: 'mp' })
  }
  t.match(await resolve(news.token), { kind: 'user' })
  await queries.demandIndexes(t)
})

test('who has no password for it, or is no public account, gets no session', async (t) => {
  const { logIn, news, person, internal, deps } = await startWithAccount(t)
  const alice = await person('alice')
  const { hasher } = deps
  const verify = hasher.verify.bind(hasher)
  let checks = 0
  hasher.verify = (...args) => {
    checks++
    return verify(...args)
  }
  await t.rejects(logIn(news.phone, 'wrong'), failure('WrongPassword'))
  await t.rejects(logIn('13000000000'), failure('WrongPassword'), 'unknown names look the same')
  await t.rejects(logIn('10000'), failure('WrongPassword'), 'system accounts have no password')
  t.equal(checks, 3, 'and take as long')
  await t.rejects(logIn(alice.phone), failure('NotPublicAccount'))
  await t.rejects(logIn(alice.phone, 'wrong'), failure('WrongPassword'), 'only the owner is told')
  await internal.call(internalUsers.setLocked, { userId: news.userId, locked: 1 })
  await t.rejects(logIn(news.phone), failure('AccountLocked'))
})

test('a session lives 30 minutes after its last use', async (t) => {
  const { news, logIn, resolve, passSeconds } = await startWithAccount(t)
  const { accessToken } = await logIn(news.phone)
  for (let n = 0; n < 3; n++) {
    passSeconds(1700)
    t.ok(await resolve(accessToken))
  }
  t.ok(await resolve(accessToken, 0))
  passSeconds(1801)
  t.notOk(await resolve(accessToken))
})

test('a session ends by logout, a password change, a lock, and beyond ten of an account', async (t) => {
  const { api, internal, news, logIn, resolve } = await startWithAccount(t)
  const [first, second] = [await logIn(news.phone), await logIn(news.phone)]
  await internal.call(internalPageSessions.endPageSession, { sessionId: tokenId(first.accessToken) })
  await internal.call(internalPageSessions.endPageSession, { sessionId: tokenId(first.accessToken) })
  t.strictSame([await resolve(first.accessToken), (await resolve(second.accessToken))?.kind], [undefined, 'mp'])
  const oldPassword = md5Of123456
  await api.call(passwords.updatePassword, { oldPassword, newPassword: 'other' }, { as: news.caller })
  t.notOk(await resolve(second.accessToken))
  const many = []
  for (let n = 0; n < 11; n++) many.push(await logIn(news.phone, 'other'))
  t.notOk(await resolve(many[0]!.accessToken))
  t.ok(await resolve(many[1]!.accessToken))
  await internal.call(internalUsers.setLocked, { userId: news.userId, locked: 1 })
  t.notOk(await resolve(many[10]!.accessToken))
})

test('a session ends when its user is locked, or no public account any more', async (t) => {
  const { deps, news, logIn, resolve } = await startWithAccount(t)
  const { accessToken } = await logIn(news.phone)
  t.ok(await resolve(accessToken))
  // Whatever becomes of the session.
  await deps.outbox.commit((change) => deps.users.setStatus(news.userId, -1, change))
  t.notOk(await resolve(accessToken))
  await deps.outbox.commit((change) => deps.users.setStatus(news.userId, 1, change))
  t.ok(await resolve(accessToken))
  await deps.db.collection('users').updateOne({ _id: news.userId as never }, { $set: { userType: 0 } })
  t.notOk(await resolve(accessToken))
})

test('logins of the same moment each get a session', async (t) => {
  const { news, logIn, resolve } = await startWithAccount(t)
  const both = await Promise.all([logIn(news.phone), logIn(news.phone), logIn(news.phone)])
  for (const { accessToken } of both) t.ok(await resolve(accessToken))
  t.equal(new Set(both.map(({ accessToken }) => accessToken)).size, 3)
})

test('such a session opens no stream, and wrong passwords close the account as everywhere', async (t) => {
  const { internal, news, logIn } = await startWithAccount(t, { LIMIT_FACTOR: '1' })
  const { accessToken } = await logIn(news.phone)
  const stream = { userId: news.userId, password: accessToken, ip: '10.2.2.2' }
  await t.rejects(internal.call(xmppAccounts.authenticate, stream), failure('WrongPassword'))
  for (let n = 0; n < 9; n++) await t.rejects(logIn(news.phone, 'wrong'), failure('WrongPassword'))
  await t.rejects(logIn(news.phone), failure('LoginTooOften'))
})
