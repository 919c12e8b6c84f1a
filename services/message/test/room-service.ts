import { randomBytes } from 'node:crypto'
import { type Handlers, type Payload, streams } from '@im/contracts'
import { liveRooms } from '@im/contracts/message'
import {
  internalRooms,
  type MemberState,
  memberChanged,
  memberGone,
  membersJoined,
  noticePublished,
  type Person,
  type RoomState,
  roomChanged,
  roomCreated,
  roomDissolved,
  roomTransferred,
  type StandingMember,
} from '@im/contracts/room'
import {
  bindHandlers,
  type Change,
  createServiceClient,
  defineService,
  type Runtime,
  type ServiceClient,
} from '@im/service-kit'

interface Room {
  state: RoomState
  sequence: number
  isDissolved: boolean
  members: Map<number, StandingMember>
}

const byId = (rooms: Rooms, roomId: string) => [...rooms.byJid.values()].find(({ state }) => state.roomId === roomId)

/** Rooms and their members, in memory; each change is announced as the room service announces it. */
export class Rooms {
  readonly byJid = new Map<string, Room>()
  readonly #outbox: Runtime['outbox']
  /** Puts changes into force. */
  message: ServiceClient | undefined
  /** How often it was asked what users are in rooms. */
  questions = 0
  /** `is away`: fails, as while it restarts. */
  mode: 'answers' | 'is away' = 'answers'

  constructor(outbox: Runtime['outbox']) {
    this.#outbox = outbox
  }

  async create(jid: string, ownerId: number, members: readonly number[] = [], more: Partial<RoomState> = {}) {
    await this.message?.call(liveRooms.claimRoom, { jid, userId: ownerId })
    const state: RoomState = { ...stateOf(jid, ownerId), ...more }
    const room: Room = { state, sequence: 0, isDissolved: false, members: new Map() }
    const all = [ownerId, ...members].map((userId, index) => memberOf(userId, index ? 3 : 1))
    for (const member of all) room.members.set(member.userId, member)
    this.byJid.set(jid, room)
    await this.#commit(room, {}, (change, about) => {
      change.announce(roomCreated, state.roomId, about)
      change.announce(membersJoined, state.roomId, { ...about, members: all })
    })
    return state
  }

  /** Rooms that have been there for long: nobody is told of them. */
  stock(jids: readonly string[], members: readonly number[]): void {
    for (const jid of jids) {
      const all = members.map((userId, index) => memberOf(userId, index ? 3 : 1))
      const state = stateOf(jid, members[0] ?? 0)
      this.byJid.set(jid, {
        ...{ state, sequence: 1, isDissolved: false },
        members: new Map(all.map((member) => [member.userId, member])),
      })
    }
  }

  async add(jid: string, userId: number, role = 3, by = this.#of(jid).state.ownerId) {
    const room = this.#of(jid)
    const member = memberOf(userId, role)
    room.members.set(userId, member)
    await this.#commit(room, { by }, (change, about) => {
      change.announce(membersJoined, room.state.roomId, { ...about, members: [member] })
    })
  }

  async remove(jid: string, userId: number, by = this.#of(jid).state.ownerId) {
    const room = this.#of(jid)
    const member = room.members.get(userId)!
    room.members.delete(userId)
    await this.#commit(room, { by }, (change, about) => {
      change.announce(memberGone, room.state.roomId, { ...about, member })
    })
  }

  async change(jid: string, fields: Partial<RoomState>) {
    const room = this.#of(jid)
    room.state = { ...room.state, ...fields }
    await this.#commit(room, {}, (change, about) => {
      change.announce(roomChanged, room.state.roomId, { ...about, changed: Object.keys(fields) })
    })
  }

  async changeMember(jid: string, userId: number, fields: Partial<MemberState>) {
    const room = this.#of(jid)
    const before = room.members.get(userId)!
    const member = { ...before, ...fields }
    room.members.set(userId, member)
    const changed = Object.keys(fields).map((field) => (field === 'name' ? 'nickname' : field))
    await this.#commit(room, {}, (change, about) => {
      change.announce(memberChanged, room.state.roomId, { ...about, member, roleBefore: before.role, changed })
    })
  }

  async transfer(jid: string, userId: number) {
    const room = this.#of(jid)
    const by = room.state.ownerId
    room.members.set(by, { ...room.members.get(by)!, role: 3 })
    const to = { ...room.members.get(userId)!, role: 1 }
    room.members.set(userId, to)
    room.state = { ...room.state, ownerId: userId }
    await this.#commit(room, { by }, (change, about) => {
      change.announce(roomTransferred, room.state.roomId, { ...about, to })
    })
  }

  async notice(jid: string, text: string) {
    const room = this.#of(jid)
    await this.#commit(room, {}, (change, about) => {
      change.announce(noticePublished, room.state.roomId, { ...about, noticeId: 'a'.repeat(24), text })
    })
  }

  async dissolve(jid: string) {
    const room = this.#of(jid)
    const memberIds = [...room.members.keys()]
    room.isDissolved = true
    room.members.clear()
    await this.#commit(room, {}, (change, about) => {
      change.announce(roomDissolved, room.state.roomId, { ...about, memberIds })
    })
  }

  /** As the room service does: committed, then in force, then the caller is answered. */
  async #commit(
    room: Room,
    { by = room.state.ownerId }: { by?: number },
    announce: (change: Change, about: Payload<typeof roomCreated>) => void,
  ) {
    const about = { room: room.state, by: personOf(by), at: Date.now() }
    const { jid, roomId } = room.state
    await this.#outbox.commit(async (change) => announce(change, about))
    const sequences = await this.#outbox.commit(({ session }) =>
      this.#outbox.lastSequences(streams.room.name, [roomId], session),
    )
    room.sequence = sequences.get(roomId) ?? 0
    await this.message?.call(liveRooms.enforceRoom, { jid, roomId, sequence: room.sequence })
  }

  #of(jid: string): Room {
    const room = this.byJid.get(jid)
    if (!room) throw new Error(`no room ${jid}`)
    return room
  }
}

export const stateOf = (jid: string, ownerId: number): RoomState => ({
  ...{ roomId: randomBytes(12).toString('hex'), jid, name: `room ${jid}`, ownerId, locked: 0, talkTime: 0 },
  ...{ isAttritionNotice: 1, showRead: 0, isLook: 0, isNeedVerify: 0, showMember: 1, allowSendCard: 1 },
  ...{ allowInviteFriend: 1, allowUploadFile: 1, allowConference: 1, allowSpeakCourse: 1, maxUserSize: 20_000 },
  ...{ chatRecordTimeOut: -1 },
})
const personOf = (userId: number): Person => ({ userId, name: `n${userId}` })
const memberOf = (userId: number, role: number): StandingMember => ({
  ...personOf(userId),
  ...{ role, talkTime: 0, joinedAt: Math.floor(Date.now() / 1000), since: Date.now() },
})

interface RoomDeps extends Runtime {
  rooms: Rooms
}

const handlers: Handlers<typeof internalRooms, RoomDeps> = {
  getStandings({ rooms }, { params: { pairs } }) {
    rooms.questions++
    if (rooms.mode === 'is away') throw new Error('away')
    const standings = pairs.map(({ jid, userId }, index) => {
      const room = rooms.byJid.get(jid)
      const isTold = pairs.slice(0, index).some((before) => before.jid === jid)
      if (!room) return { state: 'unknown' as const, sequence: 0 }
      const { sequence, state, members } = room
      if (room.isDissolved) return { state: 'dissolved' as const, sequence }
      const member = members.get(userId)
      return {
        ...{ state: 'live' as const, sequence },
        ...(isTold ? {} : { room: state }),
        ...(member ? { member } : {}),
      }
    })
    return { standings }
  },
  findSharedFiles: () => ({ names: [] }),
  listRoomsOf({ rooms }, { params: { userId } }) {
    if (rooms.mode === 'is away') throw new Error('away')
    const found = [...rooms.byJid.values()].flatMap(({ state, members }) => {
      const member = members.get(userId)
      return member ? [{ room: state, member }] : []
    })
    return { rooms: found }
  },
  pageMembers({ rooms }, { params: { roomId, after = 0, pageSize } }) {
    const all = [...(byId(rooms, roomId)?.members.values() ?? [])].sort((a, b) => a.userId - b.userId)
    const rest = all.filter(({ userId }) => userId > after)
    const members = rest.slice(0, pageSize)
    return { members, ...(rest.length > pageSize ? { next: members.at(-1)!.userId } : {}) }
  },
}

/** Stands for the room service: the same calls and events, over real HTTP and NATS. */
export const roomService = defineService<Record<never, never>, RoomDeps>({
  name: 'room',
  settings: {},
  createDeps: ({ outbox }) => ({ rooms: new Rooms(outbox) }),
  handlers: [bindHandlers(internalRooms, handlers)],
})

/** Lets it put its changes into force. */
export function connectRooms(rooms: Rooms, url: string, serviceKeys: readonly string[]): ServiceClient {
  rooms.message = createServiceClient({ baseUrl: url, serviceKeys, timeoutMs: 5000 })
  return rooms.message
}
