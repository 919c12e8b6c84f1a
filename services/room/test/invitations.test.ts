import { internalMemberships, membersJoined, roomMembers, rooms } from '@im/contracts/room'
import { noticeUserId } from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startRoom } from './start-room.ts'

test('the owner and admins invite anybody who exists and did not block them', async (t) => {
  const { api, people, peers, room, roles, events } = await startRoom(t)
  const [alice, bob, carol, dave, eve] = people('alice', 'bob', 'carol', 'dave', 'eve')
  const { id: roomId } = await room(alice, [bob])
  await api.call(roomMembers.setAdmin, { roomId, touserId: bob, type: 2 }, { as: alice })
  const joined = await events(membersJoined)
  peers.block(dave, bob)
  peers.names.set(noticeUserId, 'notices')
  const text = JSON.stringify([alice, bob, String(carol), dave, eve, noticeUserId, 10_000_999])
  await api.call(roomMembers.updateMember, { roomId, text: text as never }, { as: bob })
  t.strictSame(await roles(roomId, alice), { [alice]: 1, [bob]: 2, [carol]: 3, [eve]: 3 })
  await eventually(() => joined.some(({ members }) => members.length === 2))
  t.match(joined.at(-1), {
    room: { roomId },
    by: { userId: bob, name: 'bob' },
    members: [
      { userId: carol, name: 'carol', role: 3, talkTime: 0 },
      { userId: eve, name: 'eve' },
    ],
  })
  // Nobody new: nothing happens.
  const before = joined.length
  await api.call(roomMembers.updateMember, { roomId, text: `${carol},${dave}` as never }, { as: bob })
  t.equal(joined.length, before)
})

test('members invite friends only, where the room lets them', async (t) => {
  const { api, people, peers, room, roles, person } = await startRoom(t)
  const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
  const { id: roomId } = await room(alice, [bob])
  const invite = (...userIds: number[]) =>
    api.call(roomMembers.updateMember, { roomId, text: userIds as never }, { as: bob })
  const set = (fields: object) => api.call(rooms.updateRoom, { roomId, ...fields }, { as: alice })
  peers.befriend(bob, carol)

  await t.rejects(invite(dave), failure('NotFriendsCannotInvite'))
  await invite(dave, carol)
  t.strictSame(await roles(roomId, alice), { [alice]: 1, [bob]: 3, [carol]: 3 })

  peers.befriend(bob, dave)
  await set({ isNeedVerify: 1 })
  await t.rejects(invite(dave), failure('JoinNeedsApproval'))
  await set({ isNeedVerify: 0, allowInviteFriend: 0 })
  await t.rejects(invite(dave), failure('InviteNotAllowed'))
  await set({ allowInviteFriend: 1 })
  await api.call(roomMembers.setHiddenRole, { roomId, touserId: bob, type: 4 }, { as: alice })
  await t.rejects(invite(dave), failure('InviteNotAllowed'))
  await t.rejects(
    api.call(roomMembers.updateMember, { roomId, text: [dave] as never }, { as: person('eve') }),
    failure('NotRoomMember'),
  )
})

test('an invitation counts by what the room and its inviter are when it is made', async (t) => {
  const { api, people, peers, room, roles } = await startRoom(t)
  const [alice, bob, friend, stranger] = people('alice', 'bob', 'friend', 'stranger')
  peers.befriend(bob, friend)
  const { id: roomId } = await room(alice, [bob])
  const setAdmin = (type: 2 | 3) => api.call(roomMembers.setAdmin, { roomId, touserId: bob, type }, { as: alice })
  const update = (fields: object) => api.call(rooms.updateRoom, { roomId, ...fields }, { as: alice })
  const invite = (userId: number, meanwhile: () => Promise<unknown>) => {
    peers.onRelations = async () => {
      peers.onRelations = async () => {}
      await meanwhile()
    }
    return api.call(roomMembers.updateMember, { roomId, text: String(userId) as never }, { as: bob })
  }
  await t.rejects(
    invite(friend, () => update({ allowInviteFriend: 0 })),
    failure('InviteNotAllowed'),
  )
  await update({ allowInviteFriend: 1 })
  await t.rejects(
    invite(friend, () => update({ isNeedVerify: 1 })),
    failure('JoinNeedsApproval'),
  )
  await update({ isNeedVerify: 0 })
  await setAdmin(2)
  await t.rejects(
    invite(stranger, () => setAdmin(3)),
    failure('InviteNotAllowed'),
    'who is no admin any more brings no strangers',
  )
  await invite(friend, async () => {})
  t.strictSame(await roles(roomId, alice), { [alice]: 1, [bob]: 3, [friend]: 3 })
})

test('a room takes no more than it has room for, and then nobody', async (t) => {
  const { api, people, room, roles } = await startRoom(t)
  const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
  const { id: roomId } = await room(alice, [bob], { maxUserSize: 3 })
  const invite = (...userIds: number[]) =>
    api.call(roomMembers.updateMember, { roomId, text: userIds as never }, { as: alice })
  await t.rejects(invite(carol, dave), failure('RoomFull'))
  t.strictSame(await roles(roomId, alice), { [alice]: 1, [bob]: 3 })
  await invite(carol)
  await t.rejects(api.call(roomMembers.joinRoom, { roomId }, { as: dave }), failure('RoomFull'))
  await t.rejects(room(alice, [bob, carol], { maxUserSize: 2 }), failure('RoomFull'))
})

test('an owner invites 100 strangers a day, and friends beyond them', async (t) => {
  const { api, person, peers, room } = await startRoom(t, { LIMIT_FACTOR: '1' })
  const alice = person('alice')
  const strangers = Array.from({ length: 101 }, (_, n) => person(`stranger${n}`))
  const { id: roomId } = await room(alice)
  const invite = (userIds: number[]) =>
    api.call(roomMembers.updateMember, { roomId, text: userIds as never }, { as: alice })
  await t.rejects(invite(strangers), failure('RateLimited'))
  await invite(strangers.slice(1))
  await t.rejects(invite(strangers.slice(0, 1)), failure('RateLimited'))
  const friend = person('friend')
  peers.befriend(alice, friend)
  await invite([friend])
  t.equal((await api.call(rooms.getRoomBriefly, { roomId }, { as: alice })).userSize, 102)
})

test('who knows a room joins it, unless it needs approval or is locked', async (t) => {
  const { api, internal, people, room, events } = await startRoom(t)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const { id: roomId, jid } = await room(alice)
  const joined = await events(membersJoined)
  await api.call(roomMembers.joinRoom, { roomId: jid, type: 1 }, { as: bob })
  await api.call(roomMembers.joinRoom, { roomId }, { as: bob })
  t.match(await api.call(roomMembers.getMember, { roomId, userId: bob }, { as: bob }), { role: 3, nickname: 'bob' })
  await api.call(rooms.updateRoom, { roomId, isNeedVerify: 1 }, { as: alice })
  await t.rejects(api.call(roomMembers.joinRoom, { roomId }, { as: carol }), failure('JoinNeedsApproval'))
  await api.call(roomMembers.joinRoom, { roomId }, { as: bob })
  await api.call(rooms.updateRoom, { roomId, isNeedVerify: 0 }, { as: alice })
  await internal.call(internalMemberships.setRoomLocked, { room: roomId, locked: 1 })
  await t.rejects(api.call(roomMembers.joinRoom, { roomId }, { as: carol }), failure('RoomLocked'))
  await api.call(roomMembers.joinRoom, { roomId }, { as: bob })
  await t.rejects(api.call(roomMembers.joinRoom, { roomId: 'f'.repeat(24) }, { as: carol }), failure('RoomNotFound'))
  await eventually(() => joined.length === 2)
  t.match(joined[1], { by: { userId: bob }, members: [{ userId: bob }] })
})
