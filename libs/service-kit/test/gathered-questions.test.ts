import { test } from 'tap'
import { GatheredQuestions } from '../src/gathered-questions.ts'

test('questions of a moment go together, and calls begin apart however many questions wait', async (t) => {
  const calls: { at: number; questions: number[] }[] = []
  const gathered = new GatheredQuestions<number, number>(
    async (questions) => {
      calls.push({ at: performance.now(), questions })
      return questions.map((question) => question * 2)
    },
    { every: 50, most: 100 },
  )
  const startedAt = performance.now()
  const asked = Array.from({ length: 350 }, (_, n) => n)
  t.strictSame(
    await Promise.all(asked.map((question) => gathered.ask(question))),
    asked.map((question) => question * 2),
  )
  t.strictSame(
    calls.map(({ questions }) => questions.length),
    [100, 100, 100, 50],
  )
  t.ok(calls.every(({ at }, n) => at > startedAt + 50 * n - 2))
})
