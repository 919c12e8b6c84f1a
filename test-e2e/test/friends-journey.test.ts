import { archive } from '@im/contracts/message'
import { addressBook, blacklists, follows, friends, labels } from '@im/contracts/social'
import { internalUsers, profiles, userSettings } from '@im/contracts/user'
import { createTestClient, eventually, failure } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import type { Person } from '../src/people.ts'
import type { Phone } from '../src/phone.ts'

test('friends', async (t) => {
  const { stack, people } = await startJourney(t)

  const bodyOf = ({ body }: { body: string }) => JSON.parse(body) as Record<string, unknown>
  const rowOf = (who: Person, about: Person) => who.call(friends.getFriend, { toUserId: about.userId })
  const verifying = async (name: string) => {
    const person = await people.register(name)
    await person.call(userSettings.updateSettings, { friendsVerify: 1 })
    return person
  }
  const refuses = (sending: Promise<unknown>) =>
    sending.then(
      () => 'sent',
      (error: Error) => error.message,
    )

  t.test('a request with a text, its acceptance, a remark, mute, a label, and the end', async (t) => {
    const [alice, bob] = [await people.register('alice'), await verifying('bob')]
    const [phone, bobs, tablet] = [await alice.phone(), await bob.phone(), await alice.phone('pc')]
    t.match(await alice.call(follows.follow, { toUserId: bob.userId, fromAddType: 4 }), { type: 1 })
    t.equal(await refuses(phone.say(bob.userId, '', { type: 508 })), 'refused: not-allowed', 'no friendship is forged')
    await phone.say(bob.userId, 'I am alice', { type: 500 })
    await bobs.hears(({ type, content }) => type === 500 && content === 'I am alice')
    await eventually(async () => {
      const [asked] = await bob.call(friends.listNewFriends)
      return asked?.content === 'I am alice' && asked.direction === 1 && asked.status === 0
    })
    await bob.call(friends.addFriend, { toUserId: alice.userId })
    await bobs.say(alice.userId, '', { type: 501 })
    await phone.hears(({ type }) => type === 501)
    t.match(await rowOf(alice, bob), { status: 2, fromAddType: 4, toNickname: 'bob' })
    t.match(await alice.call(profiles.getUser, { userId: String(bob.userId) }), { friends: { status: 2 } })

    await alice.call(friends.remarkFriend, { toUserId: bob.userId, remarkName: 'Bobby' })
    for (const device of [phone, tablet])
      t.match(bodyOf(await device.hears(({ type }) => type === 801)), { toUserId: String(bob.userId) })
    t.match(await alice.call(friends.switchForFriend, { toUserId: bob.userId, offlineNoPushMsg: 1 }), {
      ...{ remarkName: 'Bobby', offlineNoPushMsg: 1 },
    })
    const { groupId } = await alice.call(labels.addLabel, { groupName: 'near' })
    await alice.call(labels.setFriendLabels, { toUserId: bob.userId, groupIdStr: groupId })
    t.match(bodyOf(await tablet.hears(({ type }) => type === 800)), { objectId: 'sync_label' })

    await bobs.say(alice.userId, 'one')
    await bobs.say(alice.userId, 'two')
    const unread = async (who: Person, about: Person) => (await rowOf(who, about))?.msgNum
    await eventually(async () => (await unread(alice, bob)) === 2)
    t.equal(await unread(bob, alice), 0, 'own messages never count')
    const second = await tablet.hears(({ content }) => content === 'two')
    await tablet.say(bob.userId, second.id, { type: 26 })
    await eventually(async () => (await unread(alice, bob)) === 0)

    await alice.call(friends.deleteFriend, { toUserId: bob.userId })
    t.equal(await refuses(bobs.say(alice.userId, '', { type: 508 })), 'refused: not-allowed')
    t.equal(await rowOf(bob, alice), undefined)
    t.match(await alice.call(labels.listLabels), [{ groupName: 'near', userIdList: [] }])
    await eventually(async () => (await alice.call(archive.listLastChats)).length === 0)
    await Promise.all([phone, bobs, tablet].map((device) => device.hangUp()))
  })

  t.test('who asks for no consent is a friend at once; who wants no followers is followed by nobody', async (t) => {
    const [alice, open, closed] = [
      await people.register('alice'),
      await people.register('open'),
      await people.register('closed'),
    ]
    t.match(await alice.call(follows.follow, { toUserId: open.userId }), { type: 2 })
    const [phone, opens] = [await alice.phone(), await open.phone()]
    await phone.say(open.userId, '', { type: 508 })
    await opens.hears(({ type }) => type === 508)
    await closed.call(userSettings.updateSettings, { allowAtt: 0, allowGreet: 0 })
    await t.rejects(alice.call(follows.follow, { toUserId: closed.userId }), failure('FollowRefused'))
    t.equal(await refuses(phone.say(closed.userId, 'hello?')), 'refused: not-allowed')
    await closed.call(follows.follow, { toUserId: alice.userId })
    await phone.say(closed.userId, 'you followed me')
    await Promise.all([phone, opens].map((device) => device.hangUp()))
  })

  t.test('a request is refused with a text, then the asker is blocked, and both apps are told', async (t) => {
    const [alice, bob] = [await people.register('alice'), await verifying('bob')]
    const [phone, bobs] = [await alice.phone(), await bob.phone()]
    await alice.call(follows.follow, { toUserId: bob.userId })
    await phone.say(bob.userId, 'please', { type: 500 })
    await bobs.hears(({ type, content }) => type === 500 && content === 'please')
    await bobs.say(alice.userId, 'no', { type: 502 })
    await phone.hears(({ type, content }) => type === 502 && content === 'no')
    await eventually(async () => {
      const [last] = await alice.call(friends.listNewFriends)
      return last?.type === 502 && last.content === 'no' && last.direction === 1 && last.status === 1
    })
    t.equal(await refuses(bobs.say(alice.userId, '', { type: 507 })), 'refused: not-allowed', 'nobody was blocked yet')
    await bob.call(blacklists.blockUser, { toUserId: alice.userId })
    await bobs.say(alice.userId, '', { type: 507 })
    await phone.hears(({ type }) => type === 507)
    for (const type of [1, 500, 503, 508])
      t.equal(await refuses(phone.say(bob.userId, 'x', { type })), 'refused: not-allowed', `type ${type}`)
    const again = { toUserId: bob.userId }
    await t.rejects(alice.call(follows.follow, again), failure('BlacklistedByTarget'))
    await t.rejects(alice.call(friends.addFriend, again), failure('BlacklistedByTarget'))
    t.match(await bob.call(blacklists.listBlocked), [{ toUserId: alice.userId, blacklist: 1 }])
    t.match(await rowOf(alice, bob), { status: 1, isBeenBlack: 1 })
    t.match(await bob.call(blacklists.unblockUser, { toUserId: alice.userId }), { status: 0, blacklist: 0 })
    await bobs.say(alice.userId, '', { type: 509 })
    await phone.hears(({ type }) => type === 509)
    await phone.say(bob.userId, 'once more', { type: 500 })
    await Promise.all([phone, bobs].map((device) => device.hangUp()))
  })

  t.test('every change counts in the next message, in whatever order both do it', async (t) => {
    const [alice, bob] = [await verifying('alice'), await verifying('bob')]
    const [phone, bobs] = [await alice.phone(), await bob.phone()]
    const to = { toUserId: bob.userId }
    const from = { toUserId: alice.userId }
    const talks = async (sender: Phone, receiver: Person) =>
      (await refuses(sender.say(receiver.userId, 'x'))) === 'sent'
    const accepted = async () => (await refuses(bobs.say(alice.userId, '', { type: 501 }))) === 'sent'
    for (let round = 0; round < 5; round++) {
      await alice.call(follows.follow, to)
      t.notOk(await accepted(), 'nobody accepts by XMPP alone')
      await bob.call(friends.addFriend, from)
      t.ok(await accepted(), 'in the millisecond after the answer')
      await bob.call(blacklists.blockUser, from)
      t.notOk(await talks(phone, bob))
      t.ok(await talks(bobs, alice))
      await alice.call(blacklists.blockUser, to)
      t.notOk(await talks(bobs, alice))
      await bob.call(blacklists.unblockUser, from)
      await alice.call(blacklists.unblockUser, to)
      t.ok(await talks(phone, bob))
      await alice.call(friends.deleteFriend, to)
      t.notOk(await accepted())
    }
    await Promise.all([phone, bobs].map((device) => device.hangUp()))
  })

  t.test('whatever both do at the same moment, the next message is decided by what came of it', async (t) => {
    const both = [await verifying('alice'), await verifying('bob')] as const
    const phones = [await both[0].phone(), await both[1].phone()] as const
    const acts = {
      follow: follows.follow,
      accept: friends.addFriend,
      unfollow: follows.unfollow,
      delete: friends.deleteFriend,
      block: blacklists.blockUser,
      unblock: blacklists.unblockUser,
    }
    const names = Object.keys(acts) as (keyof typeof acts)[]
    const act = fc.record({ who: fc.constantFrom(0, 1), what: fc.constantFrom(...names) })
    const rounds = fc.sample(fc.array(act, { minLength: 2, maxLength: 5 }), { numRuns: 15, seed: 20_261_126 })
    // What a state refuses is refused: only what is left counts.
    const done = ({ who, what }: (typeof rounds)[number][number]) =>
      both[who]!.ask(acts[what] as typeof follows.follow, { toUserId: both[1 - who]!.userId })
    for (const round of rounds) {
      await Promise.all(round.map(done))
      const rows = await Promise.all([rowOf(both[0], both[1]), rowOf(both[1], both[0])])
      const areFriends = rows.every((row) => row?.status === 2)
      for (const who of [0, 1] as const) {
        const isBlocked = rows[1 - who]?.blacklist === 1
        const isTold = async (type: number) =>
          (await refuses(phones[who].say(both[1 - who]!.userId, 'x', { type }))) === 'sent'
        const decided = [await isTold(1), await isTold(500), await isTold(508)]
        const expected = [true, (rows[who]?.status ?? 0) >= 1, areFriends].map((may) => may && !isBlocked)
        t.strictSame(
          decided,
          expected,
          JSON.stringify({ round, who, rows: rows.map((row) => [row?.status, row?.blacklist]) }),
        )
      }
    }
    await Promise.all(phones.map((device) => device.hangUp()))
  })

  t.test('many are asked at once: the server sends the request in the name of who asks', async (t) => {
    const [alice, bob, carol] = [await people.register('alice'), await verifying('bob'), await people.register('carol')]
    const bobs = await bob.phone()
    await alice.call(follows.followMany, { toUserIds: [bob.userId, carol.userId].join() })
    const asked = await bobs.hears(({ type }) => type === 500)
    t.match(asked.from, new RegExp(`^${alice.userId}@`))
    t.match(bodyOf(asked), { fromUserId: String(alice.userId), fromUserName: 'alice', content: '' })
    t.match(await alice.call(friends.listFriends), [{ toNickname: 'carol' }, {}])
    await bobs.hangUp()
  })

  t.test('two devices of one resource: the older one is replaced, the newer hears what comes', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    await alice.call(follows.follow, { toUserId: bob.userId })
    const [first, other] = [await bob.phone('android'), await bob.phone('ios')]
    const replaced = first.closedByServer()
    const second = await bob.phone('android')
    t.equal(await replaced, 'conflict')
    const phone = await alice.phone()
    await phone.say(bob.userId, 'to both')
    for (const device of [second, other]) await device.hears(({ content }) => content === 'to both')
    await Promise.all([second, other, phone].map((device) => device.hangUp()))
  })

  t.test('an address book finds friends, and tells when a contact registers', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const phone = await alice.phone()
    const later = '13977700001'
    const book = [
      { toTelephone: `+86 ${bob.telephone}`, toRemarkName: 'B' },
      { toTelephone: later, toRemarkName: 'later' },
    ]
    const found = await alice.call(addressBook.uploadContacts, { uploadJsonStr: JSON.stringify(book) })
    t.match(found, [{ toUserId: bob.userId, toUserName: 'bob', toRemarkName: 'B', status: 0 }])
    await bob.call(userSettings.updateSettings, { showTelephone: 3 })
    t.equal((await alice.call(profiles.getUser, { userId: String(bob.userId) })).telephone, undefined)
    await bob.call(addressBook.uploadContacts, { uploadStr: alice.telephone })
    t.equal((await alice.call(profiles.getUser, { userId: String(bob.userId) })).telephone, `86${bob.telephone}`)
    const carol = await people.register('carol', later)
    const told = bodyOf(await phone.hears(({ type }) => type === 511))
    t.match(told, { fromUserId: String(carol.userId), toUserId: String(alice.userId) })
    t.match(JSON.parse(told['content'] as string), {
      ...{ telephone: `86${alice.telephone}`, toTelephone: `86${later}`, toUserId: carol.userId, userId: alice.userId },
    })
    t.equal((await alice.call(addressBook.listContacts)).length, 2)
    await phone.hangUp()
  })

  t.test('a deleted user: friends are told, nothing of them is left', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    await alice.call(follows.follow, { toUserId: bob.userId })
    const [phone, bobs] = [await alice.phone(), await bob.phone()]
    const closed = bobs.closedByServer()
    const internal = createTestClient({ baseUrl: stack.urls.user, serviceKey: stack.env['SERVICE_KEY'] })
    t.after(() => internal.close())
    await internal.call(internalUsers.deleteUser, { userId: bob.userId })
    t.match(bodyOf(await phone.hears(({ type }) => type === 512)), {
      objectId: String(bob.userId),
      fromUserId: '10005',
    })
    await bobs.hears(({ type }) => type === 512)
    t.equal(await closed, 'not-authorized')
    await eventually(async () => (await alice.call(friends.listFriends)).length === 1)
    await t.rejects(alice.call(follows.follow, { toUserId: bob.userId }), failure('UserNotFound'))
    t.match(await refuses(phone.say(bob.userId, 'still there?')), /service-unavailable/)
    await phone.hangUp()
  })
})
