import { setTimeout as delay } from 'node:timers/promises'
import PQueue from 'p-queue'

/** Questions of the same moment (ms) go together, so many at most. */
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
   * `ask` gives the answers in the order of the questions. It is called when they are put: later ones go with the next call.
   * A call begins at least `every` ms after the one before, so the more questions come, the fewer calls each costs.
   */
  constructor(ask: (questions: Q[]) => Promise<readonly (A | undefined)[]>, { every = 0 } = {}) {
    this.#ask = ask
    this.#every = every
  }

  /** The question is put after this call. Undefined when it had no answer; rejects when the call fails. */
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
