/** Replaces every process of a fleet under load, first in order, then by kill -9; see ../README.md. */
import { parseArgs } from 'node:util'
import { allProcesses, forgetNoon, longestGap, mostDelay, noon } from './noon/index.ts'

const usage = `npm run bench:noon -- [options]

  --calls N         calls a second                                 (200)
  --messages N      messages a second                              (200)
  --people N        each with one stream                           (120)
  --only NAMES      processes to replace, separated by commas      (two of every service, two XMPP servers)
  --logins N        logins a second that an XMPP server lets in    (30)

Exit code 1 when a call or a message had a fault, or a target was missed.`

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '200' },
    messages: { type: 'string', default: '200' },
    people: { type: 'string', default: '120' },
    only: { type: 'string' },
    logins: { type: 'string', default: '30' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<number> {
  const names = values.only?.split(',') as typeof allProcesses | undefined
  const result = await noon({
    callsPerSecond: Number(values.calls),
    messagesPerSecond: Number(values.messages),
    people: Number(values.people),
    ended: names ?? allProcesses,
    killed: names ?? allProcesses,
    steadySeconds: 5,
    pauseSeconds: 1,
    env: { XMPP_LOGINS_PER_SECOND: values.logins },
    report: (line) => console.error(`${Math.round(performance.now())} ms: ${line}`),
  })
  const { calls, idle, messages, streams, faults, slowCalls, wrongCalls, twice, twiceWhileEnding } = result
  for (const [part, { calls: count, failed, p50, p99, max, slow }] of Object.entries(calls))
    console.log(
      `calls, ${part.padEnd(6)} ${count}, ${failed} failed; ms p50 ${p50}, p99 ${p99}, max ${max}; ${slow} took ${mostDelay} more; CPU idle ${Math.round(idle[part as keyof typeof idle] * 100)} %`,
    )
  console.log(
    `messages      ${messages.sent} sent, ${messages.receipted} receipted, ${messages.refused} refused for now`,
  )
  console.log(
    `streams       ${streams.gaps} interrupted, ${streams.longestGap} ms at most; ${streams.mostLoginsInASecond} logins in a second at most`,
  )
  for (const { during, calls: count, slowest } of slowCalls)
    console.log(`told ${mostDelay} ms more: ${count} calls, ${during}; ${slowest.path} ${slowest.ms} ms`)
  console.log(`told ${twice.length} got twice by a device`)
  const checks: [what: string, wrong: readonly string[]][] = [
    ['calls that failed', wrongCalls],
    ...Object.entries(faults),
    ['got twice by a device while processes ended in order', twiceWhileEnding],
    [
      `without a stream for more than ${longestGap} ms`,
      streams.longestGap > longestGap ? [`${streams.longestGap}`] : [],
    ],
    [`${mostDelay} ms more for a call while processes ended in order`, calls.ended.slow ? [`${calls.ended.slow}`] : []],
  ]
  for (const [what, wrong] of checks) {
    console.log(`${wrong.length ? 'WRONG' : 'ok   '} ${String(wrong.length).padStart(5)} ${what}`)
    for (const each of wrong.slice(0, 10)) console.log(`        ${each}`)
  }
  const isWrong = checks.some(([, wrong]) => wrong.length)
  if (isWrong) console.log(`data and logs: ${result.dataDir}`)
  else await forgetNoon(result)
  return isWrong ? 1 : 0
}

if (values.help) console.log(usage)
else process.exitCode = await main()
