import { steadyClock } from '@im/service-kit'
import { test } from 'tap'

test('a steady clock goes on when the clock of the machine is set back', async (t) => {
  let wall = 10_000
  const now = steadyClock(() => wall)
  const at = (time: number) => {
    wall = time
    return now()
  }
  t.equal(at(10_000), 10_000)
  t.equal(at(12_000), 12_000)
  t.equal(at(2000), 12_000, 'set back: it stands for one reading')
  t.equal(at(2500), 12_500, 'and goes on')
  t.equal(at(2000), 12_500, 'again')
  t.equal(at(2100), 12_600)
  t.equal(at(50_000), 60_500, 'a step forward counts: what is known is asked for anew')
})
