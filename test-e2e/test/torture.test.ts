/** A minute of what `npm run bench:torture` does for ten; see docs/reliability.md. TORTURE_SEED: another schedule. */
import { forget, timelineOf, torture } from '@im/bench/torture'
import { test } from 'tap'

test('what was confirmed is stored once, in order, and reaches its devices, whatever dies', {
  timeout: 195_000,
}, async (t) => {
  t.teardown(() => void setTimeout(endAnyway, 5000).unref())
  const seed = Number(process.env['TORTURE_SEED'] ?? 12)
  const report = await torture({ seed, seconds: 60, faults: 12, people: 6, perSecond: 3 })
  t.ok(report.counts.receipted > 300, `${report.counts.receipted} messages were confirmed`)
  t.ok(report.happened.length >= 10, `${report.happened.length} faults happened`)
  t.strictSame(report.deaths, [], 'no process ended by itself')
  for (const [what, wrong] of Object.entries(report.faults) as [string, string[]][]) {
    const told = wrong.slice(0, 3).map((each) => timelineOf(each, report))
    t.strictSame(wrong, [], [`seed ${seed}: ${what}`, ...told].join('\n'))
  }
  if (t.passing()) await forget(report)
  else t.comment(`data and logs: ${report.dataDir}`)
})

/** A handle that a fault has left behind would keep this process until its time is over, though the test has ended. */
function endAnyway(): void {
  console.error(`left behind: ${process.getActiveResourcesInfo().join(' ')}`)
  process.exit()
}
