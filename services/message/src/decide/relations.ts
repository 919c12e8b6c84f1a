/** What a user's own row says about another (spec 03-friends.md). */
export interface FriendRow {
  /** 0 no relation, 1 follows or waits for an answer, 2 friends. */
  status: 0 | 1 | 2
  hasBlocked: boolean
}

/** How two users stand to each other, seen from the first. */
export interface Standing {
  /** The row of the first about the second, and the other way round; undefined when there is none. */
  own?: FriendRow
  other?: FriendRow
  /** Both work for one company. */
  areColleagues: boolean
}

/** How users stand to each other. Whoever decides by it to refuse asks first. */
export interface Relations {
  /** What is known without a question. */
  peek(first: number, second: number): Standing | undefined
  /** Throws ServiceUnavailable when the owner of the data does not answer and nothing recent is known. */
  ask(first: number, second: number): Promise<Standing>
}

const strangers: Standing = { areColleagues: false }

/** Nobody stands in any relation: true as long as no service of the fleet makes friends or companies. */
export const noRelations: Relations = {
  peek: () => strangers,
  ask: async () => strangers,
}
