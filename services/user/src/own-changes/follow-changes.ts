import { memberChanged, memberLeft, membersJoined, roomDissolved, roomTransferred } from '@im/contracts/room'
import { blacklistChanged, friendChanged, friendRowChanged, labelChanged, userErased } from '@im/contracts/social'
import { type EventHandler, on } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { OwnChange } from './own-changes-repository.ts'

const friend = (userId: number, friendId: number, at: number): OwnChange => ({
  userId,
  tag: 'friend',
  friendId: String(friendId),
  at,
})

/** What the social and the room service tell of the lists of users. */
export function changesOfLists({ ownChanges, users }: Pick<Deps, 'ownChanges' | 'users'>): EventHandler[] {
  const put = (...changes: OwnChange[]) => ownChanges.put(changes)
  const inRoom = (userIds: readonly number[], friendId: string, at: number) =>
    ownChanges.put(userIds.map((userId) => ({ userId, tag: 'room', friendId, at })))
  /** Also says that the kept counts of both may be out of date. */
  const ofBoth = ({ userId, toUserId, at }: { userId: number; toUserId: number; at: number }) =>
    Promise.all([
      put(friend(userId, toUserId, at), friend(toUserId, userId, at)),
      users.changeElsewhere([userId, toUserId]),
    ])
  return [
    on(friendChanged, ofBoth),
    on(blacklistChanged, ofBoth),
    on(friendRowChanged, ({ userId, toUserId, at }) => put(friend(userId, toUserId, at))),
    on(userErased, ({ userId, friends, at }) =>
      Promise.all([put(...friends.map((id) => friend(id, userId, at))), users.changeElsewhere(friends)]),
    ),
    on(labelChanged, ({ userId, at }) => put({ userId, tag: 'label', friendId: '', at })),
    on(membersJoined, ({ room, members, at }) =>
      inRoom(
        members.map(({ userId }) => userId),
        room.roomId,
        at,
      ),
    ),
    on(memberLeft, ({ room, member, at }) => inRoom([member.userId], room.roomId, at)),
    on(memberChanged, ({ room, member, at }) => inRoom([member.userId], room.roomId, at)),
    on(roomTransferred, ({ room, by, to, at }) => inRoom([by.userId, to.userId], room.roomId, at)),
    on(roomDissolved, ({ room, memberIds, at }) => inRoom(memberIds, room.roomId, at)),
  ]
}
