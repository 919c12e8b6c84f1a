import { memberLeft, membersJoined, roomCreated, roomDissolved, roomMembers, rooms } from '@im/contracts/room'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { newJid, startRoom } from './start-room.ts'

test('a room is made once for a jid, with its owner and first members', async (t) => {
  const { api, person, peers, events } = await startRoom(t)
  const [alice, bob, carol] = [person('alice'), person('bob'), person('carol')]
  const [created, joined] = [await events(roomCreated), await events(membersJoined)]
  const jid = newJid()
  const params = {
    jid: jid.toUpperCase(),
    name: ' 周末 ',
    desc: 'd',
    countryId: 1,
    allowSendCard: 0,
    text: `["${bob}",${carol}]`,
  }

  const room = await api.call(rooms.addRoom, params as never, { as: alice })
  t.match(room, {
    ...{ jid, name: '周末', desc: 'd', countryId: 1, allowSendCard: 0, allowInviteFriend: 1, isLook: 0, s: 1 },
    ...{ userId: alice, nickname: 'alice', userSize: 3, maxUserSize: 1000, call: '300001', videoMeetingNo: '350001' },
    ...{ chatRecordTimeOut: -1, talkTime: 0, members: [], notices: [], notice: { time: 0 } },
    member: { userId: alice, role: 1, nickname: 'alice', call: '300001' },
  })
  t.match(room.id, /^[0-9a-f]{24}$/)
  t.equal((await api.call(rooms.addRoom, params as never, { as: alice })).id, room.id)
  await t.rejects(api.call(rooms.addRoom, { jid } as never, { as: bob }), failure('JidTaken'))
  peers.reserved.set('of-bob', bob)
  await t.rejects(api.call(rooms.addRoom, { jid: 'of-bob' } as never, { as: alice }), failure('JidTaken'))
  t.match(await api.call(rooms.addRoom, { jid: 'of-bob' } as never, { as: bob }), { jid: 'of-bob', name: '我的群组' })

  await eventually(() => created.length === 2 && joined.length === 3)
  t.match(created[0], { room: { roomId: room.id, jid, ownerId: alice }, by: { userId: alice, name: 'alice' } })
  t.strictSame(
    joined
      .filter((event) => event.room.roomId === room.id)
      .flatMap(({ members }) => members.map(({ userId }) => userId)),
    [alice, bob, carol],
  )
})

test('members see the room, others its card, nobody a dissolved one', async (t) => {
  const { api, person, room: make, peers, events } = await startRoom(t)
  const [alice, bob, eve] = [person('alice'), person('bob'), person('eve')]
  const { id: roomId, jid } = await make(alice, [bob])
  const dissolved = await events(roomDissolved)

  t.match(await api.call(rooms.getRoom, { roomId: jid }, { as: bob }), {
    id: roomId,
    members: [
      { userId: alice, role: 1 },
      { userId: bob, role: 3 },
    ],
    member: { userId: bob },
  })
  t.match(await api.call(rooms.getRoomBriefly, { roomId }, { as: bob }), { members: [{ userId: alice }], userSize: 2 })
  for (const endpoint of [rooms.getRoom, rooms.getRoomBriefly]) {
    const card = await api.call(endpoint, { roomId }, { as: eve })
    t.match(card, { id: roomId, userSize: 2, members: [], nickname: 'alice' })
    for (const hidden of ['member', 'call', 'talkTime', 'allowSendCard']) t.notOk(hidden in card, hidden)
  }
  t.match(await api.call(rooms.listOwnRooms, {}, { as: bob }), [{ id: roomId, member: { userId: bob } }])
  t.strictSame(await api.call(rooms.listOwnRooms, { type: 1 }, { as: bob }), [])
  t.strictSame(await api.call(rooms.getCall, { roomId }, { as: bob }), { call: '300001' })
  await t.rejects(api.call(rooms.getCall, { roomId }, { as: eve }), failure('NotRoomMember'))

  await t.rejects(api.call(rooms.dissolveRoom, { roomId }, { as: bob }), failure('OwnerOnly'))
  const told = peers.enforced.length
  await api.call(rooms.dissolveRoom, { roomId }, { as: alice })
  t.match(peers.enforced.slice(told), [{ jid, sequence: Number }])
  for (const as of [alice, bob, eve])
    await t.rejects(api.call(rooms.getRoom, { roomId }, { as }), failure('RoomNotFound'))
  t.strictSame(await api.call(rooms.listOwnRooms, {}, { as: bob }), [])
  await t.rejects(api.call(rooms.addRoom, { jid } as never, { as: alice }), failure('JidTaken'))
  await eventually(() => dissolved.length === 1)
  t.match(dissolved, [{ memberIds: [alice, bob], by: { userId: alice } }])
})

test('a change is made while the message service is away', async (t) => {
  const { api, person, room: make, peers } = await startRoom(t)
  const [alice, bob] = [person('alice'), person('bob')]
  const { id: roomId } = await make(alice, [bob], { maxUserSize: 0 })
  peers.onEnforce = () => Promise.reject(new Error('away'))
  await api.call(roomMembers.removeMember, { roomId, userId: bob }, { as: alice })
  t.match(await api.call(rooms.getRoomBriefly, { roomId }, { as: alice }), { userSize: 1, maxUserSize: 1000 })
})

test('what an answer says is in force in the live room before it is said', async (t) => {
  const { api, person, room: make, peers, events } = await startRoom(t)
  const [alice, bob] = [person('alice'), person('bob')]
  const { id: roomId, jid } = await make(alice, [bob])
  const { sequence: before = 0 } = peers.enforced.at(-1) ?? {}
  const left = await events(memberLeft)
  let told: () => void = () => {}
  const held = new Promise<void>((resolve) => {
    told = resolve
  })
  peers.onEnforce = () => held
  let isAnswered = false
  const kick = api.call(roomMembers.removeMember, { roomId, userId: bob }, { as: alice }).then(() => {
    isAnswered = true
  })
  await eventually(() => left.length === 1)
  t.equal(isAnswered, false)
  told()
  await kick
  const last = peers.enforced.at(-1)
  t.equal(last?.jid, jid)
  t.ok((last?.sequence ?? 0) > before)
})
