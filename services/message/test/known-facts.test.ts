import { setTimeout as delay } from 'node:timers/promises'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { KnownFacts } from '../src/decide/known-facts.ts'

/** Facts whose owner answers what was true when it was asked, as late as the story wants. */
function knownFacts() {
  const owner = { value: 'first', questions: 0, isAway: false }
  const waiting: (() => void)[] = []
  const facts = new KnownFacts<string, { value: string }>({
    async ask(keys) {
      owner.questions++
      if (owner.isAway) throw new Error('away')
      const { value } = owner
      await new Promise<void>((resolve) => waiting.push(resolve))
      return new Map(keys.map((key) => [key, { value }]))
    },
    max: 10,
    now: () => performance.now(),
    isInTouch: () => true,
  })
  /** Lets questions that were put be answered, the oldest first. */
  const answer = async () => {
    await eventually(() => waiting.length > 0, 1000)
    waiting.shift()?.()
  }
  return { owner, facts, answer }
}

test('an answer that a change has overtaken is shown to who waits for it, and not kept', async (t) => {
  const { owner, facts, answer } = knownFacts()
  const asked = facts.ask('a')
  await delay(5)
  owner.value = 'second'
  facts.forget('a')
  await answer()
  t.strictSame(await asked, { value: 'first' })
  t.equal(facts.peek('a'), undefined)
  const again = facts.of('a')
  await answer()
  t.strictSame(await again, { value: 'second' })
  t.strictSame(facts.peek('a'), { value: 'second' })

  const whileAll = facts.ask('b')
  await delay(5)
  facts.forgetAll()
  await answer()
  await whileAll
  t.strictSame([facts.peek('a'), facts.peek('b')], [undefined, undefined])
})

test('who asks after a change, or anew, does not get the answer to a question that was put before', async (t) => {
  for (const anew of [false, true]) {
    const { owner, facts, answer } = knownFacts()
    const before = facts.ask('a')
    await delay(5)
    owner.value = 'second'
    if (!anew) facts.forget('a')
    const after = [facts.ask('a', { anew }), facts.ask('a', { anew })]
    await answer()
    t.strictSame(await before, { value: 'first' })
    await answer()
    t.strictSame(await Promise.all(after), [{ value: 'second' }, { value: 'second' }])
    t.equal(owner.questions, 2, 'one question for both')
  }
})

test('while the owner is away what is known decides, but for what an event has told to be otherwise', async (t) => {
  const { owner, facts, answer } = knownFacts()
  const known = [facts.ask('a'), facts.ask('b')]
  await answer()
  await Promise.all(known)
  owner.isAway = true
  // Events may have been missed.
  facts.forgetAll()
  t.strictSame(await facts.ask('a', { anew: true }), { value: 'first' })
  facts.forget('a')
  await t.rejects(facts.ask('a', { anew: true }), failure('ServiceUnavailable'))
  t.strictSame(await facts.of('a'), { value: 'first' }, 'it is shown')
  t.strictSame(await facts.ask('b'), { value: 'first' })
})
