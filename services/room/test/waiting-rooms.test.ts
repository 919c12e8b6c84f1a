import { rooms, waitingRoomChanged, waitingRooms } from '@im/contracts/room'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startRoom } from './start-room.ts'

const here = { latitude: 22.609, longitude: 114.066 }
const aStepAway = { latitude: 22.6095, longitude: 114.066 }
const inTheNextStreet = { latitude: 22.6101, longitude: 114.066 }

test('who types the same digits at the same place meets in a room', async (t) => {
  const { api, people, events, roles } = await startRoom(t)
  const [alice, bob, carol, eve] = people('alice', 'bob', 'carol', 'eve')
  const changed = await events(waitingRoomChanged)
  const wait = (as: number, place: object, more: object = {}) =>
    api.call(waitingRooms.waitForOthers, { ...place, password: '0123', ...more }, { as })
  const { jid, members, name } = await wait(alice, here, { name: '午饭' })
  t.match({ members, name }, { name: '午饭', members: [{ userId: alice, nickname: 'alice', role: 3 }] })
  t.match(await wait(bob, aStepAway), { jid, name: '午饭', members: [{ userId: alice }, { userId: bob }] })
  t.not((await wait(eve, inTheNextStreet)).jid, jid)
  t.not((await wait(eve, here, { password: '9999' })).jid, jid)
  const left = await wait(eve, inTheNextStreet, { password: '9999' })
  await wait(eve, here, { password: '9999' })
  t.not((await wait(carol, inTheNextStreet, { password: '9999' })).jid, left.jid, 'who waits elsewhere is not here')
  t.match(await wait(carol, here, { isQuery: 1 }), { jid, members: { length: 3 } })
  t.match(await wait(bob, here), { members: { length: 3 } }, 'asking again changes nothing')

  await api.call(waitingRooms.leaveWaitingRoom, { jid }, { as: carol })
  await api.call(waitingRooms.leaveWaitingRoom, { jid }, { as: carol })
  await api.call(waitingRooms.leaveWaitingRoom, { jid: 'nobody-waits' }, { as: carol })
  await t.rejects(api.call(waitingRooms.enterWaitingRoom, { jid }, { as: carol }), failure('PermissionDenied'))
  const room = await api.call(waitingRooms.enterWaitingRoom, { jid }, { as: bob })
  t.match(room, { jid, name: '午饭', userId: bob, members: [{ userId: bob, role: 1 }] })
  t.match(await api.call(waitingRooms.enterWaitingRoom, { jid }, { as: alice }), {
    id: room.id,
    members: { length: 2 },
  })
  t.match(await api.call(waitingRooms.enterWaitingRoom, { jid }, { as: bob }), { id: room.id })
  t.strictSame(await roles(room.id, bob), { [alice]: 3, [bob]: 1 })

  await eventually(() => changed.length === 2)
  t.match(changed, [
    { jid, userIds: [alice], by: { userId: bob, name: 'bob' } },
    { jid, userIds: [alice, bob], by: { userId: carol } },
  ])
})

test('who made the room may want to be asked before others join it', async (t) => {
  const { api, people } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  for (const as of [alice, bob]) await api.call(waitingRooms.waitForOthers, { ...here, password: '4321' }, { as })
  const { jid } = await api.call(waitingRooms.waitForOthers, { ...here, password: '4321' }, { as: alice })
  await api.call(waitingRooms.enterWaitingRoom, { jid }, { as: alice })
  await api.call(rooms.updateRoom, { roomId: jid, isNeedVerify: 1 }, { as: alice })
  await t.rejects(api.call(waitingRooms.enterWaitingRoom, { jid }, { as: bob }), failure('JoinNeedsApproval'))
})

test('rooms that are made face to face count among those of a day', async (t) => {
  const { api, person } = await startRoom(t, { LIMIT_FACTOR: '0.1' })
  const as = person('alice')
  for (const password of ['0001', '0002', '0003', '0004']) {
    const { jid } = await api.call(waitingRooms.waitForOthers, { ...here, password }, { as })
    const entered = api.call(waitingRooms.enterWaitingRoom, { jid }, { as })
    if (password === '0004') await t.rejects(entered, failure('RateLimited'))
    else t.match(await entered, { userId: as })
  }
})

test('who waits where a room was made and dissolved waits for another one', async (t) => {
  const { api, people } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const wait = (as: number) => api.call(waitingRooms.waitForOthers, { ...here, password: '8642' }, { as })
  const { jid } = await wait(alice)
  await wait(bob)
  await api.call(waitingRooms.enterWaitingRoom, { jid }, { as: alice })
  t.equal((await wait(bob)).jid, jid)
  await api.call(rooms.dissolveRoom, { roomId: jid }, { as: alice })
  const next = await wait(bob)
  t.not(next.jid, jid)
  t.match(await wait(alice), { jid: next.jid, members: { length: 2 } })
  t.match(await api.call(waitingRooms.enterWaitingRoom, { jid: next.jid }, { as: bob }), { userId: bob })
})

test('nobody waits longer than ten minutes after the last change', async (t) => {
  const { api, people, passSeconds } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const wait = (as: number) => api.call(waitingRooms.waitForOthers, { ...here, password: '1234' }, { as })
  const { jid } = await wait(alice)
  passSeconds(590)
  t.equal((await wait(bob)).jid, jid)
  passSeconds(590)
  t.equal((await wait(alice)).jid, jid)
  passSeconds(20)
  await t.rejects(api.call(waitingRooms.enterWaitingRoom, { jid }, { as: alice }), failure('RoomNotFound'))
  t.not((await wait(alice)).jid, jid)
})

test('all who come at the same moment find the same room, and one of them owns it', async (t) => {
  const { api, person } = await startRoom(t)
  const people = Array.from({ length: 12 }, (_, n) => person(`p${n}`))
  const found = await Promise.all(
    people.map((as) => api.call(waitingRooms.waitForOthers, { ...here, password: '0000' }, { as })),
  )
  t.equal(new Set(found.map(({ jid }) => jid)).size, 1)
  const jid = found[0]?.jid ?? ''
  const entered = await Promise.all(people.map((as) => api.call(waitingRooms.enterWaitingRoom, { jid }, { as })))
  t.equal(new Set(entered.map(({ id }) => id)).size, 1)
  t.match(await api.call(rooms.getRoom, { roomId: jid }, { as: people[0] }), { userSize: 12 })
})
