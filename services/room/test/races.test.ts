import { ContractError, type EventEnvelope } from '@im/contracts'
import {
  memberChanged,
  memberLeft,
  membersJoined,
  roomCreated,
  roomDissolved,
  roomMembers,
  rooms,
  roomTransferred,
  waitingRooms,
} from '@im/contracts/room'
import { inTransaction, on } from '@im/service-kit'
import { createTestClient, eventually, observeEvents } from '@im/service-kit/testing'
import fc from 'fast-check'
import { type Test, test } from 'tap'
import type { MemberDocument } from '../src/documents/member-document.ts'
import type { RoomDocument } from '../src/documents/room-document.ts'
import { service } from '../src/service.ts'
import { startRoom } from './start-room.ts'

/** Two replicas of the service, and people who do things in one room through either of them. */
async function startReplicas(t: Test) {
  const first = await startRoom(t)
  const second = await service.start({ ...first.env, PORT: '0' })
  const { callerKeys } = second.deps.config
  const secondApi = createTestClient({ baseUrl: second.url, callerKey: callerKeys[0] })
  t.after(async () => {
    await secondApi.close()
    await second.close()
  })
  return { ...first, replicas: [first.api, secondApi] as const }
}

const actions = ['join', 'leave', 'kick', 'invite', 'transfer', 'admin', 'hide', 'shrink'] as const

interface Act {
  action: (typeof actions)[number]
  who: number
  whom: number
  replica: number
}

const someAct = fc.record<Act>({
  action: fc.constantFrom(...actions),
  // Mostly the first owner and the first members, so that much of it succeeds.
  who: fc.constantFrom(0, 0, 0, 1, 1, 2, 3, 4, 5),
  whom: fc.constantFrom(0, 1, 1, 1, 2, 2, 3, 4, 5),
  replica: fc.nat(1),
})

/** Refusals are part of the story; a room under such traffic may also ask to try again. */
function mustBeRefusal(error: unknown): void {
  if (!(error instanceof ContractError) || error.errorName === 'InternalError') throw error
}

test('whatever happens at the same time, a room has one owner, no more members than it may, and events that tell it', async (t) => {
  const { replicas, people, peers, room, deps, env } = await startReplicas(t)
  const everybody = people('a', 'b', 'c', 'd', 'e', 'f')
  for (const one of everybody) for (const other of everybody) if (one < other) peers.befriend(one, other)
  const told = new Map<string, EventEnvelope[]>()
  const record = async (_: unknown, envelope: EventEnvelope) => {
    const events = told.get(envelope.aggregate) ?? []
    told.set(envelope.aggregate, [...events, envelope])
  }
  await observeEvents(t, env, [
    ...[on(roomCreated, record), on(membersJoined, record), on(memberLeft, record)],
    ...[on(memberChanged, record), on(roomTransferred, record), on(roomDissolved, record)],
  ])

  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(someAct, { minLength: 2, maxLength: 8 }), { minLength: 1, maxLength: 4 }),
      async (rounds) => {
        const { id: roomId } = await room(everybody[0], [everybody[1], everybody[2]], { maxUserSize: 4 })
        for (const round of rounds) {
          await Promise.all(round.map((act) => perform(roomId, act).catch(mustBeRefusal)))
          await check(roomId)
        }
        await checkEvents(roomId)
      },
    ),
    { numRuns: 20, endOnFailure: true },
  )

  async function perform(roomId: string, { action, who, whom, replica }: Act): Promise<unknown> {
    const api = replicas[replica] ?? replicas[0]
    const [caller = 0, userId = 0] = [everybody[who], everybody[whom]]
    const as = { as: caller }
    switch (action) {
      case 'join':
        return api.call(roomMembers.joinRoom, { roomId }, as)
      case 'leave':
        return api.call(roomMembers.leaveRoom, { roomId }, as)
      case 'kick':
        return api.call(roomMembers.removeMember, { roomId, userId }, as)
      case 'invite':
        return api.call(roomMembers.updateMember, { roomId, text: [userId, caller] as never }, as)
      case 'transfer':
        return api.call(rooms.transferRoom, { roomId, toUserId: userId }, as)
      case 'admin':
        return api.call(roomMembers.setAdmin, { roomId, touserId: userId, type: 2 }, as)
      case 'hide':
        return api.call(roomMembers.setHiddenRole, { roomId, touserId: userId, type: 4 }, as)
      case 'shrink':
        return api.call(rooms.updateRoom, { roomId, maxUserSize: 3 + (whom % 3) }, as)
    }
  }

  /** As of one moment: an answer that came too late may still have an effect. */
  function stored(roomId: string) {
    return inTransaction(deps.mongoClient, async (session) => {
      const found = await deps.db.collection<RoomDocument>('rooms').findOne({ _id: roomId }, { session })
      const members = await deps.db.collection<MemberDocument>('members').find({ roomId }, { session }).toArray()
      if (!found) throw new Error('the room has no row')
      const roles = new Map(members.map(({ userId, role }) => [userId, role]))
      return { room: found, roles, count: members.length }
    })
  }

  async function check(roomId: string): Promise<void> {
    const { room: found, roles, count } = await stored(roomId)
    const owners = [...roles].filter(([, role]) => role === 1).map(([userId]) => userId)
    if (found.dissolvedAt) return void t.equal(count, 0)
    t.strictSame(owners, [found.userId])
    t.equal(found.userSize, count)
    t.ok(count <= found.maxUserSize, `${count} of ${found.maxUserSize}`)
    t.equal(found.adminSize, [...roles.values()].filter((role) => role === 2).length)
    t.equal(found.hiddenSize, [...roles.values()].filter((role) => role > 3).length)
  }

  /** Who only hears the events knows the same as the room. */
  async function checkEvents(roomId: string): Promise<void> {
    const inOrder = (found: Map<number, number>) => JSON.stringify([...found].sort(([a], [b]) => a - b))
    const isSame = await eventually(
      async () => inOrder(heardOf(roomId)) === inOrder((await stored(roomId)).roles),
      60_000,
    )
    t.ok(isSame, 'the events tell what the room is')
  }

  function heardOf(roomId: string): Map<number, number> {
    const known = new Map<number, number>()
    for (const { name, data } of told.get(roomId) ?? []) {
      const {
        member,
        members = [],
        to,
        by,
      } = data as {
        member?: { userId: number; role: number }
        members?: { userId: number; role: number }[]
        to?: { userId: number }
        by: { userId: number }
      }
      for (const joined of members) known.set(joined.userId, joined.role)
      if (name === memberLeft.name && member) known.delete(member.userId)
      if (name === memberChanged.name && member) known.set(member.userId, member.role)
      if (to) known.set(by.userId, 3).set(to.userId, 1)
      if (name === roomDissolved.name) known.clear()
    }
    return known
  }
})

test('of many who join at the same moment, as many get in as there is room for', async (t) => {
  const { replicas, person, room } = await startReplicas(t)
  const alice = person('alice')
  const crowd = Array.from({ length: 60 }, (_, n) => person(`c${n}`))
  const { id: roomId } = await room(alice, [], { maxUserSize: 31 })
  const size = async () => (await replicas[0].call(rooms.getRoomBriefly, { roomId }, { as: alice })).userSize
  const answers = await Promise.allSettled(
    crowd.map((as, n) => replicas[n % 2]!.call(roomMembers.joinRoom, { roomId }, { as })),
  )
  const errors = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason.errorName as string] : []))
  t.strictSame(
    errors.filter((name) => name !== 'RoomFull' && name !== 'ServiceUnavailable'),
    [],
  )
  t.ok((await size()) <= 31 && (await size()) > answers.length - errors.length)
  // A busy machine may have answered some of them too late.
  for (const as of crowd) await replicas[0].call(roomMembers.joinRoom, { roomId }, { as }).catch(mustBeRefusal)
  t.equal(await size(), 31)
})

test('who enters a waiting room through another replica at the same moment joins the room that is made', async (t) => {
  const { replicas, people, roles } = await startReplicas(t)
  for (let round = 0; round < 5; round++) {
    const everybody = people('a', 'b', 'c', 'd', 'e', 'f').map((as, index) => ({ as, api: replicas[index % 2]! }))
    const place = { latitude: round, longitude: 0, password: '2468' }
    const found = []
    for (const { as, api } of everybody) found.push(await api.call(waitingRooms.waitForOthers, place, { as }))
    const { jid = '' } = found[0] ?? {}
    const entered = await Promise.all(
      everybody.map(({ as, api }) => api.call(waitingRooms.enterWaitingRoom, { jid }, { as })),
    )
    t.equal(new Set(entered.map(({ id }) => id)).size, 1)
    const all = Object.values(await roles(jid, entered[0]?.userId ?? 0))
    t.strictSame(all.sort(), [1, 3, 3, 3, 3, 3])
  }
})
