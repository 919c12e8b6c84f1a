import { setTimeout as delay } from 'node:timers/promises'
import { roomMembers, rooms } from '@im/contracts/room'
import type { TestClient } from '@im/service-kit/testing'

/** Something that was asked at `from` (ms of performance.now()) and answered at `to`; Infinity until then. */
interface Change {
  from: number
  to: number
  /** What holds after it. */
  is: boolean
}

/** Something that changes by calls: between a call and its answer nobody knows what holds. */
class Switch {
  readonly #changes: Change[] = []

  constructor(isOn: boolean) {
    this.#changes.push({ from: Number.NEGATIVE_INFINITY, to: Number.NEGATIVE_INFINITY, is: isOn })
  }

  /** What held all the time between two moments, as far as that is known. */
  during(from: number, to: number): boolean | undefined {
    if (this.#changes.some((change) => change.from <= to && change.to >= from)) return undefined
    return this.#changes.findLast((change) => change.to < from)?.is
  }

  /** What holds when nothing is being changed. */
  get now(): boolean | undefined {
    const last = this.#changes.at(-1)!
    return Number.isFinite(last.to) || last.to < 0 ? last.is : undefined
  }

  begin(is: boolean): Change {
    const change = { from: performance.now(), to: Number.POSITIVE_INFINITY, is }
    this.#changes.push(change)
    return change
  }
}

/** A room, and what its members know of who is in it and who may speak. */
export class Room {
  readonly jid: string
  readonly owner: number
  readonly members: readonly number[]
  readonly #api: TestClient
  /** By user id. */
  readonly #isMember: ReadonlyMap<number, Switch>
  readonly #isMuted: ReadonlyMap<number, Switch>

  constructor(jid: string, members: readonly number[], api: TestClient) {
    this.jid = jid
    this.owner = members[0]!
    this.members = members
    this.#api = api
    this.#isMember = new Map(members.map((user) => [user, new Switch(true)]))
    this.#isMuted = new Map(members.map((user) => [user, new Switch(false)]))
  }

  static async make(members: readonly number[], ownerToken: string, api: TestClient): Promise<Room> {
    const room = JSON.stringify({ name: '群', isAttritionNotice: 1 })
    const { jid } = await api.call(rooms.addRoom, { room, text: members.slice(1).join() }, { token: ownerToken })
    return new Room(jid!, members, api)
  }

  /** Whether somebody was in it all the time between two moments, or out of it; undefined when that changed. */
  wasMember(user: number, from: number, to: number): boolean | undefined {
    return this.#isMember.has(user) ? this.#isMember.get(user)!.during(from, to) : false
  }

  wasMuted(user: number, from: number, to: number): boolean | undefined {
    return this.#isMuted.get(user)?.during(from, to)
  }

  /** Undefined while it changes. */
  isMember(user: number): boolean | undefined {
    return this.#isMember.get(user)?.now
  }

  isMuted(user: number): boolean | undefined {
    return this.#isMuted.get(user)?.now
  }

  /** They leave, or come back. Tried until it is done or `isOver`. */
  async move(user: number, token: string, isOver: () => boolean): Promise<void> {
    const isIn = this.isMember(user)
    // Who comes back is muted no more.
    if (isIn === undefined || this.isMuted(user) !== false || user === this.owner) return
    const call = isIn ? roomMembers.leaveRoom : roomMembers.joinRoom
    await this.#change(this.#isMember.get(user)!, !isIn, isOver, () =>
      this.#api.call(call, { roomId: this.jid }, { token }),
    )
  }

  /** The owner removes somebody. */
  async kick(user: number, token: string, isOver: () => boolean): Promise<void> {
    if (!this.isMember(user) || this.isMuted(user) !== false || user === this.owner) return
    await this.#change(this.#isMember.get(user)!, false, isOver, () =>
      this.#api.call(roomMembers.removeMember, { roomId: this.jid, userId: user }, { token }),
    )
  }

  /** The owner mutes somebody, or lets them speak again. */
  async mute(user: number, token: string, isOver: () => boolean): Promise<void> {
    const isMuted = this.isMuted(user)
    if (isMuted === undefined || !this.isMember(user) || user === this.owner) return
    const talkTime = isMuted ? 0 : Math.floor(Date.now() / 1000) + 86_400
    await this.#change(this.#isMuted.get(user)!, !isMuted, isOver, () =>
      this.#api.call(
        roomMembers.updateMember,
        { roomId: this.jid, menber: JSON.stringify({ userId: user, talkTime }) },
        { token },
      ),
    )
  }

  async #change(what: Switch, is: boolean, isOver: () => boolean, call: () => Promise<unknown>): Promise<void> {
    const change = what.begin(is)
    while (!isOver()) {
      // An answer may get lost: the second call then says that there is nothing to do any more.
      const isDone = await call().then(
        () => true,
        (error) => /NotRoomMember|MemberNotFound/.test(String(error)),
      )
      if (isDone) {
        change.to = performance.now()
        return
      }
      await delay(300)
    }
  }
}
