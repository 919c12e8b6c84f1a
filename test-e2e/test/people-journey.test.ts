import { createCipheriv, createHash, createHmac } from 'node:crypto'
import { archive } from '@im/contracts/message'
import { rooms } from '@im/contracts/room'
import { addressBook, blacklists, follows, friends, labels } from '@im/contracts/social'
import {
  accounts,
  authKeys,
  clientConfig,
  collections,
  courses,
  internalUsers,
  ownChanges,
  passwords,
  profiles,
  userSearch,
  userSettings,
  wallet,
} from '@im/contracts/user'
import { createTestClient, eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import type { Person } from '../src/people.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')
const apiKey = 'key-of-the-apps'

/** What an app sends with new message keys (spec crypto.md §8). */
function messageKeyMac(telephone: string, passwordMd5: string): string {
  const iv = Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex')
  const cipher = createCipheriv('aes-128-cbc', Buffer.from(passwordMd5, 'hex'), iv)
  const data = Buffer.concat([cipher.update(apiKey), cipher.final()])
  return createHmac('md5', telephone).update(data).digest('base64')
}

test('people', async (t) => {
  const { stack, people } = await startJourney(t, { env: { PAYMENT_PROVIDER: 'sandbox', API_KEY: apiKey } })

  async function befriend(a: Person, b: Person): Promise<void> {
    await a.call(follows.follow, { toUserId: b.userId })
    await b.call(follows.follow, { toUserId: a.userId })
  }

  t.test('an Android app passes its start-up gate', async (t) => {
    const alice = await people.register('alice')
    const { apiUrl } = await people.api.call(clientConfig.getConfig)
    t.match(apiUrl, /\/$/)
    const auto = await alice.call(accounts.autoLogin, { userId: alice.userId, serial: 'x' })
    t.match(auto, { tokenExists: 1, userId: alice.userId, friendCount: Number, settings: Object, login: Object })
    t.match(await alice.call(userSettings.getSettings), { allowAtt: 1 })
    const self = await alice.call(profiles.getUser, { userId: alice.userId })
    t.match(self, { telephone: `86${alice.telephone}`, nickname: 'alice', payPassword: 0, balance: 0 })
    const followed = await eventually(async () => {
      const rows = await alice.call(follows.listFollowed, { userId: alice.userId })
      return rows.length && rows
    })
    t.match(followed, [{ toUserId: 10_000, status: 2 }], 'everybody’s first friend')
    t.strictSame(await alice.call(labels.listLabels), [])
    t.strictSame(await alice.call(addressBook.listContacts, { telephone: alice.telephone }), [])
    t.strictSame(await alice.call(rooms.listOwnRooms, { type: 0, pageIndex: 0, pageSize: 1000 }), [])
    t.ok(Array.isArray(await alice.call(ownChanges.listOwnChanges, { offlineTime: 0 })))
    t.strictSame(await alice.call(archive.listLastChats), [])
  })

  t.test('people nearby see each other as their settings allow, and not when blocked', async (t) => {
    const [bob, carol] = [await people.register('bob'), await people.register('carol')]
    const logIn = async (who: Person, latitude: number) => {
      const telephone = md5(who.telephone)
      const device = { longitude: 114.05, latitude, deviceKey: 'android' }
      who.token = (await people.api.call(accounts.login, { telephone, password: who.password, ...device })).access_token
    }
    await logIn(bob, 22.54)
    await logIn(carol, 22.541)
    const around = () => bob.call(userSearch.findNearby, { longitude: 114.05, latitude: 22.54 })
    const [seen] = await around()
    t.match(seen, { userId: carol.userId, nickname: 'carol' })
    t.notOk(seen?.telephone, 'strangers do not see the number')
    await befriend(bob, carol)
    t.match((await around())[0], { phone: carol.telephone, friends: { status: 2 } })
    t.match(await bob.call(profiles.getUser, { userId: carol.userId }), { phone: carol.telephone })
    t.equal((await bob.call(profiles.getUser)).friendsCount, 2)
    await carol.call(blacklists.blockUser, { toUserId: bob.userId })
    t.strictSame(await around(), [])
    const changes = await eventually(async () => {
      const rows = await bob.call(ownChanges.listOwnChanges)
      return rows.some(({ friendId }) => friendId === String(carol.userId)) && rows
    })
    t.ok(changes.every(({ tag }) => tag === 'friend'))
  })

  t.test('messages are collected, and recorded as a course that outlives a recall', async (t) => {
    const [dave, erin] = [await people.register('dave'), await people.register('erin')]
    const phone = await dave.phone()
    const sent = [await phone.say(erin.userId, 'one'), await phone.say(erin.userId, 'two')]
    const ids = sent.map(({ messageId }) => messageId)
    await dave.call(courses.addCourse, { courseName: 'lesson', messageIds: ids.join() })
    await erin.call(collections.addCollected, { msgId: ids[0], type: 5 })
    await t.rejects(erin.call(courses.addCourse, { courseName: 'x', messageIds: ids[0] }), failure('MessageNotFound'))
    t.equal((await erin.call(collections.listCollected))[0]?.msg, sent[0]?.body)
    await dave.call(archive.deleteMessages, { messageId: ids[0], delete: 2, type: 1 })
    const [course] = await dave.call(courses.listCourses)
    const messages = await dave.call(courses.getCourse, { courseId: course?.courseId })
    t.strictSame(
      messages.map(({ message }) => message),
      sent.map(({ body }) => body),
    )
    await phone.hangUp()
  })

  t.test('friends get each other’s keys, which only an app with the password can upload', async (t) => {
    const [frank, grace] = [await people.register('frank'), await people.register('grace')]
    const mac = messageKeyMac(`86${frank.telephone}`, frank.password)
    const keys = { publicKey: 'cHVi', privateKey: 'cHJpdg==' }
    await t.rejects(frank.call(authKeys.uploadDhKey, { ...keys, mac: 'AAAA' }), failure('MacInvalid'))
    await frank.call(authKeys.uploadDhKey, { ...keys, mac })
    const asked = { userId: frank.userId }
    await t.rejects(grace.call(authKeys.listDhKeys, asked), failure('PermissionDenied'))
    await befriend(frank, grace)
    t.match(await grace.call(authKeys.listDhKeys, asked), { ...asked, publicKeyList: [{ key: 'cHVi' }] })
    const phone = await grace.phone()
    await frank.call(authKeys.uploadDhKey, { publicKey: 'bmV3', privateKey: 'cHJpdg==', mac })
    const told = await phone.hears(({ type }) => type === 803)
    t.match(JSON.parse(told.body), { fromUserId: String(frank.userId), content: 'dhPublicKey,rsaPublicKey' })
    t.match(await grace.call(authKeys.listDhKeys, asked), { publicKeyList: [{ key: 'cHVi' }, { key: 'bmV3' }] })
    await phone.hangUp()
  })

  t.test('money comes in, and goes out once for each secret', async (t) => {
    const heidi = await people.register('heidi')
    t.strictSame(await heidi.call(wallet.recharge, { money: '10', type: 1 }), { balance: 10 })
    const { openid } = await heidi.call(wallet.bindWeChat, { code: 'code' })
    const time = String(Math.floor(Date.now() / 1000))
    const secret = md5(apiKey + openid + heidi.userId) + md5(`${heidi.token}500${time}`)
    const withdrawal = { amount: '500', time, secret }
    t.match(await heidi.call(wallet.withdraw, withdrawal), { partner_trade_no: String, payment_no: String })
    await t.rejects(heidi.call(wallet.withdraw, withdrawal), failure('SignatureInvalid'))
    t.strictSame(await heidi.call(wallet.getBalance), { balance: 5 })
    t.match(await heidi.call(profiles.getUser), { balance: 5, money: 5, moneyTotal: 10 })
    const forged = await fetch(`${stack.gatewayUrl}/pay/callback/alipay`, { method: 'POST', body: 'out_trade_no=1' })
    t.equal(((await forged.json()) as { resultCode: number }).resultCode, 1_020_106)
  })

  t.test('a new password ends every session and stream', async (t) => {
    const ivan = await people.register('ivan')
    const web = await people.api.call(accounts.login, {
      telephone: ivan.telephone,
      password: ivan.password,
      deviceKey: 'web',
    })
    const phone = await ivan.phone()
    const other = await ivan.phone('web', { password: web.access_token })
    await ivan.call(passwords.updatePassword, { oldPassword: ivan.password, newPassword: 'new' })
    for (const token of [ivan.token, web.access_token])
      t.equal((await people.api.envelope(profiles.getUser, {}, { token })).resultCode, 1_030_102)
    await eventually(() => phone.isDown && other.isDown, 15_000)
    await t.rejects(ivan.phone('android', { password: ivan.password }))
    const again = await ivan.phone('android', { password: md5('new') })
    await again.hangUp()
  })

  t.test('a deleted user is gone from lists, and their number is free', async (t) => {
    const [judy, kim] = [await people.register('judy'), await people.register('kim')]
    await befriend(judy, kim)
    const phone = await judy.phone()
    const internal = createTestClient({ baseUrl: stack.urls.user, serviceKey: stack.env['SERVICE_KEY'] })
    t.after(() => internal.close())
    await internal.call(internalUsers.deleteUser, { userId: judy.userId })
    t.equal((await judy.ask(profiles.getUser)).resultCode, 1_030_102)
    await eventually(() => phone.isDown, 15_000)
    await eventually(async () => {
      const rows = await kim.call(friends.listFriends, { userId: kim.userId })
      return rows.every(({ toUserId }) => toUserId !== judy.userId)
    })
    await t.rejects(kim.call(profiles.getUser, { userId: judy.userId }), failure('UserNotFound'))
    const again = { telephone: judy.telephone, password: 'x', nickname: 'new judy' }
    t.not((await people.api.call(accounts.register, again)).userId, judy.userId)
  })
})
