import type { ResultOf } from '@im/contracts'
import { internalRelations, pairOf } from '@im/contracts/social'
import type { ServiceClient } from '@im/service-kit'
import { type FactsClock, KnownFacts } from './known-facts.ts'

/** What a user's own row says about another (spec 03-friends.md). */
export interface FriendRow {
  /** 0 no relation, 1 follows or waits for an answer, 2 friends. */
  status: number
  hasBlocked: boolean
}

/** How two users stand to each other, seen from the first. */
export interface Standing {
  /** The row of the first about the second, and the other way round; undefined when there is none. */
  own?: FriendRow | undefined
  other?: FriendRow | undefined
}

/** How users stand to each other. Whoever decides by it to refuse asks first. */
export interface Relations {
  /** What is known without a question. */
  peek(first: number, second: number): Standing | undefined
  /**
   * Sees whatever was true before the call. Throws ServiceUnavailable when the owner of the data does not answer and nothing
   * recent is known.
   */
  ask(first: number, second: number): Promise<Standing>
}

type Sides = ResultOf<(typeof internalRelations)['getStandings']>['standings'][number]

/** What the social service says about pairs of users. */
export class SocialRelations implements Relations {
  readonly facts: KnownFacts<string, Sides>

  constructor(social: Pick<ServiceClient, 'call'>, clock: FactsClock) {
    this.facts = new KnownFacts({
      async ask(pairs) {
        const { standings } = await social.call(internalRelations.getStandings, { pairs })
        return new Map(standings.map((sides) => [sides.pair, sides]))
      },
      ...clock,
      max: 500_000,
    })
  }

  peek(first: number, second: number): Standing | undefined {
    const sides = this.facts.peek(pairOf(first, second))
    return sides && seenFrom(first, second, sides)
  }

  async ask(first: number, second: number): Promise<Standing> {
    return seenFrom(first, second, await this.facts.ask(pairOf(first, second), { anew: true }))
  }
}

const seenFrom = (first: number, second: number, { low, high }: Sides): Standing => ({
  own: first < second ? low : high,
  other: first < second ? high : low,
})
