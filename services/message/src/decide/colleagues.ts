import { internalOrg } from '@im/contracts/org'
import { pairOf } from '@im/contracts/social'
import type { ServiceClient } from '@im/service-kit'
import { type FactsClock, KnownFacts } from './known-facts.ts'

/** Whether two users work for the same company. */
export interface Collegiality {
  areColleagues: boolean
}

/** What the org service says about pairs of users. It is asked about few: about strangers to whoever takes no greetings. */
export class Colleagues {
  readonly facts: KnownFacts<string, Collegiality>

  constructor(org: Pick<ServiceClient, 'call'>, clock: FactsClock) {
    this.facts = new KnownFacts({
      async ask(pairs) {
        const { colleagues } = await org.call(internalOrg.findColleagues, { pairs })
        const found = new Set(colleagues)
        return new Map(pairs.map((pair) => [pair, { areColleagues: found.has(pair) }]))
      },
      ...clock,
      max: 50_000,
    })
  }

  peek(first: number, second: number): Collegiality | undefined {
    return this.facts.peek(pairOf(first, second))
  }

  /** Sees whatever was true before the call. */
  ask(first: number, second: number): Promise<Collegiality> {
    return this.facts.ask(pairOf(first, second), { anew: true })
  }
}
