import { ContractError, type Endpoint, errors } from '@im/contracts'
import {
  internalMemberships,
  memberChanged,
  memberLeft,
  membersJoined,
  roomChanged,
  roomDissolved,
  roomMembers,
  roomNotices,
  roomShares,
  rooms,
  roomTransferred,
} from '@im/contracts/room'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startRoom } from './start-room.ts'

test('the owner removes anybody, admins ordinary members, and nobody leaves a room without an owner', async (t) => {
  const { api, people, room, roles, peers, events } = await startRoom(t)
  const [alice, bob, carol, dave, eve] = people('alice', 'bob', 'carol', 'dave', 'eve')
  const { id: roomId, jid } = await room(alice, [bob, carol, dave])
  const [left, dissolved] = [await events(memberLeft), await events(roomDissolved)]
  const kick = (userId: number, as: number) => api.call(roomMembers.removeMember, { roomId, userId }, { as })
  await api.call(roomMembers.setAdmin, { roomId, touserId: bob, type: 2 }, { as: alice })

  await api.call(roomMembers.setAdmin, { roomId, touserId: carol, type: 2 }, { as: alice })
  await t.rejects(kick(alice, bob), failure('PermissionDenied'))
  await t.rejects(kick(carol, bob), failure('PermissionDenied'), 'admins remove no admins')
  await api.call(roomMembers.setAdmin, { roomId, touserId: carol, type: 3 }, { as: alice })
  await t.rejects(kick(carol, dave), failure('PermissionDenied'))
  await t.rejects(kick(bob, eve), failure('NotRoomMember'))
  await t.rejects(kick(eve, alice), failure('MemberNotFound'))
  const told = peers.enforced.length
  await kick(carol, bob)
  t.match(peers.enforced.slice(told), [{ jid, sequence: Number }])
  await kick(bob, alice)
  await t.rejects(kick(alice, alice), failure('OwnerCannotLeave'))
  await t.rejects(api.call(roomMembers.leaveRoom, { roomId }, { as: alice }), failure('OwnerCannotLeave'))
  await api.call(roomMembers.leaveRoom, { roomId }, { as: dave })
  t.strictSame(await roles(roomId, alice), { [alice]: 1 })
  await api.call(roomMembers.leaveRoom, { roomId }, { as: alice })
  await t.rejects(api.call(rooms.getRoom, { roomId }, { as: alice }), failure('RoomNotFound'))
  await eventually(() => left.length === 3 && dissolved.length === 1)
  t.match(left, [
    { by: { userId: bob, name: 'bob' }, member: { userId: carol, name: 'carol' } },
    { by: { userId: alice }, member: { userId: bob } },
    { by: { userId: dave }, member: { userId: dave } },
  ])
})

test('a change is in force before it is answered, also when the first replica of the message service that is told has just died', async (t) => {
  const { api, people, room, peers } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const { id: roomId, jid } = await room(alice, [bob])
  const told = peers.enforced.length
  let failures = 2
  peers.onEnforce = async () => {
    if (failures-- > 0) throw new ContractError('ServiceUnavailable')
  }
  await api.call(roomMembers.removeMember, { roomId, userId: bob }, { as: alice })
  t.match(peers.enforced.slice(told), [{ jid, sequence: Number }])
  // The whole service is away: nobody is kept waiting for it.
  failures = Number.POSITIVE_INFINITY
  await api.call(roomMembers.leaveRoom, { roomId }, { as: alice })
})

test('one member who leaves is gone from no list but their own', async (t) => {
  const { api, people, room } = await startRoom(t)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const { id: roomId } = await room(alice, [bob, carol])
  await api.call(roomMembers.leaveRoom, { roomId }, { as: bob })
  t.strictSame(await api.call(rooms.listOwnRooms, {}, { as: bob }), [])
  for (const as of [alice, carol])
    t.match(await api.call(rooms.listOwnRooms, {}, { as }), [{ id: roomId, userSize: 2, member: { userId: as } }])
})

test('an owner gives the room to another member and is an ordinary one then', async (t) => {
  const { api, people, room, roles, events } = await startRoom(t)
  const [alice, bob, eve] = people('alice', 'bob', 'eve')
  const { id: roomId } = await room(alice, [bob])
  const transferred = await events(roomTransferred)
  const give = (toUserId: number, as = alice) => api.call(rooms.transferRoom, { roomId, toUserId }, { as })
  await api.call(roomMembers.updateMember, { roomId, userId: bob, talkTime: 4e9 } as never, { as: alice })
  await t.rejects(give(alice, bob), failure('OwnerOnly'))
  await t.rejects(give(alice), failure('InvalidParams'))
  await t.rejects(give(eve), failure('MemberNotFound'))
  t.match(await give(bob), { userId: bob, nickname: 'bob', member: { userId: alice, role: 3 } })
  t.strictSame(await roles(roomId, bob), { [alice]: 3, [bob]: 1 })
  t.match(await api.call(roomMembers.getMember, { roomId, userId: 0 }, { as: bob }), { talkTime: 0 })
  t.match(await api.call(rooms.listOwnRooms, { type: 1 }, { as: bob }), [{ id: roomId }])
  t.match(await api.call(rooms.listOwnRooms, { type: 2 }, { as: alice }), [{ id: roomId }])
  await eventually(() => transferred.length === 1)
  t.match(transferred[0], { by: { userId: alice }, room: { ownerId: bob }, to: { userId: bob, role: 1 } })
})

test('the owner names admins, at most 20, once', async (t) => {
  const { api, person, people, room, events } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const others = Array.from({ length: 20 }, (_, n) => person(`m${n}`))
  const { id: roomId } = await room(alice, [bob, ...others])
  const changed = await events(memberChanged)
  const set = (touserId: number, type: number, as = alice) =>
    api.call(roomMembers.setAdmin, { roomId, touserId, type }, { as })
  for (const other of others) await set(other, 2)
  await t.rejects(set(bob, 2), failure('InvalidParams'))
  await t.rejects(set(bob, 2, others[0]), failure('OwnerOnly'))
  await t.rejects(set(bob, 1), failure('InvalidParams'))
  await set(others[0] ?? 0, 3)
  await set(bob, 2)
  await set(bob, 2)
  await eventually(() => changed.length === 22)
  t.match(changed.at(-1), { member: { userId: bob, role: 2 }, roleBefore: 3, changed: ['role'] })
  // `toUserId` is another spelling.
  await api.call(roomMembers.setAdmin, { roomId, toUserId: bob, type: 3 } as never, { as: alice })
  t.match(await api.call(roomMembers.getMember, { roomId, userId: bob }, { as: bob }), { role: 3 })
  // One who is removed makes room for another.
  await set(others[0] ?? 0, 2)
  await t.rejects(set(bob, 2), failure('InvalidParams'))
  await api.call(roomMembers.removeMember, { roomId, userId: others[1] ?? 0 }, { as: alice })
  await set(bob, 2)
})

test('invisible members and guardians are seen by the owner and themselves only', async (t) => {
  const { api, people, room, roles } = await startRoom(t)
  const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
  const { id: roomId } = await room(alice, [bob, carol, dave])
  const hide = (touserId: number, type: number, as = alice) =>
    api.call(roomMembers.setHiddenRole, { roomId, touserId, type }, { as })
  await api.call(roomMembers.setAdmin, { roomId, touserId: bob, type: 2 }, { as: alice })
  await hide(carol, 4)
  await hide(dave, 5)
  await t.rejects(hide(alice, 4), failure('InvalidParams'))
  await t.rejects(hide(bob, 2), failure('InvalidParams'))
  await t.rejects(hide(carol, -1, bob), failure('OwnerOnly'))
  await api.call(roomMembers.setAdmin, { roomId, touserId: carol, type: 3 }, { as: alice })
  t.match(await roles(roomId, alice), { [carol]: 4, [dave]: 5 }, 'who is no admin stays what they are')

  const seenBy = async (as: number) => {
    const shown = await api.call(rooms.getRoom, { roomId }, { as })
    const listed = await api.call(roomMembers.listMembers, { roomId }, { as })
    t.strictSame(
      shown.members.map(({ userId }) => userId),
      listed.map(({ userId }) => userId),
    )
    return [shown.userSize, ...listed.map(({ userId }) => userId)]
  }
  t.strictSame(await seenBy(alice), [4, alice, bob, carol, dave])
  t.strictSame(await seenBy(bob), [2, alice, bob])
  t.strictSame(await seenBy(carol), [3, alice, bob, carol])
  await t.rejects(api.call(roomMembers.getMember, { roomId, userId: carol }, { as: bob }), failure('MemberNotFound'))
  await t.rejects(api.call(roomMembers.removeMember, { roomId, userId: carol }, { as: bob }), failure('MemberNotFound'))
  const mute = (userId: number) =>
    api.call(roomMembers.updateMember, { roomId, userId, talkTime: 4e9 } as never, { as: bob })
  await t.rejects(mute(carol), failure('MemberNotFound'))
  await mute(dave)
  t.match(await api.call(roomMembers.getMember, { roomId, userId: 0 }, { as: dave }), { talkTime: 4e9 })
  await hide(carol, -1)
  await hide(dave, -1)
  t.strictSame(await roles(roomId, alice), { [alice]: 1, [bob]: 2, [carol]: 3, [dave]: 5 })
  await hide(dave, 0)
  t.equal((await seenBy(bob))[0], 4)
  await hide(carol, 5)
  await api.call(rooms.transferRoom, { roomId, toUserId: carol }, { as: alice })
  t.equal((await seenBy(bob))[0], 4, 'who owns the room is hidden no more')
})

test('nobody who joined in the same second as others is between two pages', async (t) => {
  const { api, people, room, passSeconds } = await startRoom(t)
  const [alice, bob, carol, dave, eve] = people('alice', 'bob', 'carol', 'dave', 'eve')
  const { id: roomId } = await room(alice)
  const invite = (...text: number[]) => api.call(roomMembers.updateMember, { roomId, text } as never, { as: alice })
  passSeconds(10)
  await invite(bob, carol, dave)
  passSeconds(10)
  await invite(eve)
  const page = (joinTime = 0) => api.call(roomMembers.pageMembers, { roomId, joinTime, pageSize: 2 }, { as: eve })
  const idsOf = (members: { userId: number }[]) => members.map(({ userId }) => userId)
  const first = await page()
  t.strictSame(idsOf(first), [alice, bob])
  t.strictSame(idsOf(await page(first[1]?.createTime)), [bob, carol, dave, eve])
})

test('where members are hidden from each other, they see the owner, admins and themselves', async (t) => {
  const { api, people, room } = await startRoom(t)
  const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
  const { id: roomId } = await room(alice, [bob, carol, dave], { showMember: 0 })
  await api.call(roomMembers.setAdmin, { roomId, touserId: bob, type: 2 }, { as: alice })
  const seenBy = async (as: number) =>
    (await api.call(roomMembers.listMembers, { roomId }, { as })).map(({ userId }) => userId)
  t.strictSame(await seenBy(bob), [alice, bob, carol, dave])
  t.strictSame(await seenBy(dave), [alice, bob, dave])
  await t.rejects(api.call(roomMembers.getMember, { roomId, userId: carol }, { as: dave }), failure('MemberNotFound'))
})

test('members change their own record, the owner and admins those of others', async (t) => {
  const { api, people, room, events, peers } = await startRoom(t)
  const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
  const { id: roomId } = await room(alice, [bob, carol, dave])
  await api.call(roomMembers.setAdmin, { roomId, touserId: bob, type: 2 }, { as: alice })
  const changed = await events(memberChanged)
  const until = Math.floor(Date.now() / 1000) + 1000
  const update = (as: number, fields: object) =>
    api.call(roomMembers.updateMember, { roomId, ...fields } as never, { as })
  const get = (userId: number, as: number) => api.call(roomMembers.getMember, { roomId, userId }, { as })

  await update(carol, { nickname: ' 小卡 ' })
  t.match(await get(carol, bob), { nickname: '小卡' })
  await update(bob, { menber: JSON.stringify({ userId: carol, nickname: 'c' }) })
  t.match(await get(carol, dave), { nickname: 'c' })
  await t.rejects(update(dave, { userId: carol, nickname: 'x' }), failure('PermissionDenied'))

  await update(bob, { userId: carol, talkTime: until * 1000 })
  t.match(await get(carol, carol), { talkTime: until })
  t.equal(peers.enforced.length, 3, 'made, an admin, muted: who is called what needs no hurry')
  for (const [as, userId, error] of [
    [bob, bob, 'PermissionDenied'],
    [bob, alice, 'InvalidParams'],
    [alice, alice, 'InvalidParams'],
    [dave, carol, 'PermissionDenied'],
    [carol, carol, 'PermissionDenied'],
  ] as const)
    await t.rejects(update(as, { userId, talkTime: until }), failure(error))
  await update(alice, { userId: bob, talkTime: until })
  await update(alice, { userId: bob, talkTime: 1 })
  t.match(await get(bob, bob), { talkTime: 0 })

  await update(alice, { userId: dave, remarkName: 'd.' })
  t.match(await get(dave, alice), { remarkName: 'd.' })
  for (const viewer of [bob, dave]) t.notOk('remarkName' in (await get(dave, viewer)), 'for the owner alone')
  await t.rejects(update(bob, { userId: dave, remarkName: 'x' }), failure('PermissionDenied'))
  await t.rejects(update(alice, { userId: dave, offlineNoPushMsg: 1 }), failure('PermissionDenied'))
  await t.rejects(update(alice, { userId: dave, role: 2 }), failure('InvalidParams'))
  await update(dave, {})
  t.match(await api.call(roomMembers.listMembers, { roomId, keyword: 'D.' }, { as: alice }), [{ userId: dave }])
  t.strictSame(await api.call(roomMembers.listMembers, { roomId, keyword: '.*' }, { as: alice }), [])
  t.strictSame(
    await api.call(roomMembers.listMembers, { roomId, keyword: 'd.' }, { as: bob }),
    [],
    'nobody finds out what the owner calls others',
  )

  await eventually(() => changed.length >= 6)
  t.strictSame(
    changed
      .filter(({ changed }) => !changed.includes('role'))
      .map(({ by, member, changed }) => [by.userId, member.userId, ...changed]),
    [
      [carol, carol, 'nickname'],
      [bob, carol, 'nickname'],
      [bob, carol, 'talkTime'],
      [alice, bob, 'talkTime'],
      [alice, bob, 'talkTime'],
    ],
  )
})

test('who goes while they are muted is muted when they come back, until the mute ends or is lifted', async (t) => {
  const { api, people, room, events, passSeconds, deps } = await startRoom(t)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const { id: roomId } = await room(alice, [bob, carol])
  const joins = await events(membersJoined)
  const until = Math.floor(Date.now() / 1000) + 1000
  const mute = (userId: number, talkTime: number) =>
    api.call(roomMembers.updateMember, { roomId, userId, talkTime } as never, { as: alice })
  const leave = (as: number) => api.call(roomMembers.leaveRoom, { roomId }, { as })
  const comeBack = (as: number) => api.call(roomMembers.joinRoom, { roomId }, { as })
  const talkTimeOf = async (userId: number) =>
    (await api.call(roomMembers.getMember, { roomId, userId }, { as: userId })).talkTime
  await mute(bob, until)
  await mute(carol, until)
  await leave(bob)
  await comeBack(bob)
  t.equal(await talkTimeOf(bob), until)
  // Whoever keeps what members may is told, too.
  await eventually(() =>
    joins.some(({ members: [member] }) => member?.userId === bob && member.talkTime === until && member.role === 3),
  )
  await api.call(roomMembers.removeMember, { roomId, userId: carol }, { as: alice })
  await api.call(roomMembers.updateMember, { roomId, text: [bob, carol] } as never, { as: alice })
  t.equal(await talkTimeOf(carol), until, 'also who is taken out and invited')

  await mute(bob, 0)
  await leave(bob)
  await comeBack(bob)
  t.equal(await talkTimeOf(bob), 0, 'it was lifted')
  await leave(carol)
  passSeconds(1001)
  await comeBack(carol)
  t.equal(await talkTimeOf(carol), 0, 'it has ended')
  await mute(carol, until + 4000)
  await leave(carol)
  await api.call(rooms.dissolveRoom, { roomId }, { as: alice })
  t.equal(await deps.db.collection('mutes').countDocuments(), 0, 'and goes with the room')
})

test('own settings of a room are nobody else’s', async (t) => {
  const { api, people, room, events, passSeconds } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const { id: roomId } = await room(alice, [bob])
  const changed = await events(memberChanged)
  const set = (fields: object) => api.call(roomMembers.setOwnSwitch, { roomId, ...fields } as never, { as: bob })
  await set({ offlineNoPushMsg: 1 })
  await set({ offlineNoPushMsg: 1, type: 1, userId: bob })
  const own = await api.call(roomMembers.getMember, { roomId, userId: bob }, { as: bob })
  t.match(own, { offlineNoPushMsg: 1, isOpenTopChat: 1 })
  passSeconds(60)
  await set({ offlineNoPushMsg: 1, type: 1 })
  t.match(await api.call(roomMembers.getMember, { roomId, userId: bob }, { as: bob }), {
    openTopChatTime: own.openTopChatTime,
  })
  t.match(await api.call(roomMembers.getMember, { roomId, userId: bob }, { as: alice }), {
    ...{ offlineNoPushMsg: 0, isOpenTopChat: 0, openTopChatTime: 0 },
  })
  await set({ offlineNoPushMsg: 0, type: 1 })
  t.match(await api.call(roomMembers.getMember, { roomId, userId: bob }, { as: bob }), { isOpenTopChat: 0 })
  await t.rejects(set({ offlineNoPushMsg: 1, userId: alice }), failure('PermissionDenied'))
  await eventually(() => changed.length === 3)
  t.strictSame(
    changed.map(({ changed }) => changed),
    [['offlineNoPushMsg'], ['openTopChatTime'], ['openTopChatTime']],
  )
})

test('a page of members ends with all who joined in its last second, so that nobody is missed', async (t) => {
  const { api, person, room, passSeconds } = await startRoom(t)
  const alice = person('alice')
  const { id: roomId } = await room(alice)
  const everybody = [alice]
  for (const size of [7, 1, 30, 2]) {
    passSeconds(10)
    const newcomers = Array.from({ length: size }, () => person('m'))
    everybody.push(...newcomers)
    await api.call(roomMembers.updateMember, { roomId, text: newcomers as never }, { as: alice })
  }
  const seen = new Set<number>()
  let joinTime = 0
  for (let pages = 0; pages < 30; pages++) {
    const page = await api.call(roomMembers.pageMembers, { roomId, joinTime, pageSize: 4 }, { as: alice })
    for (const { userId } of page) seen.add(userId)
    const last = page.at(-1)?.createTime ?? 0
    if (last === joinTime || !page.length) break
    joinTime = last
  }
  t.strictSame([...seen].sort(), everybody.sort())
  const pages = [0, 1].map((pageIndex) => api.call(rooms.getRoom, { roomId, pageIndex, pageSize: 5 }, { as: alice }))
  const onPages = (await Promise.all(pages)).flatMap(({ members }) => members!.map(({ userId }) => userId))
  t.equal(new Set(onPages).size, 10)
})

test('a locked room can be read and not changed', async (t) => {
  const { api, internal, people, room, events } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const { id: roomId } = await room(alice, [bob])
  const changed = await events(roomChanged)
  for (const locked of [0, 1, 1]) await internal.call(internalMemberships.setRoomLocked, { room: roomId, locked })
  t.match(await api.call(rooms.getRoomBriefly, { roomId }, { as: bob }), { s: -1 })
  t.match(await api.call(rooms.listOwnRooms, {}, { as: bob }), [{ id: roomId, s: -1 }])
  for (const write of [
    () => api.call(rooms.updateRoom, { roomId, roomName: 'x' }, { as: alice }),
    () => api.call(rooms.dissolveRoom, { roomId }, { as: alice }),
    () => api.call(rooms.copyRoom, { roomId }, { as: alice }),
    () => api.call(roomMembers.leaveRoom, { roomId }, { as: bob }),
    () => api.call(roomMembers.updateMember, { roomId, text: '10000099' as never }, { as: alice }),
    () => api.call(roomMembers.updateMember, { roomId, nickname: 'x' } as never, { as: bob }),
  ])
    await t.rejects(async () => void (await write()), failure('RoomLocked'))
  await internal.call(internalMemberships.setRoomLocked, { room: roomId, locked: 0 })
  await api.call(roomMembers.leaveRoom, { roomId }, { as: bob })
  await eventually(() => changed.some(({ room: { locked } }) => locked === 0))
  t.strictSame(
    changed.map(({ room: { locked } }) => locked),
    [1, 0],
    'told when it changes',
  )
})

test('who is removed while they read a room gets nothing that came after that', async (t) => {
  const { api, people, room, deps } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const { id: roomId } = await room(alice, [bob])
  const file = { roomId, type: 9, size: 1, url: 'http://f/a', name: 'f' }
  const { shareId } = await api.call(roomShares.addShare, file, { as: alice })
  const { notices, shares, members, rooms: found } = deps
  /** Bob reads; before `method` answers he is removed. */
  async function read<O extends object>(of: O, method: keyof O & string, endpoint: Endpoint, params = {}) {
    await api.call(roomMembers.updateMember, { roomId, text: [bob] as never }, { as: alice })
    const original = of[method] as (...all: unknown[]) => unknown
    Object.assign(of, {
      [method]: async (...all: unknown[]) => {
        Object.assign(of, { [method]: original })
        await api.call(roomMembers.removeMember, { roomId, userId: bob }, { as: alice })
        await api.call(rooms.updateRoom, { roomId, notice: 'secret' }, { as: alice })
        return await original.apply(of, all)
      },
    })
    return await api.envelope(endpoint, { roomId, ...params } as never, { as: bob })
  }
  const refused = [
    await read(notices, 'list', roomNotices.listNotices),
    await read(shares, 'list', roomShares.findShares),
    await read(shares, 'find', roomShares.getShare, { shareId }),
    await read(members, 'list', roomMembers.listMembers),
    await read(members, 'page', roomMembers.pageMembers),
    await read(members, 'joined', roomMembers.pageMembers, { joinTime: 1 }),
  ]
  t.strictSame(new Set(refused.map(({ resultCode }) => resultCode)), new Set([errors.NotRoomMember.code]))
  const cards = [await read(notices, 'list', rooms.getRoom), await read(members, 'moderators', rooms.getRoomBriefly)]
  for (const { data } of cards) t.match(data, { id: roomId, members: [], notices: [], notice: { time: 0 } })
  t.notMatch(JSON.stringify(cards), 'secret')
  const own = await read(found, 'byIds', rooms.listOwnRooms)
  t.strictSame(own.data, [])
})
