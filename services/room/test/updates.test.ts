import { noticeEdited, noticePublished, roomChanged, roomMembers, roomNotices, rooms } from '@im/contracts/room'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startRoom } from './start-room.ts'

test('the owner and admins change a room; what stays as it is is not told', async (t) => {
  const { api, people, peers, room, events } = await startRoom(t)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const { id: roomId } = await room(alice, [bob, carol], { name: 'old', tags: '["a","b"]' })
  await api.call(roomMembers.setAdmin, { roomId, touserId: bob, type: 2 }, { as: alice })
  const changed = await events(roomChanged)
  const until = Math.floor(Date.now() / 1000) + 3600
  const update = (as: number, fields: object) => api.call(rooms.updateRoom, { roomId, ...fields }, { as })

  await update(bob, { roomName: 'new', desc: 'd', tags: 'x', showRead: 1, isLook: 1, talkTime: until * 1000 })
  const shown = await api.call(rooms.getRoom, { roomId }, { as: carol })
  const now = { name: 'new', desc: 'd', tags: ['x'], showRead: 1, isLook: 1, talkTime: until, modifier: bob }
  t.match(shown, now)
  // Nothing new, and the words for unchanged.
  await update(bob, {
    roomName: 'new',
    showRead: -1,
    isNeedVerify: 0,
    talkTime: -2,
    chatRecordTimeOut: 0,
    maxUserSize: 0,
  })
  // iOS sends the size with every rename.
  await update(bob, { roomName: 'newer', maxUserSize: 1000 })
  for (const fields of [{ maxUserSize: 500 }, { isAttritionNotice: 0 }, { allowHostUpdate: 0 }]) {
    await t.rejects(update(bob, fields), failure('OwnerOnly'))
    await update(alice, fields)
  }
  await update(alice, { talkTime: 0, chatRecordTimeOut: '7.0天' })
  await update(alice, { talkTime: 1 })
  await t.rejects(update(carol, { roomName: 'mine' }), failure('PermissionDenied'))
  await t.rejects(update(9, { roomName: 'mine' }), failure('NotRoomMember'))
  t.match(await api.call(rooms.getRoom, { roomId }, { as: carol }), {
    ...now,
    ...{ name: 'newer', talkTime: 0, chatRecordTimeOut: 7, maxUserSize: 500, isAttritionNotice: 0, modifier: alice },
  })
  await eventually(() => changed.length === 6)
  t.strictSame(
    changed.map(({ by, changed }) => [by.userId, ...changed]),
    [
      [bob, 'name', 'desc', 'tags', 'showRead', 'isLook', 'talkTime'],
      [bob, 'name'],
      [alice, 'maxUserSize'],
      [alice, 'isAttritionNotice'],
      [alice, 'allowHostUpdate'],
      [alice, 'chatRecordTimeOut', 'talkTime'],
    ].map(([by, ...names]) => [by, ...names]),
  )
  t.equal(peers.enforced.length, 2 + changed.length)
})

test('a room is never made smaller than it is, nor larger than the configuration allows', async (t) => {
  const { api, people, room, deps } = await startRoom(t)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const { id: roomId } = await room(alice, [bob, carol], { maxUserSize: 5000 })
  await api.call(roomMembers.setAdmin, { roomId, touserId: bob, type: 2 }, { as: alice })
  const size = async (maxUserSize: number) => {
    await api.call(rooms.updateRoom, { roomId, maxUserSize }, { as: alice })
    return (await api.call(rooms.getRoomBriefly, { roomId }, { as: alice })).maxUserSize
  }
  t.equal(await size(0), 1000)
  t.equal(await size(2), 3)
  t.equal(await size(-1), 3)
  t.equal(await size(1_000_000), 1000)
  // The configuration allowed more when it was made; apps send its size with a new name.
  await deps.db.collection<{ _id: string }>('rooms').updateOne({ _id: roomId }, { $set: { maxUserSize: 1500 } })
  await api.call(rooms.updateRoom, { roomId, roomName: 'renamed', maxUserSize: 1500 }, { as: bob })
  t.match(await api.call(rooms.getRoomBriefly, { roomId }, { as: bob }), { name: 'renamed', maxUserSize: 1500 })
})

test('notices: a new one is the current one, an edit is told, and a deleted one gives way to the newest', async (t) => {
  const { api, people, room, passSeconds, events } = await startRoom(t)
  const [alice, bob, eve] = people('alice', 'bob', 'eve')
  const { id: roomId } = await room(alice, [bob])
  const [published, edited] = [await events(noticePublished), await events(noticeEdited)]
  const publish = async (text: string) => {
    passSeconds(5)
    await api.call(rooms.updateRoom, { roomId, notice: text }, { as: alice })
  }
  const list = () => api.call(roomNotices.listNotices, { roomId }, { as: bob })
  const current = async () => (await api.call(rooms.getRoom, { roomId }, { as: bob })).notice
  t.strictSame(await current(), { modifyTime: 0, time: 0 })
  await publish('first')
  await publish('second\nline')
  await publish(' ')
  const [second, first] = await list()
  t.match([second, first], [{ text: 'second\nline', userId: alice, nickname: 'alice', roomId }, { text: 'first' }])
  t.match(await current(), { id: second?.id, text: 'second\nline' })
  t.match((await api.call(rooms.getRoom, { roomId }, { as: bob })).notices, [{ id: second?.id }, { id: first?.id }])

  const noticeId = second?.id ?? ''
  const edit = (as: number, fields: object = {}) =>
    api.call(roomNotices.updateNotice, { roomId, noticeId, noticeContent: 'better', ...fields }, { as })
  passSeconds(5)
  t.match(await edit(alice), { id: noticeId, text: 'better', time: second?.time })
  t.match(await current(), { text: 'better' })
  t.ok(((await current()).modifyTime ?? 0) > (second?.modifyTime ?? 0))
  await edit(alice, { noticeId: first?.id, noticeContent: 'first' })
  t.match(await current(), { id: noticeId }, 'an older one that is edited stays an older one')
  await t.rejects(edit(bob), failure('PermissionDenied'))
  await t.rejects(edit(eve), failure('NotRoomMember'))
  for (const bad of ['f'.repeat(24), 'nonsense'])
    await t.rejects(edit(alice, { noticeId: bad }), failure('NoticeNotFound'))

  const remove = (id: string, as = alice) => api.call(roomNotices.deleteNotice, { roomId, noticeId: id }, { as })
  await t.rejects(remove(noticeId, bob), failure('PermissionDenied'))
  await remove(noticeId)
  await t.rejects(remove(noticeId), failure('NoticeNotFound'))
  t.match(await current(), { text: 'first' })
  await remove(first?.id ?? '')
  t.strictSame(await current(), { modifyTime: 0, time: 0 })
  await eventually(() => published.length === 2 && edited.length === 2)
  const inOneSecond = ['a', 'b', 'c', 'd', 'e']
  for (const notice of inOneSecond) await api.call(rooms.updateRoom, { roomId, notice }, { as: alice })
  t.strictSame(
    (await list()).map(({ text }) => text),
    inOneSecond.toReversed(),
    'also those of the same second',
  )
  t.match(published, [{ text: 'first', noticeId: first?.id }, { text: 'second\nline' }])
  t.match(edited[0], { noticeId, text: 'better', by: { userId: alice } })
})

test('a room keeps its newest 1,000 notices', async (t) => {
  const { api, people, room, deps } = await startRoom(t)
  const [alice] = people('alice')
  const { id: roomId } = await room(alice)
  const notices = deps.db.collection<{ _id: string }>('notices')
  const old = { roomId, text: 'x', userId: alice, nickname: 'alice', time: 1, modifyTime: 1 }
  await notices.insertMany(Array.from({ length: 1000 }, (_, n) => ({ ...old, _id: `${n}`.padStart(24, '0'), time: n })))
  await api.call(rooms.updateRoom, { roomId, notice: 'new' }, { as: alice })
  const listed = await api.call(roomNotices.listNotices, { roomId }, { as: alice })
  t.strictSame([listed.length, listed[0]?.text, listed.at(-1)?.time], [1000, 'new', 1])
  t.equal(await notices.countDocuments({ roomId }), 1000)
})

test('who gives a room away while they copy it does not make one that belongs to somebody else', async (t) => {
  const { api, people, room, deps } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const { id: roomId } = await room(alice, [bob])
  const next = deps.numbers.next.bind(deps.numbers)
  deps.numbers.next = async () => {
    await api.call(rooms.transferRoom, { roomId, toUserId: bob }, { as: alice })
    return await next()
  }
  await t.rejects(api.call(rooms.copyRoom, { roomId }, { as: alice }), failure('OwnerOnly'))
  t.equal((await api.call(rooms.listOwnRooms, {}, { as: bob })).length, 1)
})

test('public rooms are found by a part of their name or description, private, locked and dissolved ones are not', async (t) => {
  const { api, people, room, passSeconds } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  await room(alice, [], { name: 'Chess club', isLook: 0 })
  passSeconds(2)
  const second = await room(alice, [bob], { name: '棋', desc: 'a CHESS room (.*)' })
  await room(alice, [], { name: 'chess secret', isLook: 1 })
  const gone = await room(alice, [], { name: 'chess gone' })
  await api.call(rooms.dissolveRoom, { roomId: gone.id }, { as: alice })
  const find = async (roomName: string) =>
    (await api.call(rooms.listRooms, { roomName }, { as: bob })).map(({ name }) => name)
  t.strictSame(await find('chess'), ['棋', 'Chess club'])
  t.strictSame(await find('(.*)'), ['棋'])
  t.strictSame(await find(''), ['棋', 'Chess club'])
  const [first] = await api.call(rooms.listRooms, { pageSize: 1 }, { as: bob })
  t.match(first, { id: second.id, member: { userId: bob }, members: [], userSize: 2 })
  t.notOk(first && 'call' in first)
  t.match(await api.call(rooms.listRooms, { pageSize: 1, pageIndex: 1 }, { as: bob }), [{ name: 'Chess club' }])
})

test('a copy has the settings and members of the room, without its notices and mutes', async (t) => {
  const { api, people, room, roles } = await startRoom(t)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const { id: roomId, jid } = await room(alice, [bob, carol], { name: 'n', allowSendCard: 0 })
  await api.call(roomMembers.setAdmin, { roomId, touserId: bob, type: 2 }, { as: alice })
  const mute = { roomId, userId: carol, talkTime: 4e9 }
  await api.call(roomMembers.updateMember, mute as never, { as: alice })
  await api.call(rooms.updateRoom, { roomId, notice: 'x', talkTime: 4e9 }, { as: alice })
  await t.rejects(api.call(rooms.copyRoom, { roomId }, { as: bob }), failure('OwnerOnly'))
  const copy = await api.call(rooms.copyRoom, { roomId }, { as: alice })
  t.match(copy, {
    name: 'n',
    allowSendCard: 0,
    userSize: 0,
    members: [],
    notices: [],
    talkTime: 0,
    notice: { time: 0 },
  })
  t.not(copy.id, roomId)
  t.not(copy.jid, jid)
  t.strictSame(await roles(copy.id, alice), { [alice]: 1, [bob]: 2, [carol]: 3 })
  t.match(await api.call(rooms.getRoomBriefly, { roomId: copy.id }, { as: carol }), {
    userSize: 3,
    member: { talkTime: 0 },
  })
})
