/** What a user's own row says about another (spec 03-friends.md). */
export interface FriendRow {
  /** 0 no relation, 1 follows or waits for an answer, 2 friends. */
  status: 0 | 1 | 2
  hasBlocked: boolean
}

/** How users stand to each other. */
export interface Relations {
  /** The row of `owner` about `peer`; undefined when there is none. */
  rowOf(owner: number, peer: number): Promise<FriendRow | undefined>
  /** Both work for one company. */
  areColleagues(a: number, b: number): Promise<boolean>
}

/** Nobody stands in any relation: true as long as no service of the fleet makes friends or companies. */
export const noRelations: Relations = {
  rowOf: async () => undefined,
  areColleagues: async () => false,
}
