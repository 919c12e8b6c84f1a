import { pickFields } from '@im/contracts'
import { profileFields, type UserCard } from '@im/contracts/user'
import type { Static } from 'typebox'
import type { Relation } from '../relations/relations.ts'
import { mayShow } from '../relations/visibility.ts'
import { fullYears } from './ages.ts'
import { shownSince } from './positions.ts'
import type { UserDocument } from './user-document.ts'
import { avatarUrl, onlineState, placeOf, telephoneFields } from './user-view.ts'

/** A user in a list, as the viewer may see them. `metres` is how far away they are. */
export function userCard(
  user: UserDocument,
  shown: { relation: Relation; avatarBase: string; now: number; metres?: number },
): Static<typeof UserCard> {
  const { relation, avatarBase, now, metres } = shown
  const { _id: userId, account, userType, createTime, status, birthday, settings } = user
  return {
    userId,
    account,
    username: account,
    ...pickFields(profileFields, user),
    userType,
    createTime,
    status,
    age: fullYears(birthday, now),
    onlinestate: onlineState(user, relation),
    headImg: avatarUrl(avatarBase, 'o', userId),
    headThumImg: avatarUrl(avatarBase, 't', userId),
    loc: (user.locatedAt ?? 0) >= shownSince(now) ? placeOf(user, relation.isSelf) : undefined,
    distance: metres === undefined ? undefined : Math.round(metres / 10) / 100,
    friends: relation.friends,
    ...(mayShow(settings.showTelephone, relation) ? telephoneFields(user) : {}),
  }
}
