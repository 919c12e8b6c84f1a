import type { Call } from '@im/contracts'
import { internalMemberships } from '@im/contracts/room'
import type { Deps } from '../deps.ts'

/** Asks the room service, whoever is in the room. */
export async function roomExists(
  { room }: Pick<Deps, 'room'>,
  userId: number,
  roomRef: string,
  waiting: Pick<Call, 'deadline' | 'signal'>,
): Promise<boolean> {
  return (await room.call(internalMemberships.getMembership, { userId, room: roomRef }, waiting)).exists === 1
}
