import { createHash } from 'node:crypto'
import type { Endpoint } from '@im/contracts'
import {
  accounts,
  authKeys,
  clientConfig,
  collections,
  courses,
  keyPairs,
  meetings,
  ownChanges,
  passwords,
  profiles,
  reports,
  smsCodes,
  userPresence,
  userSearch,
  userSettings,
  wallet,
} from '@im/contracts/user'
import { asMongoDb, countRoundTrips, failure, type TestCallOptions, type WireParams } from '@im/service-kit/testing'
import { test } from 'tap'
import { sandboxOpenids } from '../src/payments/sandbox.ts'
import { startUser } from './start-user.ts'

/**
 * Read once a second, whatever is asked; what every change that is announced takes (docs/decisions/016); and what tells the other replicas
 * of a session of the database that is used for the first time.
 */
const notCounted = new Set(['config', 'sequences', 'outbox', 'replicas'])
const most = 3

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

test('no call waits for the database more than three times, but for what its transaction takes', async (t) => {
  const env = { SMS_ECHO_CODE: 'true', PAYMENT_PROVIDER: 'sandbox', AUTHKEYS_MAC: 'off' }
  let isRefused = false
  const transfers = {
    transfer: async () =>
      isRefused ? ({ state: 'refused', reason: 'no' } as const) : ({ state: 'paid', paymentNo: 'n', at: 0 } as const),
    query: async () => undefined,
  }
  const user = await startUser(t, env, { payments: { isSandbox: true, transfers, openids: sandboxOpenids } })
  const { api, deps, person, peers } = user
  await user.configure({ jitsiServer: 'https://meet.test/' })
  const [alice, bob] = [await person('alice'), await person('bob')]
  peers.befriend(alice, bob)
  const ids = ['a'.repeat(32), 'b'.repeat(32)]
  for (const messageId of ids)
    peers.messages.push({ messageId, from: alice.userId, body: '{}', type: 1, readers: [alice.userId] })
  const counted = new Set<Endpoint>()

  async function count<E extends Endpoint>(
    endpoint: E,
    params: WireParams<E>,
    as: TestCallOptions | undefined = { as: alice.caller },
  ) {
    let refusal: unknown
    const call = () =>
      api.call(endpoint, params, as).catch((error) => {
        refusal = error
      })
    const { inTurn, commands } = await countRoundTrips(deps, call, { except: notCounted })
    const own = inTurn - commands.filter((name) => name === 'commitTransaction').length
    counted.add(endpoint)
    t.ok(own <= most, `${endpoint.path}: ${own} of ${most}: ${commands.join(', ')}`)
    if (refusal) throw refusal
  }

  const nobody: TestCallOptions = {}
  await count(clientConfig.getConfig, {}, nobody)
  await count(smsCodes.sendSms, { telephone: alice.phone, isRegister: 0 }, nobody)
  await count(smsCodes.verifyTelephone, { telephone: alice.phone, verifyType: 1 }, nobody)
  await count(accounts.register, { telephone: user.nextPhone(), password: 'x', nickname: 'n' }, nobody)
  // The first one keeps what other services know of her.
  await api.call(accounts.login, { telephone: alice.phone, password: '123456' })
  await count(accounts.login, { telephone: md5(alice.phone), password: '123456' }, nobody)
  const { access_token } = await api.call(accounts.login, { telephone: alice.phone, password: '123456' })
  await count(accounts.autoLogin, { access_token, userId: alice.userId }, nobody)
  await count(profiles.getUser, {})
  await count(profiles.getUser, { userId: bob.userId })
  await count(profiles.getUserByAccount, { account: String(bob.userId) })
  await count(profiles.getOnlineState, { userId: bob.userId })
  await count(profiles.updateUser, { nickname: 'Alice', account: 'alice_1', multipleDevices: 0 })
  await count(profiles.updateDoNotDisturb, { offlineNoPushMsg: 1 })
  await count(userSettings.getSettings, {})
  await count(userSettings.updateSettings, { allowGreet: 0 })
  await count(passwords.updatePayPassword, { payPassword: '1' })
  await count(passwords.checkPayPassword, { payPassword: '1' })
  await count(keyPairs.uploadKeyPair, { publicKey: 'a', privateKey: 'b' })
  await count(keyPairs.getPrivateKey, {})
  await count(authKeys.getPayPrivateKey, {})
  await count(authKeys.uploadMessageKeys, { rsaPublicKey: 'a', rsaPrivateKey: 'b', mac: 'c' })
  await count(authKeys.uploadDhKey, { publicKey: 'a', privateKey: 'b', mac: 'c' })
  await count(authKeys.uploadRsaKey, { publicKey: 'a', privateKey: 'b', mac: 'c' })
  await count(authKeys.listDhKeys, { userId: bob.userId })
  await count(collections.addCollected, { url: 'http://x' })
  await count(collections.listEmoji, {})
  await count(collections.listCollected, {})
  await count(collections.deleteCollected, { emojiId: 'f'.repeat(24) })
  await count(courses.addCourse, { courseName: 'c', messageIds: ids.join() })
  await count(courses.listCourses, {})
  const [course] = await api.call(courses.listCourses, {}, { as: alice.caller })
  await count(courses.getCourse, { courseId: course!.courseId })
  await count(courses.updateCourse, { courseId: course!.courseId, messageIds: ids[1]! })
  await count(courses.deleteCourses, { courseId: course!.courseId })
  await count(ownChanges.listOwnChanges, {})
  await count(meetings.openMeeting, {})
  await count(userPresence.goOffline, {})
  const staff = { userId: alice.userId, sessionId: '', device: 'pc', kind: 'console', role: 6 } as const
  await count(userPresence.listUserCounts, {}, { as: staff })
  await count(reports.report, { toUserId: bob.userId, reason: 100 })
  await count(reports.checkLink, { webUrl: 'x.test' })
  await count(userSearch.searchUsers, { nickname: 'bo' })
  await count(userSearch.findNearby, { nickname: 'bob' })
  const findNearby = () => api.call(userSearch.findNearby, { nickname: 'bob' }, { as: alice.caller })
  const asked = await asMongoDb(deps.db, () => countRoundTrips(deps, findNearby, { except: notCounted }))
  t.ok(asked.inTurn <= 2, `MongoDB is asked twice: ${asked.commands.join(', ')}`)
  await count(userSearch.listNewUsers, {})
  await count(wallet.recharge, { money: 10, type: 1 })
  await count(wallet.getBalance, {})
  await count(wallet.bindWeChat, { code: 'x' })
  const withdrawer = { as: alice.caller, token: alice.token }
  const withdrawal = (amount: string) => {
    const time = String(Math.floor(Date.now() / 1000))
    return {
      amount,
      time,
      secret: md5(`sandbox-${alice.userId}${alice.userId}${md5(`${alice.token}${amount}${time}`)}`),
    }
  }
  await count(wallet.withdraw, withdrawal('500'), withdrawer)
  isRefused = true
  await t.rejects(count(wallet.withdraw, withdrawal('400'), withdrawer), failure('WithdrawFailed'))
  await count(accounts.logout, {})
  await count(passwords.updatePassword, { oldPassword: '123456', newPassword: 'new' })
  const { code } = await api.call(smsCodes.sendSms, { telephone: bob.phone, isRegister: 0 })
  await count(passwords.resetPassword, { telephone: bob.phone, randcode: code, newPassword: 'x' }, nobody)

  const served = [
    ...[accounts, profiles, userSettings, passwords, keyPairs, collections, courses, ownChanges, meetings, reports],
    ...[userPresence, userSearch, wallet],
  ]
  // Keys of payments need a mac of the pay password: see keys.test.ts.
  const left = new Set<Endpoint>([authKeys.uploadPayKey])
  for (const endpoint of [...served, authKeys].flatMap((contract): Endpoint[] => Object.values(contract)))
    t.ok(counted.has(endpoint) || left.has(endpoint), `${endpoint.path} is counted`)
})
