import { setTimeout as delay } from 'node:timers/promises'
import { ContractError, defaultsOf } from '@im/contracts'
import { type Room, roomFields } from '@im/contracts/room'
import type { Static } from 'typebox'
import type { Deps } from '../deps.ts'
import { joinRoom } from '../members/join-room.ts'
import { addRoom } from '../rooms/add-room.ts'
import { getRoom } from '../rooms/get-room.ts'

const firstPage = { pageIndex: 0, pageSize: 500 }
/** How often, and how far apart (ms), it is looked whether somebody who came through another replica has made the room. */
const mostTries = 5
const tryAgainAfter = 200

/** The first who enters makes the room of those who wait, and owns it; the others join it. */
export async function enterWaitingRoom(deps: Deps, userId: number, jid: string): Promise<Static<typeof Room>> {
  const waiting = await deps.waitingRooms.find(jid)
  if (!waiting) throw new ContractError('RoomNotFound')
  const { members, name } = waiting.room
  if (!members.some((member) => member.userId === userId)) throw new ContractError('PermissionDenied')
  await deps.turns.take(`waiting ${jid}`, () => makeOrJoin(deps, userId, jid, name))
  return await getRoom(deps, jid, userId, firstPage)
}

async function makeOrJoin(deps: Deps, userId: number, jid: string, name: string): Promise<void> {
  for (let tries = 1; !(await deps.rooms.byJid(jid)); tries++)
    try {
      return void (await addRoom(deps, userId, { ...defaultsOf(roomFields), name, jid, invited: [] }))
    } catch (error) {
      const isTaken = error instanceof ContractError && error.errorName === 'JidTaken'
      if (!isTaken || tries === mostTries) throw error
      await delay(tryAgainAfter)
    }
  await joinRoom(deps, jid, userId)
}
