import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'tap'
import { setLifetime, withRequestId } from '../src/current-call.ts'
import { failure } from '../src/testing/index.ts'
import { Turns } from '../src/turns.ts'

test('work for one thing is done one after the other, that for others beside it', async (t) => {
  const turns = new Turns<string>()
  const done: string[] = []
  const work = (name: string, ms: number) => async () => {
    await delay(ms)
    done.push(name)
    if (name === 'a1') throw new Error('a1 fails')
  }
  const [failed] = await Promise.allSettled([
    turns.take('a', work('a1', 30)),
    turns.take('a', work('a2', 0)),
    turns.take('b', work('b1', 0)),
  ])
  t.match(failed, { reason: { message: 'a1 fails' } })
  t.strictSame(done, ['b1', 'a1', 'a2'])
})

test('what nobody waits for any more is not done', async (t) => {
  const turns = new Turns<string>()
  const lifetime = { isOver: false }
  const { promise: before, resolve: end } = Promise.withResolvers<void>()
  const first = turns.take('a', () => before)
  const late = withRequestId('late', () => {
    setLifetime(lifetime as never)
    return turns.take('a', async () => t.fail('it was done'))
  })
  lifetime.isOver = true
  end()
  await first
  await t.rejects(late, failure('ServiceUnavailable'))
  t.equal(await turns.take('a', async () => 'next'), 'next')
})
