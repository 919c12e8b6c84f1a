import { memberLeft, roomDissolved, roomMembers, rooms } from '@im/contracts/room'
import { userDeleted, userRegistered, userUpdated } from '@im/contracts/user'
import { eraseAgainAfter } from '@im/service-kit'
import { eventually, failure, startService } from '@im/service-kit/testing'
import { test } from 'tap'
import { takeUsers } from '../src/people/follow-users.ts'
import { service } from '../src/service.ts'
import { startRoom } from './start-room.ts'

test('members are called what they are called, until the room gives them another name', async (t) => {
  const { api, people, room, publish } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const [one, two] = [await room(alice, [bob]), await room(bob, [alice])]
  const namesIn = async (roomId: string) =>
    (await api.call(roomMembers.listMembers, { roomId }, { as: bob })).map(({ nickname }) => nickname)
  await api.call(roomMembers.updateMember, { roomId: one.id, nickname: 'B.' } as never, { as: bob })
  const copy = await api.call(rooms.copyRoom, { roomId: one.id }, { as: alice })
  await publish(userUpdated, bob, { userId: bob, nickname: 'Robert', account: 'b', updatedAt: Date.now() })
  await eventually(async () => (await namesIn(two.id)).includes('Robert'))
  t.strictSame(await namesIn(two.id), ['Robert', 'alice'])
  for (const { id } of [one, copy]) t.strictSame(await namesIn(id), ['alice', 'B.'])
  t.match(await api.call(rooms.getRoom, { roomId: two.id }, { as: alice }), { nickname: 'Robert' })
})

test('a new name whose event was lost comes with the list of all users', async (t) => {
  const { api, people, room, deps } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const { id: roomId } = await room(alice, [bob])
  const take = (nickname: string) =>
    deps.outbox.commit((change) => takeUsers(deps, [{ userId: bob, nickname } as never], change))
  await take('bob')
  await take('Robert')
  const members = await api.call(roomMembers.listMembers, { roomId }, { as: alice })
  t.strictSame(
    members.map(({ nickname }) => nickname),
    ['alice', 'Robert'],
  )
})

test('a user whose registration was not heard of yet is asked about', async (t) => {
  const { api, people, room, roles, publish, peers, deps } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const account = { account: 'b', telephone: '', userType: 0, defaultFriends: [], registeredAt: 1 }
  await publish(userRegistered, alice, { ...account, userId: alice, nickname: 'alice' })
  await eventually(async () => (await deps.people.find([alice])).size === 1)
  const { id: roomId } = await room(alice, [bob, 10_000_777])
  t.strictSame(await roles(roomId, alice), { [alice]: 1, [bob]: 3 })
  peers.names.delete(alice)
  t.match(await api.call(rooms.getRoom, { roomId }, { as: bob }), { nickname: 'alice' }, 'known from the event')
})

test('a deleted user leaves their rooms, and their own rooms are dissolved', async (t) => {
  const { api, people, room, publish, events, roles, deps, env } = await startRoom(t)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const [own, other] = [await room(bob, [alice, carol]), await room(alice, [bob, carol])]
  const before = await room(alice, [bob])
  const muted = Math.floor(Date.now() / 1000) + 1000
  for (const { id: roomId } of [other, before])
    await api.call(roomMembers.updateMember, { roomId, userId: bob, talkTime: muted } as never, { as: alice })
  await api.call(roomMembers.leaveRoom, { roomId: before.id }, { as: bob })
  t.equal(await deps.db.collection('mutes').countDocuments(), 1)
  const [left, dissolved] = [await events(memberLeft), await events(roomDissolved)]
  const account = { account: 'b', telephone: '', userType: 0, defaultFriends: [], registeredAt: 1 }
  await publish(userRegistered, bob, { ...account, userId: bob, nickname: 'bob' })
  await eventually(async () => (await deps.people.find([bob])).size === 1)
  const kept = await deps.db.collection('members').findOne({ userId: bob, roomId: other.id })
  await publish(userDeleted, bob, { userId: bob, nickname: 'bob', at: Date.now() })
  await eventually(() => left.length === 2 && dissolved.length === 1)
  t.match(left[1], { room: { roomId: other.id }, by: { userId: bob }, member: { userId: bob } })
  t.match(dissolved[0], { room: { roomId: own.id }, memberIds: { length: 3 } })
  t.strictSame(await roles(other.id, alice), { [alice]: 1, [carol]: 3 })
  await t.rejects(api.call(rooms.getRoom, { roomId: own.id }, { as: alice }), failure('RoomNotFound'))
  await eventually(async () => (await deps.db.collection('mutes').countDocuments()) === 0)
  t.equal((await deps.people.find([bob])).size, 0, 'nobody is invited who does not exist any more')

  // A process that dies before it looks leaves who joined meanwhile.
  await deps.db.collection('members').insertOne(kept!)
  await startService(t, service, { env, overrides: { now: () => Date.now() + eraseAgainAfter } })
  await eventually(async () => (await deps.members.everywhere(bob)).length === 0)
})

test('who is renamed or deleted while they become a member, after the event was heard, is not kept as before', async (t) => {
  const { api, people, room, publish, roles, peers, deps } = await startRoom(t)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const { id: roomId } = await room(alice)
  const account = { account: 'c', telephone: '', userType: 0, defaultFriends: [], registeredAt: 1 }
  await publish(userRegistered, carol, { ...account, userId: carol, nickname: 'carol' })
  await eventually(async () => (await deps.people.find([carol])).size === 1)
  // Between the commit and the look at it.
  peers.onEnforce = async () => {
    peers.onEnforce = async () => {}
    peers.names.delete(bob)
    await deps.outbox.commit((change) => deps.people.put([{ _id: carol, nickname: 'Carola' }], change))
  }
  const joining = { roomId, text: [bob, carol] as never }
  await api.call(roomMembers.updateMember, joining, { as: alice })
  t.strictSame(await roles(roomId, alice), { [alice]: 1, [carol]: 3 })
  t.match(await api.call(roomMembers.getMember, { roomId, userId: carol }, { as: alice }), { nickname: 'Carola' })

  const later = await room(alice)
  for (const enter of [() => api.call(roomMembers.joinRoom, { roomId: later.id }, { as: bob }), () => room(bob)]) {
    peers.names.set(bob, 'bob')
    peers.onEnforce = async () => void peers.names.delete(bob)
    await enter()
    t.strictSame(await deps.members.everywhere(bob), [])
  }
})
