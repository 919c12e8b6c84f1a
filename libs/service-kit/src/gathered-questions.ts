import { setTimeout as delay } from 'node:timers/promises'
import PQueue from 'p-queue'

/** Questions that come within this time (ms) go together, at most so many. */
const gatherFor = 2
const mostTogether = 500
const callsAtOnce = 4

/** Puts questions to their owner, many in one call. Those that come while all calls are taken go together when one is free. */
export class GatheredQuestions<Q, A> {
  readonly #ask: (questions: Q[]) => Promise<readonly (A | undefined)[]>
  readonly #every: number
  readonly #calls = new PQueue({ concurrency: callsAtOnce })
  #next: { questions: Q[]; answers: Promise<readonly (A | undefined)[]> } | undefined
  #calledAt = Number.NEGATIVE_INFINITY

  /**
   * `ask` gives the answers in the order of the questions. Calls begin at least `every` ms apart, so the more questions come,
   * the fewer calls each costs.
   */
  constructor(ask: (questions: Q[]) => Promise<readonly (A | undefined)[]>, { every = 0 } = {}) {
    this.#ask = ask
    this.#every = every
  }

  /**
   * The owner is asked after this call, so the answer is not older. Undefined when there is none; rejects when the owner can't
   * be asked.
   */
  async ask(question: Q): Promise<A | undefined> {
    if (!this.#next || this.#next.questions.length >= mostTogether) this.#next = this.#begun()
    const { questions, answers } = this.#next
    const place = questions.push(question) - 1
    return (await answers)[place]
  }

  #begun() {
    const questions: Q[] = []
    const answers = this.#calls.add(async () => {
      await delay(Math.max(gatherFor, this.#calledAt + this.#every - performance.now()))
      this.#calledAt = performance.now()
      if (this.#next?.questions === questions) this.#next = undefined
      return await this.#ask(questions)
    })
    return { questions, answers }
  }
}
