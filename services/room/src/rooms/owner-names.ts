import type { Deps } from '../deps.ts'
import type { RoomDocument } from '../documents/room-document.ts'

/** What the owner of a room is called. */
export async function ownerName(deps: Pick<Deps, 'names'>, room: RoomDocument): Promise<string> {
  return (await ownerNames(deps, [room]))(room)
}

/** The same for several rooms, with one question. */
export async function ownerNames(
  { names }: Pick<Deps, 'names'>,
  rooms: readonly RoomDocument[],
): Promise<(room: RoomDocument) => string> {
  const known = await names.of([...new Set(rooms.map(({ userId }) => userId))])
  return ({ userId }) => known.get(userId) ?? ''
}
