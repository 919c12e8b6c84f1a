import { type ReplayedRow, streams } from '@im/contracts'
import {
  memberChanged,
  memberDoNotDisturbChanged,
  memberLeft,
  membersJoined,
  replayedRooms,
  roomChanged,
  roomCreated,
  roomDissolved,
} from '@im/contracts/room'
import { type Change, catchUp, type EventHandler, exactlyOnce } from '@im/service-kit'
import type { Deps } from '../deps.ts'

type RoomRow = ReplayedRow<typeof replayedRooms.pageRooms>

const projection = { name: 'rooms', stream: streams.room }

/** Reads the rooms there were before this service followed their events. */
export const followRooms = (deps: Pick<Deps, 'rooms' | 'room'> & Parameters<typeof catchUp>[0]) =>
  catchUp(deps, {
    projection,
    page: (after) => deps.room.call(replayedRooms.pageRooms, { after, pageSize: 100 }),
    apply: (rows, change) => takeRooms(deps, rows, change),
  })

async function takeRooms({ rooms }: Pick<Deps, 'rooms'>, rows: readonly RoomRow[], change: Change): Promise<void> {
  const gone = rows.filter(({ dissolved }) => dissolved)
  const live = rows.filter(({ dissolved }) => !dissolved)
  await rooms.remove(
    gone.map(({ roomId }) => roomId),
    change,
  )
  await rooms.putWhole(
    live.map(({ roomId, jid, name }) => ({ _id: roomId, jid, name })),
    live.flatMap(({ roomId, members }) =>
      members.map(({ userId, name = '', offlineNoPushMsg, joinedAt }) => ({
        ...{ roomId, userId, name, isMuted: offlineNoPushMsg === 1 },
        ...(joinedAt === undefined ? {} : { joinedAt: millisecondsOf(joinedAt) }),
      })),
    ),
    change,
  )
}

/** Of seconds with a fraction. */
const millisecondsOf = (seconds: number) => Math.round(seconds * 1000)

export const roomHandlers = ({ rooms }: Pick<Deps, 'rooms'>): EventHandler[] => [
  exactlyOnce(roomCreated, ({ room: { roomId, jid, name } }, change) => rooms.put({ _id: roomId, jid, name }, change), {
    projection,
  }),
  exactlyOnce(
    roomChanged,
    async ({ room: { roomId, jid, name }, changed }, change) => {
      if (changed.includes('name')) await rooms.put({ _id: roomId, jid, name }, change)
    },
    { projection },
  ),
  exactlyOnce(roomDissolved, ({ room }, change) => rooms.remove([room.roomId], change), { projection }),
  exactlyOnce(
    membersJoined,
    ({ room: { roomId }, members }, change) =>
      rooms.addMembers(
        members.map(({ userId, joinedAt }) => ({
          ...{ roomId, userId, name: '', isMuted: false, joinedAt: millisecondsOf(joinedAt) },
        })),
        change,
      ),
    { projection },
  ),
  exactlyOnce(memberLeft, ({ room, member }, change) => rooms.removeMember(room.roomId, member.userId, change), {
    projection,
  }),
  exactlyOnce(
    memberChanged,
    async ({ room, member: { userId, name }, changed }, change) => {
      if (changed.includes('nickname')) await rooms.changeMember(room.roomId, userId, { name }, change)
    },
    { projection },
  ),
  exactlyOnce(
    memberDoNotDisturbChanged,
    ({ roomId, userId, offlineNoPushMsg }, change) =>
      rooms.changeMember(roomId, userId, { isMuted: offlineNoPushMsg === 1 }, change),
    { projection },
  ),
]
