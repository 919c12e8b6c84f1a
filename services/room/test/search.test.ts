import { internalMemberships, rooms } from '@im/contracts/room'
import { test } from 'tap'
import { startRoom } from './start-room.ts'

test('public rooms are found by every part of their name, and by the beginning of their description', async (t) => {
  const { api, internal, people, room, deps, passSeconds } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const find = async (roomName: string, page: object = {}) =>
    (await api.call(rooms.listRooms, { roomName, ...page }, { as: bob })).map(({ name }) => name)
  const make = async (name: string, more: object = {}) => {
    passSeconds(1)
    return await room(alice, [], { name, ...more })
  }
  const hiking = await make('周末爬山 Hiking (1)', { desc: '上海周边徒步路线，每周日出发' })
  const chess = await make('CHESS club', { desc: `${'x'.repeat(199)}y${'z'.repeat(100)}` })
  const secret = await make('secret hiking', { isLook: 1 })
  t.strictSame(await find('爬山'), ['周末爬山 Hiking (1)'])
  t.strictSame(await find('ｈｉｋ'), ['周末爬山 Hiking (1)'], 'width and case do not count')
  t.strictSame(await find('(1)'), ['周末爬山 Hiking (1)'])
  t.strictSame(await find('.*'), [], 'a keyword is no pattern')
  t.strictSame(await find('徒步路线，每周'), ['周末爬山 Hiking (1)'])
  t.strictSame(await find('徒步出发'), [])
  t.strictSame(await find('xy'), ['CHESS club'])
  t.strictSame(await find('z'), [], 'the end of a long description is not looked at')
  t.strictSame(await find('h'), ['CHESS club', '周末爬山 Hiking (1)'], 'newest first')
  t.strictSame(await find('h', { pageIndex: 1, pageSize: 1 }), ['周末爬山 Hiking (1)'])
  t.strictSame(await find('h', { pageIndex: 1_000_000, pageSize: 1000 }), [])
  t.strictSame(await api.call(rooms.listRooms, { pageIndex: 1_000_000, pageSize: 1000 }, { as: bob }), [])

  const update = (roomId: string, fields: object) => api.call(rooms.updateRoom, { roomId, ...fields }, { as: alice })
  await update(secret.id, { isLook: 0 })
  t.strictSame(await find('hiking'), ['secret hiking', '周末爬山 Hiking (1)'])
  await update(secret.id, { roomName: 'open walks', desc: 'for hikers' })
  t.strictSame([await find('hiking'), await find('hikers')], [['周末爬山 Hiking (1)'], ['open walks']])
  await update(secret.id, { isLook: 1 })
  t.strictSame(await find('open'), [])
  const lock = (locked: 0 | 1) => internal.call(internalMemberships.setRoomLocked, { room: hiking.id, locked })
  await lock(1)
  t.strictSame(await find('爬山'), [])
  await lock(0)
  t.strictSame(await find('爬山'), ['周末爬山 Hiking (1)'])
  await api.call(rooms.dissolveRoom, { roomId: chess.id }, { as: alice })
  t.strictSame(await find('chess'), [])
  const stored = deps.db.collection('searchable_rooms')
  t.equal(await stored.countDocuments({}), 1, 'nothing is kept of those that are not found')

  await stored.deleteMany({})
  await deps.db.collection<{ _id: string }>('counters').deleteOne({ _id: 'searchable-rooms' })
  await deps.rooms.makeAllSearchable()
  t.strictSame(await find('爬山'), ['周末爬山 Hiking (1)'], 'rooms from before are found, too')
  t.equal(await stored.countDocuments({}), 1)
})
