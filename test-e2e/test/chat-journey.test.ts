import { createHash } from 'node:crypto'
import { archive, search } from '@im/contracts/message'
import { accounts, passwords, profiles } from '@im/contracts/user'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import { chatBody } from '../src/phone.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

test('a message lives its whole life', async (t) => {
  const { stack, people } = await startJourney(t)

  t.test('register, login, chat, receipt, history, search, recall', async (t) => {
    const alice = await people.register('alice')
    const bob = await people.register('bob')

    const login = await people.api.call(accounts.login, {
      telephone: md5(alice.telephone),
      password: alice.password,
      deviceKey: 'android',
      serial: 'alice-1',
    })
    t.equal(login.userId, alice.userId)
    t.equal((await alice.ask(profiles.getUser)).resultCode, 1030102, 'the same device class logged in again')
    alice.token = login.access_token

    const alicePhone = await alice.phone()
    const bobPhone = await bob.phone('ios', { password: bob.password })
    const hello = await alicePhone.say(bob.userId, '你好，世界！Hello "quotes" <tags> & 😀\n第二行')
    const heard = await bobPhone.hears((message) => message.id === hello.messageId)
    t.equal(heard.body, hello.body, 'byte for byte')
    const answer = await bobPhone.say(alice.userId, '收到，明天下午三点见')

    const [newest, first] = await alice.call(archive.listSingleHistory, { receiver: bob.userId })
    t.equal(newest?.messageId, answer.messageId)
    t.equal(newest?.direction, 1)
    t.equal(first?.messageId, hello.messageId)
    t.equal(first?.body, hello.body)
    t.equal(first?.direction, 0)

    const chats = await bob.call(archive.listLastChats)
    t.strictSame(
      chats.map(({ jid, messageId }) => ({ jid, messageId })),
      [{ jid: String(alice.userId), messageId: answer.messageId }],
    )

    const found = await alice.call(search.searchMessages, { keyword: '世界' })
    t.strictSame(
      found.pageData.map((row) => row.messageId),
      [hello.messageId],
    )
    t.strictSame(found.pageData[0]?.highlights, [[3, 5]])

    t.equal(
      (await bob.ask(archive.deleteMessages, { messageId: [hello.messageId], delete: 2 })).resultCode,
      1400102,
      'only the author recalls',
    )
    await alice.call(archive.deleteMessages, { messageId: [hello.messageId], delete: 2 })
    await alicePhone.say(bob.userId, hello.messageId, { type: 202 })
    await bobPhone.hears((message) => message.type === 202 && message.content === hello.messageId)
    t.equal((await bob.ask(archive.getMessage, { messageId: hello.messageId })).resultCode, 1400101)
    t.equal((await alice.call(search.searchMessages, { keyword: '世界' })).total, 0)

    await alicePhone.hangUp()
    await bobPhone.hangUp()
  })

  t.test('what was sent while nobody was there waits, once and in order', async (t) => {
    const alice = await people.register('alice')
    const carol = await people.register('carol')
    const alicePhone = await alice.phone()
    const texts = ['第一', '第二', '第三']
    for (const text of texts) await alicePhone.say(carol.userId, text)

    const carolPhone = await carol.phone()
    await carolPhone.hears((message) => message.content === '第三')
    t.strictSame(
      carolPhone.received.map(({ content, delayed }) => ({ content, delayed })),
      texts.map((content) => ({ content, delayed: true })),
    )
    await carolPhone.hangUp()
    await eventually(async () => (await carol.phone('pc')).hangUp().then(() => true))
    const again = await carol.phone('web')
    await alicePhone.say(carol.userId, '第四')
    await again.hears((message) => message.content === '第四')
    t.equal(again.received.length, 1, 'delivered once')
    await again.hangUp()
    await alicePhone.hangUp()
  })

  t.test('a message that is sent again is stored once and confirmed again', async (t) => {
    const alice = await people.register('alice')
    const bob = await people.register('bob')
    const phone = await alice.phone()
    const { messageId, body } = chatBody({ from: alice.userId, to: bob.userId, content: '只存一次' })
    await phone.sendBody(bob.userId, messageId, body)
    await eventually(() => phone.receipts.delete(messageId))
    await phone.sendBody(bob.userId, messageId, body)
    await eventually(() => phone.receipts.has(messageId))
    const history = await bob.call(archive.listSingleHistory, { receiver: alice.userId })
    t.strictSame(
      history.map((row) => row.messageId),
      [messageId],
    )
    await phone.hangUp()
  })

  t.test('nobody writes in the name of another, and no app sends what only the server may', async (t) => {
    const alice = await people.register('alice')
    const bob = await people.register('bob')
    const mallory = await people.register('mallory')
    const phone = await mallory.phone()
    for (const forged of [
      chatBody({ from: alice.userId, to: bob.userId, content: '我是 alice' }),
      chatBody({ from: mallory.userId, to: bob.userId, content: '', type: 512 }),
    ]) {
      await phone.sendBody(bob.userId, forged.messageId, forged.body)
      await eventually(() => phone.refused.get(forged.messageId) === 'not-allowed')
      t.equal(phone.receipts.has(forged.messageId), false)
    }
    t.strictSame(await bob.call(archive.listLastChats), [])
    const unknown = chatBody({ from: mallory.userId, to: 2_000_000_000, content: '?' })
    await phone.sendBody(2_000_000_000, unknown.messageId, unknown.body)
    await eventually(() => phone.refused.get(unknown.messageId) === 'service-unavailable')
    await phone.hangUp()
  })

  t.test('a new password counts at once and ends what the old one opened', async (t) => {
    const alice = await people.register('alice')
    const phone = await alice.phone('android', { password: alice.password })
    await alice.call(passwords.updatePassword, { oldPassword: alice.password, newPassword: md5('new secret') })
    t.equal((await alice.ask(profiles.getUser)).resultCode, 1030102)
    await phone.hears((message) => message.type === 800)
    await eventually(() => phone.isDown, 15_000)
    await t.rejects(alice.phone('pc', { password: alice.password }))
    const back = await alice.phone('pc', { password: md5('new secret') })
    await back.hangUp()
  })

  t.test('each side clears only its own view', async (t) => {
    const alice = await people.register('alice')
    const bob = await people.register('bob')
    const phone = await alice.phone()
    const first = await phone.say(bob.userId, '一')
    const second = await phone.say(bob.userId, '二')
    await alice.call(archive.deleteMessages, { messageId: [second.messageId], delete: 1 })
    t.equal((await alice.call(archive.listLastChats))[0]?.messageId, first.messageId)
    t.equal((await bob.call(archive.listLastChats))[0]?.messageId, second.messageId)
    await alice.call(archive.clearChats, { type: 0, toUserId: bob.userId })
    t.strictSame(await alice.call(archive.listSingleHistory, { receiver: bob.userId }), [])
    t.equal((await bob.call(archive.listSingleHistory, { receiver: alice.userId })).length, 2)
    await phone.hangUp()
  })

  t.test('a web app reaches the XMPP server through the gateway', async (t) => {
    const alice = await people.register('alice')
    const bob = await people.register('bob')
    const phone = await alice.phone('web', { service: `${stack.gatewayUrl.replace('http', 'ws')}/xmpp-websocket` })
    await phone.say(bob.userId, '从网页来')
    t.equal((await bob.call(archive.listSingleHistory, { receiver: alice.userId })).length, 1)
    await phone.hangUp()
  })
})
