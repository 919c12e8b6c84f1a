import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** Random choices that a seed repeats. */
export class Dice {
  readonly #generator: ReturnType<typeof xoroshiro128plus>

  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed)
  }

  /** Both ends included. */
  integer(from: number, to: number): number {
    return uniformInt(this.#generator, from, to)
  }

  chance(share: number): boolean {
    return this.integer(0, 999_999) < share * 1_000_000
  }

  one<T>(choices: readonly T[]): T {
    return choices[this.integer(0, choices.length - 1)]!
  }

  weighted<T extends string>(weights: Readonly<Record<T, number>>): T {
    const choices = Object.entries(weights) as [T, number][]
    const total = choices.reduce((sum, [, weight]) => sum + weight, 0)
    let rest = this.integer(1, total)
    for (const [choice, weight] of choices) {
      rest -= weight
      if (rest <= 0) return choice
    }
    throw new Error('nothing to choose from')
  }

  /** Others of their own, so that what one takes changes nothing for the rest. */
  fork(): Dice {
    return new Dice(this.integer(0, 0x7fffffff))
  }
}
