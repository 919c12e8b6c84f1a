import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'tap'
import { streamTurn } from '../src/stream-turns.ts'

test('bodies that arrive at once pass part by part, in turns, and others come between', async (t) => {
  const passed: string[] = []
  const body = async (name: string) => {
    for (let part = 0; part < 3; part++) {
      await streamTurn()
      passed.push(name)
    }
  }
  const bodies = Promise.all(['a', 'b', 'c', 'd'].map(body))
  let most = 0
  for (let before = 0; passed.length < 12; before = passed.length) {
    await turn()
    most = Math.max(most, passed.length - before)
  }
  await bodies
  t.ok(most <= 4, `${most} parts between two turns of another`)
  t.strictSame(passed.slice(0, 4), ['a', 'b', 'c', 'd'])
})
