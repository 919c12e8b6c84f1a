import {
  messageArchived,
  messageRecalled,
  messagesPassed,
  presencesChanged,
  roomMessagesPassed,
} from '@im/contracts/message'
import {
  doNotDisturbChanged,
  sessionOpened,
  sessionRevoked,
  userDeleted,
  userRegistered,
  userUpdated,
} from '@im/contracts/user'
import { type EventHandler, exactlyOnce, on, onMany } from '@im/service-kit'
import type { Deps } from './deps.ts'
import { relationHandlers } from './friends/follow-relations.ts'
import { eraseUser } from './people/erase-user.ts'
import { projection } from './people/follow-users.ts'
import { takeArchived, takePassed, takePassedInRooms, takeUnconfirmed } from './pushes/take-messages.ts'
import { roomDeedHandlers } from './pushes/take-room-events.ts'
import { withdraw } from './pushes/withdraw.ts'
import { roomHandlers } from './rooms/follow-rooms.ts'
import { endSessions } from './tokens/end-sessions.ts'

const messagesOf = <M>(events: readonly { data: { messages: readonly M[] } }[]): M[] =>
  events.flatMap(({ data }) => data.messages)

/** What this service does with the events of others. */
export function eventHandlers(deps: Deps): EventHandler[] {
  const { badges, people, erasedUsers } = deps
  return [
    onMany(messageArchived, (events) => takeArchived(deps, messagesOf(events))),
    onMany(messagesPassed, (events) => takePassed(deps, messagesOf(events))),
    onMany(roomMessagesPassed, (events) => takePassedInRooms(deps, messagesOf(events))),
    on(presencesChanged, ({ changes }, { id }) => takeUnconfirmed(deps, changes, id)),
    on(messageRecalled, (recalled, { id }) => withdraw(deps, id, recalled)),
    ...roomDeedHandlers(deps),
    ...roomHandlers(deps),
    ...relationHandlers(deps),
    on(sessionRevoked, (revoked) => endSessions(deps, revoked)),
    on(sessionOpened, ({ userId }) => badges.set(userId, 0)),
    exactlyOnce(
      userRegistered,
      ({ userId, nickname }, change) => people.put([{ _id: userId, nickname, isMuted: false }], change),
      { projection },
    ),
    exactlyOnce(userUpdated, ({ userId, nickname }, change) => people.put([{ _id: userId, nickname }], change), {
      projection,
    }),
    exactlyOnce(
      doNotDisturbChanged,
      ({ userId, offlineNoPushMsg }, change) => people.put([{ _id: userId, isMuted: offlineNoPushMsg === 1 }], change),
      { projection },
    ),
    exactlyOnce(
      userDeleted,
      ({ userId }, change) => people.replace([{ _id: userId, nickname: '', isMuted: false, gone: true }], change),
      { projection },
    ),
    exactlyOnce(userDeleted, async ({ userId }, change) => {
      await erasedUsers.note(userId, change)
      await eraseUser(deps, userId, change)
    }),
  ]
}
