/** Room events while the processes on their way are killed. */
import { archive } from '@im/contracts/message'
import { roomMembers, roomNotices, roomShares, rooms } from '@im/contracts/room'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import type { Phone } from '../src/phone.ts'

test('what happened in a room is told, whatever dies between the answer and the telling', async (t) => {
  const { stack, people } = await startJourney(t, { apart: ['message', 'room'], killsStores: true })
  const [alice, bob, carol] = await Promise.all(['alice', 'bob', 'carol'].map((name) => people.register(name)))
  if (!alice || !bob || !carol) throw new Error('nobody')
  const { id: roomId, jid } = await alice.call(rooms.addRoom, { text: `[${bob.userId}]` } as never)
  const [phone, bobs, carols] = [await alice.phone(), await bob.phone(), await carol.phone()]
  // The members of the beginning may have been told before anybody was there to hear it.
  for (const one of [phone, bobs]) await one.join(jid, { seconds: '600' })
  const told = (one: Phone) =>
    new Map(one.received.filter(({ body }) => body.includes(jid) || body.includes(roomId)).map((one) => [one.id, one]))
  const isRoomEvent = (type: number) => type === 401 || type === 402 || (type > 900 && type < 1000)
  const types = (one: Phone) => [...told(one).values()].map(({ type }) => type).filter(isRoomEvent)
  const history = () => alice.call(archive.listRoomHistory, { roomId: jid, pageSize: 1000, maxType: 1000 })
  // What was told of the beginning is behind everybody.
  await eventually(async () => (await history()).filter(({ contentType }) => contentType === 907).length === 2)
  const begin = await phone.sayIn(jid, 'begin')
  for (const one of [phone, bobs]) await one.hears(({ id }) => id === begin)
  await eventually(() => types(phone).length === 2)

  for (const victim of ['message', 'nats'] as const) {
    const before = { alice: types(phone).length, carol: types(carols).length }
    // Nothing can be told before it is back, and then the room service, whose event it is, is gone.
    await stack.kill(victim)
    const until = Math.floor(Date.now() / 1000) + 600
    const { userId } = bob
    await alice.call(rooms.updateRoom, { roomId, roomName: victim, notice: 'n', showRead: victim === 'nats' ? 0 : 1 })
    await alice.call(roomMembers.updateMember, { roomId, userId, talkTime: until } as never)
    await alice.call(roomMembers.setAdmin, { roomId, touserId: userId, type: victim === 'nats' ? 3 : 2 })
    const file = { roomId, type: 9, size: 3, url: 'http://files/a', name: 'a.txt' }
    const { shareId } = await alice.call(roomShares.addShare, file)
    await alice.call(roomShares.deleteShare, { roomId, shareId })
    const [notice] = await alice.call(roomNotices.listNotices, { roomId })
    await alice.call(roomNotices.updateNotice, { roomId, noticeId: notice!.id, noticeContent: 'other' })
    await alice.call(roomMembers.updateMember, { roomId, text: String(carol.userId) as never })
    await alice.call(roomMembers.removeMember, { roomId, userId: carol.userId })
    await stack.kill('room')
    await stack.restart(victim)
    await stack.restart('room')
    const expected = [902, 915, 905, 906, 913, 401, 402, 934, 907, 904]
    await eventually(() => types(phone).length >= before.alice + expected.length, 60_000).catch(() => {})
    t.strictSame(types(phone).slice(before.alice).sort(), expected.toSorted(), `${victim}: each once, to the room`)
    await eventually(() => types(carols).length >= before.carol + 2, 30_000).catch(() => {})
    t.strictSame(types(carols).slice(before.carol), [907, 904], `${victim}: to who came and went`)
    t.ok(types(bobs).includes(906) && types(bobs).includes(913))
    t.match(await alice.call(rooms.listOwnRooms, {}), [{ id: roomId }], 'who leaves takes the room from nobody else')
  }
  const kept = await history()
  const ids = kept.map(({ messageId }) => messageId)
  const twice = kept.filter(({ messageId }, n) => ids.indexOf(messageId) !== n)
  t.strictSame(
    twice.map(({ contentType, messageId, timeSend, ts, _id }) => ({ contentType, messageId, timeSend, ts, _id })),
    [],
  )
  const events = [...told(phone).values()].filter(({ type }) => isRoomEvent(type))
  t.ok(
    events.every(({ id }) => ids.includes(id)),
    'all of them stand in the history',
  )
})
