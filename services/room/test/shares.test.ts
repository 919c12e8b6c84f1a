import {
  internalRooms,
  roomMembers,
  roomShares,
  rooms,
  shareAdded,
  shareDeleted,
  sharesDropped,
} from '@im/contracts/room'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startRoom } from './start-room.ts'

test('members share files, find them, and delete their own', async (t) => {
  const { api, people, room, passSeconds, events } = await startRoom(t)
  const [alice, bob, carol, eve] = people('alice', 'bob', 'carol', 'eve')
  const { id: roomId } = await room(alice, [bob, carol])
  const [added, deleted] = [await events(shareAdded), await events(shareDeleted)]
  const add = (as: number, name: string) => {
    passSeconds(10)
    const file = { type: 10, size: 5_000_000_000, url: `http://f/${name}`, name }
    return api.call(roomShares.addShare, { roomId, ...file }, { as })
  }
  const first = await add(bob, 'a.pdf')
  t.match(first, { roomId, name: 'a.pdf', userId: bob, nickname: 'bob', size: 5_000_000_000, type: 10, state: 0 })
  const second = await add(carol, '二.pdf')
  await t.rejects(add(eve, 'x'), failure('NotRoomMember'))

  const find = async (fields: object = {}) =>
    (await api.call(roomShares.findShares, { roomId, ...fields }, { as: alice })).map(({ name }) => name)
  t.strictSame(await find(), ['二.pdf', 'a.pdf'])
  t.strictSame(await find({ userId: bob }), ['a.pdf'])
  t.strictSame(await find({ time: second.time - 1 }), ['a.pdf'])
  t.strictSame(await find({ time: first.time }), ['a.pdf'])
  t.strictSame(await find({ pageIndex: 1, pageSize: 1 }), ['a.pdf'])
  const { shareId } = first
  t.match(await api.call(roomShares.getShare, { roomId, shareId }, { as: carol }), { name: 'a.pdf' })
  await t.rejects(api.call(roomShares.getShare, { roomId, shareId: '7' }, { as: carol }), failure('ShareNotFound'))

  const other = await room(eve)
  const elsewhere = { roomId: other.id, shareId }
  for (const call of [roomShares.getShare, roomShares.deleteShare])
    await t.rejects(api.call(call, elsewhere, { as: eve }), failure('ShareNotFound'), 'of another room')

  const remove = (as: number, id = shareId) => api.call(roomShares.deleteShare, { roomId, shareId: id }, { as })
  await t.rejects(remove(carol), failure('PermissionDenied'))
  await remove(bob)
  await t.rejects(remove(bob), failure('ShareNotFound'))
  await remove(alice, second.shareId)
  t.strictSame(await find(), [])
  await eventually(() => added.length === 2 && deleted.length === 2)
  t.match(added[1], { shareId: second.shareId, name: '二.pdf', by: { userId: carol } })
  t.match(deleted[1], { by: { userId: alice }, shareId: second.shareId })

  await api.call(rooms.updateRoom, { roomId, allowUploadFile: 0 }, { as: alice })
  await t.rejects(add(bob, 'late'), failure('UploadNotAllowed'))
  await api.call(roomMembers.setAdmin, { roomId, touserId: bob, type: 2 }, { as: alice })
  await add(bob, 'by an admin')
  await api.call(rooms.updateRoom, { roomId, allowUploadFile: 1 }, { as: alice })
  await api.call(roomMembers.setHiddenRole, { roomId, touserId: carol, type: 4 }, { as: alice })
  await t.rejects(add(carol, 'by one who only reads'), failure('UploadNotAllowed'))
})

test('the files that were shared in a room go with it, and all else but its row', async (t) => {
  const { api, people, room, events, deps } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const { id: roomId } = await room(alice, [bob])
  const dropped = await events(sharesDropped)
  for (const as of [alice, bob])
    await api.call(roomShares.addShare, { roomId, type: 9, size: 1, url: `http://f/${as}`, name: 'f' }, { as })
  await api.call(rooms.updateRoom, { roomId, notice: 'hi' }, { as: alice })
  await api.call(roomMembers.updateMember, { roomId, userId: bob, talkTime: 4e9 } as never, { as: alice })
  await api.call(roomMembers.leaveRoom, { roomId }, { as: bob })
  const rows = async () => {
    const names = ['members', 'mutes', 'notices', 'shares', 'searchable_rooms']
    return await Promise.all(names.map((name) => deps.db.collection(name).countDocuments()))
  }
  t.strictSame(await rows(), [1, 1, 1, 2, 1])
  await api.call(rooms.dissolveRoom, { roomId }, { as: alice })
  t.strictSame(await rows(), [0, 0, 0, 0, 0])
  await eventually(() => dropped.length === 1)
  const [{ files = [] } = {}] = dropped
  t.strictSame(
    files.map(({ url, userId }) => [url, userId]).sort(),
    [alice, bob].map((user) => [`http://f/${user}`, user]),
  )
})

test('a room has 10,000 files at most, and is dissolved with them', async (t) => {
  const { api, people, room, deps } = await startRoom(t)
  const [alice] = people('alice')
  const { id: roomId } = await room(alice)
  const share = () =>
    api.call(roomShares.addShare, { roomId, type: 9, size: 1, url: 'http://f/a', name: 'f' }, { as: alice })
  const { shareId: _, ...model } = await share()
  const more = Array.from({ length: 9998 }, (_, n) => ({ ...model, _id: `${n}` }))
  await deps.db.collection<{ _id: string }>('shares').insertMany(more)
  await share()
  await t.rejects(share(), failure('InvalidParams'))
  await api.call(rooms.dissolveRoom, { roomId }, { as: alice })
})

test('it is told which files rooms share, whatever room lets one go', async (t) => {
  const { api, internal, people, room } = await startRoom(t)
  const [alice] = people('alice')
  const names = ['a', 'b', 'c'].map((letter) => letter.repeat(32)) as [string, string, string]
  const [first, second] = [await room(alice), await room(alice)]
  const share = (roomId: string, name: string) => {
    const url = `http://f.test/u/1/${alice}/202611/f/${name}.pdf`
    return api.call(roomShares.addShare, { roomId, type: 10, size: 1, url, name: 'f' }, { as: alice })
  }
  const added = await share(first.id, names[0])
  t.notOk('file' in added)
  await share(second.id, names[0])
  const { shareId } = await share(second.id, names[1])
  const shared = async () => (await internal.call(internalRooms.findSharedFiles, { names })).names.sort()
  t.strictSame(await shared(), names.slice(0, 2))
  await api.call(rooms.dissolveRoom, { roomId: first.id }, { as: alice })
  await api.call(roomShares.deleteShare, { roomId: second.id, shareId }, { as: alice })
  t.strictSame(await shared(), names.slice(0, 1))
})
