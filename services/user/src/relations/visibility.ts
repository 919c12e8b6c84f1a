import type { Relation } from './relations.ts'

/** Values of showTelephone and showLastLoginTime: 1 all, 2 friends, 3 users in their address book, -1 nobody. */
export function mayShow(setting: number, { isSelf, friends, isContact }: Relation): boolean {
  if (isSelf || setting === 1) return true
  return (setting === 2 && friends?.status === 2) || (setting === 3 && isContact)
}
