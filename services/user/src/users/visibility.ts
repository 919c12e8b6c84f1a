import type { UserDocument } from './user-document.ts'

/** What a viewer is to a user, as far as privacy settings ask. */
export type Relation = 'self' | 'friend' | 'contact' | 'stranger'

/**
 * Friendships, address books and blacklists belong to the social service. Until it answers here everybody else is a stranger, so
 * that nothing is shown too early.
 */
export function relationOf(viewerId: number, user: UserDocument): Relation {
  return viewerId === user._id ? 'self' : 'stranger'
}

/** Values of showTelephone and showLastLoginTime: 1 all, 2 friends, 3 users in their address book, -1 nobody. */
export function mayShow(setting: number, relation: Relation): boolean {
  if (relation === 'self' || setting === 1) return true
  return (setting === 2 && relation === 'friend') || (setting === 3 && relation === 'contact')
}
