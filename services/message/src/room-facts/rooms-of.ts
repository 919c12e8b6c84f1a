import { ContractError } from '@im/contracts'
import type { JoinedRoom } from './joined-room.ts'
import type { RoomFacts } from './room-facts.ts'

/** A room a user is in now, and what they are there. */
export interface MemberRoom extends JoinedRoom {
  name: string
  role: number
}

/** Throws ServiceUnavailable when the room service does not answer. */
export type RoomsOf = (userId: number) => Promise<MemberRoom[]>

export const roomsOf =
  (facts: RoomFacts): RoomsOf =>
  async (userId) =>
    (await facts.roomsOf(userId)).map(({ room: { roomId, jid, name }, member: { role, since } }) => ({
      ...{ roomId, jid, name, role, joinedAt: since / 1000 },
    }))

/** The rooms of a user, for answers that are worth something without them: none while the room service is away. */
export async function roomsOrNone<R>(rooms: Promise<R[]>): Promise<R[]> {
  try {
    return await rooms
  } catch (error) {
    if (error instanceof ContractError && error.errorName === 'ServiceUnavailable') return []
    throw error
  }
}

/** Of these the one with this id, else with this jid (`roomRef` of the API). */
export const roomNamed = <R extends JoinedRoom>(rooms: readonly R[], ref: string): R | undefined =>
  rooms.find(({ roomId }) => roomId === ref) ?? rooms.find(({ jid }) => jid === ref.toLowerCase())
