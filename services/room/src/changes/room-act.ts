import type { EventType, Payload } from '@im/contracts'
import {
  memberChanged,
  memberLeft,
  membersJoined,
  type Person,
  roomChanged,
  roomDissolved,
  roomTransferred,
} from '@im/contracts/room'
import type { Change } from '@im/service-kit'
import type { RoomDocument } from '../documents/room-document.ts'
import type { RoomChange, RoomsRepository } from '../documents/rooms-repository.ts'
import { roomState } from './room-states.ts'

const decisive: ReadonlySet<EventType> = new Set<EventType>([
  roomChanged,
  roomDissolved,
  roomTransferred,
  membersJoined,
  memberLeft,
])

/** Whether an event says who may speak in a room, or hear what is said. */
const isDecisive = (event: EventType, { changed = [] }: { changed?: string[] }) =>
  decisive.has(event) || (event === memberChanged && (changed.includes('role') || changed.includes('talkTime')))

/** A change of one room: the room as the change sees it, and what it announces. */
export class RoomAct {
  readonly change: Change
  readonly #rooms: Pick<RoomsRepository, 'change'>
  readonly #at: number
  #room: RoomDocument
  #isDecisive = false

  constructor(
    room: RoomDocument,
    change: Change,
    { rooms, at }: { rooms: Pick<RoomsRepository, 'change'>; at: number },
  ) {
    this.#room = room
    this.change = change
    this.#rooms = rooms
    this.#at = at
  }

  /** As it is after the updates so far. */
  get room(): RoomDocument {
    return this.#room
  }

  /** When the change is made: milliseconds, and whole seconds. */
  get at(): number {
    return this.#at
  }

  get seconds(): number {
    return Math.floor(this.#at / 1000)
  }

  /** Whether the live room has to know before anybody is told that the change was made. */
  get isDecisive(): boolean {
    return this.#isDecisive
  }

  async update(change: RoomChange): Promise<void> {
    const room = await this.#rooms.change(this.#room._id, change, this.change)
    if (!room) throw new Error(`room ${this.#room._id} is gone`)
    this.#room = room
  }

  /** Announces an event about the room as it is now. `by` is who acts. */
  announce<E extends EventType>(event: E, by: Person, details: Omit<Payload<E>, 'room' | 'by' | 'at'>): void {
    const payload = { room: roomState(this.#room), by, at: this.#at, ...details }
    this.change.announce(event, this.#room._id, payload as Payload<E>)
    this.#isDecisive ||= isDecisive(event, details)
  }
}
