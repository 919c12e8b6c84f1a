import { membersJoined, replayedRooms, roomMembers, rooms } from '@im/contracts/room'
import { createTestClient, eventually, writesOf } from '@im/service-kit/testing'
import type { CommandStartedEvent } from 'mongodb'
import { test } from 'tap'
import { newMember } from '../src/documents/member-document.ts'
import { startRoom } from './start-room.ts'

const size = 10_000

/** Counts the documents that are written from now on. */
function countWrites({ mongoClient, db }: Awaited<ReturnType<typeof startRoom>>['deps']) {
  let writes = 0
  const count = (event: CommandStartedEvent) => {
    for (const written of writesOf(event, db).values()) writes += written
  }
  mongoClient.on('commandStarted', count)
  return () => {
    mongoClient.off('commandStarted', count)
    return writes
  }
}

test('in a room of 10,000 members a change writes a few rows, and lists come by pages', async (t) => {
  const service = await startRoom(t)
  const { person, peers, room, deps, events } = service
  // Copies and dissolutions touch all members.
  const [callerKey] = deps.config.callerKeys
  const api = createTestClient({ baseUrl: service.url, callerKey, timeout: 60_000 })
  t.after(() => api.close())
  peers.config.maxUserSize = 2 * size
  const [alice, bob] = [person('alice'), person('bob')]
  const { id: roomId } = await room(alice, [bob])
  const stored = await deps.rooms.byId(roomId)
  if (!stored) throw new Error('no room')
  const crowd = Array.from({ length: size - 2 }, (_, n) =>
    newMember({ room: stored, userId: 20_000_000 + n, nickname: `n${n}`, now: Date.now() + 2000 * n }),
  )
  for (const { userId, nickname } of crowd) peers.names.set(userId, nickname)
  await deps.outbox.commit(async (change) => {
    await deps.members.add(crowd, change)
    await deps.rooms.change(roomId, { set: { maxUserSize: 2 * size }, sizes: { userSize: crowd.length } }, change)
  })

  const mute = { roomId, userId: 20_000_007, talkTime: 4e9 }
  const changes: [string, () => Promise<unknown>][] = [
    ['mute', () => api.call(roomMembers.updateMember, mute as never, { as: alice })],
    ['rename', () => api.call(rooms.updateRoom, { roomId, roomName: 'crowd', notice: 'hi' }, { as: alice })],
    ['leave', () => api.call(roomMembers.leaveRoom, { roomId }, { as: bob })],
    ['join', () => api.call(roomMembers.joinRoom, { roomId }, { as: bob })],
    ['transfer', () => api.call(rooms.transferRoom, { roomId, toUserId: bob }, { as: alice })],
    ['transfer back', () => api.call(rooms.transferRoom, { roomId, toUserId: alice }, { as: bob })],
  ]
  for (const [name, make] of changes) {
    const written = countWrites(deps)
    await make()
    const count = written()
    // A rename is two changes in one, with the event of each; the outbox takes a row and a number for each.
    t.ok(count <= 14, `${name}: ${count} rows`)
  }

  const shown = await api.call(rooms.getRoom, { roomId }, { as: bob })
  t.match(shown, { userSize: size, members: { length: 500 }, member: { userId: bob } })
  const seen = new Set<number>()
  for (let joinTime = 0; ; ) {
    const page = await api.call(roomMembers.pageMembers, { roomId, joinTime, pageSize: 1000 }, { as: bob })
    for (const { userId } of page) seen.add(userId)
    const last = page.at(-1)?.createTime ?? 0
    if (last === joinTime) break
    joinTime = last
  }
  t.equal(seen.size, size)
  t.equal((await api.call(roomMembers.listMembers, { roomId }, { as: bob })).length, size)

  const joined = await events(membersJoined)
  const copy = await api.call(rooms.copyRoom, { roomId }, { as: alice })
  t.match(await api.call(rooms.getRoomBriefly, { roomId: copy.id }, { as: bob }), { userSize: size })
  await eventually(() => joined.filter(({ room: { roomId: id } }) => id === copy.id).length === size / 1000)
  const { rows, next } = await service.internal.call(replayedRooms.pageRooms, { pageSize: 10 })
  t.strictSame([rows.length, rows[0]?.data.members.length, next], [1, size, rows[0]?.aggregate], 'a page for each')
  await api.call(rooms.dissolveRoom, { roomId: copy.id }, { as: alice })
  t.strictSame(await api.call(rooms.listOwnRooms, {}, { as: bob }).then((own) => own.map(({ id }) => id)), [roomId])
})
