import { randomBytes } from 'node:crypto'
import { archive } from '@im/contracts/message'
import { roomMembers, roomNotices, roomShares, rooms, waitingRooms } from '@im/contracts/room'
import { ownChanges } from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import type { Phone, Received } from '../src/phone.ts'

const newJid = () => randomBytes(16).toString('hex')

const fieldsOf = ({ body }: Received) => JSON.parse(body) as Record<string, unknown>
const isEvent = (type: number, jid: string) => (message: Received) =>
  message.type === type && fieldsOf(message)['objectId'] === jid
/** Types of the events of a room that a phone saw, each once, in their order. */
const eventsSeen = (phone: Phone, jid: string) => {
  const events = phone.received.filter(({ type, body }) => type > 900 && body.includes(jid))
  return [...new Map(events.map(({ id, type }) => [id, type])).values()]
}
const texts = (phone: Phone) => phone.received.filter(({ type }) => type === 1).map(({ content }) => content)

test('rooms', async (t) => {
  const { people } = await startJourney(t)

  t.test('three people and their devices, from the first message of a room to its end', async (t) => {
    const [alice, bob, carol] = [
      await people.register('alice'),
      await people.register('bob'),
      await people.register('carol'),
    ]
    const jid = newJid()
    const [phoneA, phoneB, desktopB, phoneC] = [
      await alice.phone(),
      await bob.phone(),
      await bob.phone('pc'),
      await carol.phone(),
    ]
    const everybody = [phoneA, phoneB, desktopB, phoneC]
    t.teardown(() => Promise.all(everybody.map((phone) => phone.hangUp())))

    t.ok((await phoneA.join(jid)).codes.includes(201), 'the room is made for alice')
    t.match(await phoneB.join(jid), { kind: 'error' }, 'and for nobody else')
    await t.rejects(bob.call(rooms.addRoom, { jid } as never), failure('JidTaken'))
    const room = await alice.call(rooms.addRoom, { jid, name: '周末', text: `[${bob.userId}]` } as never)
    t.match(room, { jid, userSize: 2, member: { role: 1 } })
    const { id: roomId } = room

    const invitation = await phoneB.hears(isEvent(907, jid))
    t.match(fieldsOf(invitation), {
      ...{ fromUserId: String(alice.userId), toUserId: String(bob.userId), fromUserName: 'alice', toUserName: 'bob' },
      ...{ objectId: jid, fileName: roomId, content: '周末', fileSize: 0 },
    })
    t.match(invitation.from, /^10005@/)
    await desktopB.hears(isEvent(907, jid))
    for (const phone of [phoneB, desktopB]) t.match(await phone.join(jid), { kind: 'available' })

    const first = await phoneA.sayIn(jid, 'hello')
    for (const phone of [phoneA, phoneB, desktopB])
      await phone.hears(({ id, content }) => id === first && content === 'hello')
    await phoneB.sayIn(jid, 'hi')
    await phoneA.hears(({ content }) => content === 'hi')
    await desktopB.hears(({ content }) => content === 'hi')
    t.match(await phoneC.join(jid), { kind: 'error', condition: 'registration-required' })
    await t.rejects(phoneC.sayIn(jid, 'may I?'), /forbidden/)

    await alice.call(roomMembers.updateMember, { roomId, text: String(carol.userId) as never })
    await phoneC.sayIn(jid, 'admitted is admitted, joined or not')
    await phoneC.hears(isEvent(907, jid))
    t.match(await phoneC.join(jid, { seconds: '3600' }), { kind: 'available' })
    t.notOk(texts(phoneC).includes('hello'), 'what was said before carol came is not for her')

    await alice.call(rooms.updateRoom, { roomId, roomName: '周日', notice: 'ten o’clock', showRead: 1 })
    for (const type of [902, 905, 915]) await phoneC.hears(isEvent(type, jid))
    t.match(await carol.call(roomNotices.listNotices, { roomId }), [{ text: 'ten o’clock', nickname: 'alice' }])
    const file = { roomId, type: 9, size: 3, url: 'http://files/a', name: 'a.txt' }
    const { shareId } = await bob.call(roomShares.addShare, file)
    const shared = await phoneC.hears(({ type }) => type === 401)
    t.match(fieldsOf(shared), { content: shareId, fileName: 'a.txt', fromUserId: String(bob.userId) })

    const until = Math.floor(Date.now() / 1000) + 600
    await alice.call(roomMembers.updateMember, { roomId, userId: carol.userId, talkTime: until } as never)
    await t.rejects(phoneC.sayIn(jid, 'muted'), /forbidden/)
    t.match(await phoneC.hears(isEvent(906, jid)), { content: String(until) })
    await alice.call(roomMembers.updateMember, { roomId, userId: carol.userId, talkTime: 0 } as never)
    await phoneC.sayIn(jid, 'heard again')
    await alice.call(rooms.updateRoom, { roomId, talkTime: until })
    await t.rejects(phoneB.sayIn(jid, 'all are muted'), /forbidden/)
    const ofOwner = await phoneA.sayIn(jid, 'but the owner')
    await alice.call(rooms.updateRoom, { roomId, talkTime: 0 })

    await alice.call(roomMembers.setAdmin, { roomId, touserId: bob.userId, type: 2 })
    await phoneB.hears(isEvent(913, jid))
    const slip = await phoneC.sayIn(jid, 'a slip')
    await t.rejects(
      carol.call(archive.deleteMessages, { messageId: ofOwner, type: 2, delete: 2 } as never),
      failure('RecallNotAllowed'),
    )
    await bob.call(archive.deleteMessages, { messageId: slip, type: 2, delete: 2, roomJid: jid } as never)
    await phoneB.sayIn(jid, slip, { type: 202 })
    await phoneC.hears(({ type, content }) => type === 202 && content === slip)
    await bob.call(roomMembers.removeMember, { roomId, userId: carol.userId })
    await t.rejects(phoneC.sayIn(jid, 'kicked'), /forbidden/)
    await eventually(() => phoneC.presences.some((presence) => presence.jid === jid && presence.codes.includes(321)))
    await phoneC.hears(isEvent(904, jid))
    await phoneA.sayIn(jid, 'not for carol')
    t.notOk('member' in (await carol.call(rooms.getRoomBriefly, { roomId })))
    await t.rejects(carol.call(rooms.getCall, { roomId }), failure('NotRoomMember'))
    t.strictSame(await carol.call(rooms.listOwnRooms), [])
    t.match(await bob.call(rooms.listOwnRooms), [{ id: roomId, userSize: 2 }])

    await alice.call(rooms.transferRoom, { roomId, toUserId: bob.userId })
    await phoneB.hears(isEvent(925, jid))
    await t.rejects(alice.call(rooms.dissolveRoom, { roomId }), failure('OwnerOnly'))

    // A new device of bob has nothing but what the server keeps.
    const history = await bob.call(archive.listRoomHistory, { roomId, pageSize: 100 })
    const said = history.map(({ body }) => (JSON.parse(body) as { content: string }).content)
    t.ok(
      ['hello', 'hi', 'heard again', 'not for carol'].every((content) => said.includes(content)),
      said.join(),
    )
    t.notOk(['muted', 'kicked', 'may I?', 'all are muted', 'a slip'].some((content) => said.includes(content)))
    t.match(await bob.call(archive.listLastChats), [{ jid, isRoom: 1 }])
    await eventually(async () => {
      const changes = await carol.call(ownChanges.listOwnChanges, { offlineTime: 0 })
      return changes.some(({ tag, friendId }) => tag === 'room' && friendId === roomId)
    })

    await bob.call(rooms.dissolveRoom, { roomId })
    await t.rejects(phoneA.sayIn(jid, 'too late'), /refused/)
    for (const phone of [phoneA, phoneB, desktopB]) {
      await phone.hears(isEvent(903, jid))
      await eventually(() => phone.presences.some((presence) => presence.jid === jid && presence.isDestroyed))
    }
    for (const person of [alice, bob, carol])
      await t.rejects(person.call(rooms.getRoom, { roomId }), failure('RoomNotFound'))
    t.match(await phoneA.join(jid), { kind: 'error', condition: 'item-not-found' })
    t.strictSame(await bob.call(rooms.listOwnRooms), [])
    const types = eventsSeen(phoneB, jid)
    t.equal(types.filter((type) => type === 903).length, 1)
    t.equal(types.filter((type) => type === 925).length, 1)
  })

  t.test('of many messages around a kick none passes after its answer, and none from before it is lost', async (t) => {
    const [alice, mallory] = [await people.register('alice'), await people.register('mallory')]
    const room = await alice.call(rooms.addRoom, { text: `[${mallory.userId}]` } as never)
    const { id: roomId, jid } = room
    const [phoneA, phoneM] = [await alice.phone(), await mallory.phone()]
    t.teardown(() => Promise.all([phoneA.hangUp(), phoneM.hangUp()]))
    await phoneA.join(jid)
    await phoneM.join(jid)
    const sent: string[] = []
    let answeredAt = Number.POSITIVE_INFINITY
    const kicking = eventually(() => sent.length > 100).then(async () => {
      await alice.call(roomMembers.removeMember, { roomId, userId: mallory.userId })
      answeredAt = sent.length
    })
    while (sent.length < answeredAt + 100) {
      sent.push(await phoneM.tellRoom(jid, `m${sent.length}`))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await kicking
    await eventually(() => sent.every((id) => phoneM.receipts.has(id) || phoneM.refused.has(id)))
    const late = sent.slice(answeredAt).filter((id) => phoneM.receipts.has(id))
    t.strictSame(late, [], 'nothing is accepted after the answer')
    const accepted = sent.filter((id) => phoneM.receipts.has(id))
    t.ok(accepted.length >= 100, `${accepted.length} were accepted`)
    await eventually(() => accepted.every((id) => phoneA.received.some((message) => message.id === id)))
    const kept: string[] = []
    for (let pageIndex = 0; ; pageIndex++) {
      const page = await alice.call(archive.listRoomHistory, { roomId: jid, pageIndex, pageSize: 200 })
      kept.push(...page.map(({ messageId }) => messageId))
      if (page.length < 200) break
    }
    t.strictSame(new Set(kept.filter((id) => sent.includes(id))), new Set(accepted))
  })

  t.test('people who stand together make a room by typing the same digits', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const phoneA = await alice.phone()
    t.teardown(() => phoneA.hangUp())
    const place = { longitude: 114.05, latitude: 22.54, password: '0815' }
    const { jid } = await alice.call(waitingRooms.waitForOthers, place)
    t.equal((await bob.call(waitingRooms.waitForOthers, place)).jid, jid)
    t.match(fieldsOf(await phoneA.hears(({ type }) => type === 933)), { objectId: jid })
    const room = await alice.call(waitingRooms.enterWaitingRoom, { jid })
    await phoneA.join(jid)
    await bob.call(waitingRooms.enterWaitingRoom, { jid })
    await phoneA.hears((message) => isEvent(907, jid)(message) && message.body.includes(String(bob.userId)))
    await phoneA.sayIn(jid, 'here we are')
    t.match(await bob.call(rooms.getRoom, { roomId: room.id }), { userSize: 2, userId: alice.userId })
  })
})
