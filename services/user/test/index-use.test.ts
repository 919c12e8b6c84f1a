import {
  accounts,
  authKeys,
  collections,
  courses,
  friendRules,
  internalUsers,
  keyPairs,
  ownChanges,
  passwords,
  profiles,
  replayedUsers,
  reports,
  smsCodes,
  userPresence,
  userSettings,
  wallet,
  xmppAccounts,
} from '@im/contracts/user'
import { expiriesIn, startService, testEnv, watchQueries } from '@im/service-kit/testing'
import { test } from 'tap'
import { changeConfig } from '../src/config/change-config.ts'
import { forgetUser } from '../src/forget-user.ts'
import { recordPresences } from '../src/presence/record-presences.ts'
import { sampleUsers } from '../src/presence/sample-users.ts'
import { service } from '../src/service.ts'
import { makeAdmin } from '../src/system-users/make-admin.ts'
import { askProviders } from '../src/wallet/ask-providers.ts'
import { md5Of123456, postForm } from './start-user.ts'

test('every query the service sends uses an index', async (t) => {
  const env = testEnv({
    LIMIT_FACTOR: '0',
    ARGON2_MEMORY_KIB: '64',
    ARGON2_PASSES: '1',
    SMS_ECHO_CODE: 'true',
    PAYMENT_PROVIDER: 'sandbox',
    AUTHKEYS_MAC: 'off',
  })
  const { url, deps, internal: api } = await startService(t, service, { env })

  const queries = watchQueries(deps)
  await everythingOnce()
  const own = ['users', 'sessions', 'counters', 'names', 'config', 'searchable-users', 'user-counts']
  const kept = [
    'keys',
    'collected',
    'courses',
    'own-changes',
    'wallets',
    'journal',
    'recharges',
    'withdrawals',
    'openids',
  ]
  for (const collection of [...own, ...kept]) t.ok(queries.collections().has(collection), collection)
  await queries.demandIndexes(t)
  t.strictSame(await expiriesIn(deps.db), [
    'own-changes expireAt + 0',
    'page-sessions expiresAt + 0',
    'spent-secrets expireAt + 0',
    'user-counts expireAt + 0',
  ])

  async function everythingOnce(): Promise<void> {
    await makeAdmin(deps, { telephone: 'admin_1', passwordMd5: md5Of123456 })
    await changeConfig(deps, { registerInviteCode: 2, defaultTelephones: ['8613900000009'] })
    const telephone = '13900000001'
    const person = { telephone, password: '123456', nickname: 'alice', serial: 's' }
    const { myInviteCode: inviteCode } = await api.call(accounts.register, person)
    const { userId } = await api.call(accounts.register, { ...person, telephone: '13900000002', inviteCode })
    const as = { as: userId }
    const { code } = await api.call(smsCodes.sendSms, { telephone, isRegister: 0 })
    await api.call(accounts.login, { telephone, loginType: 1, verificationCode: code })
    for (const name of [telephone, `86${telephone}`, '4d009f30087e9aa9f5b5806d5f350017'])
      await api.envelope(accounts.login, { telephone: name, password: '123456' })
    await api.envelope(accounts.login, { telephone: '13712345678', areaCode: '49', password: 'nobody' })
    await api.call(smsCodes.verifyTelephone, { telephone, verifyType: 1 })
    await api.call(userSettings.updateSettings, { multipleDevices: 0, allowGreet: 0 }, as)
    await api.call(userSettings.getSettings, {}, as)
    const { access_token } = await api.call(accounts.login, { telephone: '13900000002', password: '123456' })
    await api.call(accounts.autoLogin, { access_token, userId, serial: 's2' })
    await api.call(accounts.autoLogin, { access_token: 'f'.repeat(32), userId })
    await api.call(profiles.updateUser, { account: 'alice_1', nickname: 'Alice', payPassword: '1' }, as)
    await api.call(profiles.getUser, { userId: 'alice_1' }, as)
    await api.call(profiles.getUserByAccount, { account: String(userId) }, as)
    await api.call(profiles.getOnlineState, {}, as)
    await recordPresences(deps, [{ userId, online: true, at: Date.now() }])
    await recordPresences(deps, [{ userId, online: false, at: Date.now() + 1 }])
    await api.call(xmppAccounts.authenticate, { userId, password: access_token, ip: '127.0.0.1' })
    await api.call(xmppAccounts.authenticate, { userId, password: md5Of123456, ip: '127.0.0.1' })
    await api.call(internalUsers.getContact, { userId })
    await api.call(internalUsers.getContacts, { userIds: String(userId) })
    await api.call(friendRules.getFriendRules, { userIds: String(userId) })
    await api.call(friendRules.findByTelephones, { telephones: `86:${telephone}` })
    await api.call(replayedUsers.pageUsers, { after: '1', pageSize: 2 })
    const grant = { grant_type: 'password', username: String(userId), password: '123456' }
    const first = (await postForm(url, '/oauth2/token', grant)).body as Record<string, string>
    const again = { grant_type: 'refresh_token', refresh_token: first['refresh_token'] ?? '' }
    const second = (await postForm(url, '/oauth2/token', again)).body as Record<string, string>
    const serviceKey = { 'x-service-key': deps.config.serviceKeys[0] ?? '' }
    await postForm(url, '/oauth2/introspect', { token: second['access_token'] ?? '' }, serviceKey)
    await postForm(url, '/oauth2/token', again)
    const third = (await postForm(url, '/oauth2/token', grant)).body as Record<string, string>
    await postForm(url, '/oauth2/revoke', { token: third['refresh_token'] ?? '' })
    await api.call(keyPairs.uploadKeyPair, { publicKey: 'a', privateKey: 'b' }, as)
    await api.call(authKeys.uploadDhKey, { publicKey: 'a', privateKey: 'b', mac: 'c' }, as)
    await api.call(authKeys.listDhKeys, {}, as)
    await api.call(collections.addCollected, { url: 'http://x' }, as)
    await api.call(collections.listEmoji, {}, as)
    await api.call(collections.listCollected, {}, as)
    await api.call(collections.listCollected, { type: 5 }, as)
    await api.call(collections.deleteCollected, { emojiId: 'f'.repeat(24) }, as)
    await api.call(courses.listCourses, {}, as)
    await api.envelope(courses.getCourse, { courseId: 'f'.repeat(24) }, as)
    await api.envelope(courses.deleteCourses, { courseId: 'f'.repeat(24) }, as)
    await api.call(ownChanges.listOwnChanges, {}, as)
    await api.call(wallet.recharge, { money: 1, type: 1 }, as)
    await api.call(wallet.bindWeChat, { code: 'x' }, as)
    await api.call(wallet.getBalance, {}, as)
    await deps.ledger.entriesOf(userId)
    await askProviders(deps)
    await sampleUsers(deps)
    await api.call(
      userPresence.listUserCounts,
      {},
      { as: { userId, sessionId: '', device: 'pc', kind: 'console', role: 6 } },
    )
    await api.call(reports.report, { webUrl: 'x', reason: 1 }, as)
    await api.call(reports.checkLink, { webUrl: 'x' }, as)
    await api.call(accounts.logout, {}, as)
    await api.call(passwords.updatePassword, { oldPassword: '123456', newPassword: 'new' }, as)
    const reset = await api.call(smsCodes.sendSms, { telephone, isRegister: 0 })
    await api.call(passwords.resetPassword, { telephone, randcode: reset.code, newPassword: 'x' })
    await api.call(internalUsers.setLocked, { userId, locked: 1 })
    await api.call(internalUsers.setLocked, { userId, locked: 0 })
    await api.call(internalUsers.deleteUser, { userId })
    await forgetUser(deps, userId)
  }
})
