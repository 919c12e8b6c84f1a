import { setTimeout as delay } from 'node:timers/promises'
import PQueue from 'p-queue'

/** Questions of the same moment (ms) go together, so many at most. */
const gatherFor = 2
const mostTogether = 500
const batchesAtOnce = 4

/** Puts questions to their owner, many in one call. Those that come while all calls are taken go together when one is free. */
export class GatheredQuestions<Q, A> {
  readonly #ask: (questions: Q[]) => Promise<readonly (A | undefined)[]>
  readonly #calls = new PQueue({ concurrency: batchesAtOnce })
  #next: { questions: Q[]; answers: Promise<readonly (A | undefined)[]> } | undefined

  /** `ask` gives the answers in the order of the questions. It is called when they are put: later ones go with the next call. */
  constructor(ask: (questions: Q[]) => Promise<readonly (A | undefined)[]>) {
    this.#ask = ask
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
      await delay(gatherFor)
      if (this.#next?.questions === questions) this.#next = undefined
      return await this.#ask(questions)
    })
    return { questions, answers }
  }
}
