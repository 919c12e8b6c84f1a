import { setTimeout as delay } from 'node:timers/promises'
import PQueue from 'p-queue'

/** Questions that come within this time (ms) go together. */
const gatherFor = 2
const callsAtOnce = 4

/** Puts questions to their owner, many in one call. Those that come while all calls are taken go together when one is free. */
export class GatheredQuestions<Q, A> {
  readonly #ask: (questions: Q[]) => Promise<readonly (A | undefined)[]>
  readonly #every: number
  readonly #most: number
  readonly #calls = new PQueue({ concurrency: callsAtOnce })
  #next: { questions: Q[]; answers: Promise<readonly (A | undefined)[]> } | undefined
  /** When the last call began, or will. */
  #calledAt = Number.NEGATIVE_INFINITY

  /**
   * `ask` gives the answers in the order of the questions, of `most` at once. Calls begin at least `every` ms apart: the more questions
   * come, the fewer calls each costs, and no more come through than that.
   */
  constructor(ask: (questions: Q[]) => Promise<readonly (A | undefined)[]>, { every = 0, most = 500 } = {}) {
    this.#ask = ask
    this.#every = every
    this.#most = most
  }

  /**
   * The owner is asked after this call, so the answer is not older. Undefined when there is none; rejects when the owner can't
   * be asked.
   */
  async ask(question: Q): Promise<A | undefined> {
    if (!this.#next || this.#next.questions.length >= this.#most) this.#next = this.#begun()
    const { questions, answers } = this.#next
    const place = questions.push(question) - 1
    return (await answers)[place]
  }

  #begun() {
    const questions: Q[] = []
    const answers = this.#calls.add(async () => {
      const now = performance.now()
      this.#calledAt = Math.max(now + gatherFor, this.#calledAt + this.#every)
      await delay(this.#calledAt - now)
      if (this.#next?.questions === questions) this.#next = undefined
      return await this.#ask(questions)
    })
    return { questions, answers }
  }
}
