import {
  accounts,
  authKeys,
  collections,
  courses as coursesContract,
  internalUsers,
  keyPairs,
  profiles,
  sessionRevoked,
  userDeleted,
  wallet,
} from '@im/contracts/user'
import { ErasedUsers, eraseAgainAfter } from '@im/service-kit'
import { collectionsWith, eventually, failure, startService } from '@im/service-kit/testing'
import { test } from 'tap'
import { service } from '../src/service.ts'
import { makeAdmin } from '../src/system-users/make-admin.ts'
import { md5Of123456, type Person, startUser } from './start-user.ts'

test('a deleted user is gone, and their names are free', async (t) => {
  const { api, internal, deps, person, events } = await startUser(t, { PAYMENT_PROVIDER: 'sandbox' })
  const alice = await person('alice')
  const bob = await person('bob')
  await api.call(profiles.updateUser, { account: 'the_one' }, { as: alice.caller })
  await api.call(keyPairs.uploadKeyPair, { publicKey: 'cHVi', privateKey: 'cHJpdg==' }, { as: alice.caller })
  await api.call(wallet.bindWeChat, { code: 'c' }, { as: alice.caller })
  await api.call(wallet.recharge, { money: 5, type: 1 }, { as: alice.caller })
  await api.call(collections.addCollected, { url: 'http://x' }, { as: alice.caller })
  await deps.ownChanges.put([{ userId: alice.userId, tag: 'label', friendId: '', at: Date.now() }])
  const before = await collectionsWith(deps.db, alice.userId)
  t.ok(
    ['openids', 'keys', 'collected', 'own-changes', 'sessions'].every((name) => before.includes(name)),
    before.join(),
  )
  const deleted = await events(userDeleted)
  const revoked = await events(sessionRevoked)

  await internal.call(internalUsers.deleteUser, { userId: alice.userId })
  await t.rejects(internal.call(internalUsers.deleteUser, { userId: alice.userId }), failure('UserNotFound'))
  await t.rejects(api.call(profiles.getUser, { userId: alice.userId }, { as: bob.caller }), failure('UserNotFound'))
  await t.rejects(api.call(accounts.login, { telephone: alice.phone, password: '123456' }), failure('AccountNotFound'))
  t.equal(await deps.sessions.live(alice.caller.sessionId, Date.now()), undefined)
  await eventually(() => deleted.length && revoked.some(({ reason }) => reason === 'deleted'))
  t.strictSame(
    deleted.map(({ userId, nickname }) => [userId, nickname]),
    [[alice.userId, 'alice']],
    'announced once',
  )
  await eventually(async () => !(await deps.openids.of(alice.userId)))
  await eventually(async () => !(await deps.keys.pairOf(alice.userId, 'pair')))
  t.equal((await deps.ledger.of(alice.userId)).balance, 500, 'what was paid stays in the books')
  const inBooks = ['journal', 'recharges', 'wallets']
  await eventually(async () => (await collectionsWith(deps.db, alice.userId)).join() === inBooks.join())
  t.strictSame(await collectionsWith(deps.db, alice.userId), inBooks, 'and nothing else')

  await api.call(profiles.updateUser, { account: 'THE_ONE' }, { as: bob.caller })
  const again = await api.call(accounts.register, { telephone: alice.phone, password: 'x', nickname: 'carol' })
  t.ok(again.userId > bob.userId, 'an id is never used again')
})

test('a call that is under way while its user is deleted leaves nothing of them', async (t) => {
  const env = { PAYMENT_PROVIDER: 'sandbox', AUTHKEYS_MAC: 'off' }
  const { api, internal, deps, person, peers, env: settings } = await startUser(t, env)
  const { keys, collected, courses, payments, ownChanges } = deps
  let forgotten = 0
  const forget = ownChanges.removeUser.bind(ownChanges)
  ownChanges.removeUser = async (userId) => {
    await forget(userId)
    forgotten++
  }
  const pair = { publicKey: 'cHVi', privateKey: 'cHJpdg==' }
  type Kept = Record<string, (...given: never[]) => Promise<unknown>>
  const calls: [string, Kept, string, (as: { as: Person['caller'] }) => Promise<unknown>][] = [
    ['a key pair', keys as never, 'setPair', (as) => api.call(keyPairs.uploadKeyPair, pair, as)],
    [
      ...(['message keys', keys as never, 'setMessageKeys'] as const),
      (as) => api.call(authKeys.uploadDhKey, { ...pair, mac: 'x' }, as),
    ],
    ['a WeChat account', payments.openids as never, 'openidOf', (as) => api.call(wallet.bindWeChat, { code: 'c' }, as)],
    ['an emoji', collected as never, 'add', (as) => api.call(collections.addCollected, { url: 'http://x' }, as)],
    [
      ...(['a course', courses as never, 'add'] as const),
      (as) => api.call(coursesContract.addCourse, { courseName: 'c', messageIds: 'm', roomJid: '0' }, as),
    ],
  ]
  for (const [what, repository, method, call] of calls) {
    const alice = await person('alice')
    const { userId } = alice
    peers.messages.push({ messageId: 'm', from: userId, body: '{}', type: 1, readers: [userId] })
    const keep = repository[method]!.bind(repository)
    const before = forgotten
    repository[method] = async (...given) => {
      if (forgotten === before) {
        await internal.call(internalUsers.deleteUser, { userId })
        await eventually(() => forgotten > before)
      }
      return await keep(...given)
    }
    await t.rejects(call({ as: alice.caller }), failure('TokenInvalid'), what)
    // The counter of ids names the last one.
    t.strictSame(await collectionsWith(deps.db, userId), ['counters'], what)
    repository[method] = keep
  }

  // Whose process dies before it looks.
  const { userId } = await person('bob')
  const before = forgotten
  await internal.call(internalUsers.deleteUser, { userId })
  await eventually(() => forgotten > before)
  await keys.setPair(userId, pair)
  await startService(t, service, { env: settings, overrides: { now: () => Date.now() + eraseAgainAfter } })
  await eventually(async () => (await collectionsWith(deps.db, userId)).join() === 'counters')
  await eventually(async () => (await deps.db.collection('erased_users').countDocuments()) === 0)
})

test('one who can not be erased again stops nobody else', async (t) => {
  const { deps } = await startUser(t)
  let now = 0
  const erasedUsers = new ErasedUsers(deps.db, () => now)
  for (const userId of [1, 2]) {
    now += 1
    await erasedUsers.note(userId)
  }
  now += eraseAgainAfter
  const erased: number[] = []
  const erasing = erasedUsers.start(deps, async (userId) => {
    erased.push(userId)
    if (userId === 1) throw new Error('it fails each time')
  })
  await eventually(() => erased.length === 2)
  await erasing.close()
  const left = await deps.db.collection('erased_users').find().toArray()
  t.match(left, [{ _id: 1, againAt: new Date(now + eraseAgainAfter) }], 'it comes to its turn later')
})

test('accounts of the system and of the console can not be deleted', async (t) => {
  const { internal, deps } = await startUser(t)
  await makeAdmin(deps, { telephone: 'admin_1', passwordMd5: md5Of123456 })
  const admin = await deps.users.byName('admin_1')
  for (const userId of [10_000, 10_005, admin?._id ?? 0])
    await t.rejects(internal.call(internalUsers.deleteUser, { userId }), failure('SystemAccountProtected'))
})
