/** Less than a minute of what `npm run bench:noon` does with every process; see bench/README.md. */
import { forgetNoon, longestGap, noon } from '@im/bench/noon'
import { test } from 'tap'

test('processes that are replaced cost no call, no message and no stream; those that are killed cost calls under way', {
  timeout: 180_000,
}, async (t) => {
  const report = await noon({
    ...{ callsPerSecond: 10, messagesPerSecond: 10, people: 6 },
    twice: ['gateway', 'user', 'message'],
    ended: ['gateway', 'message', 'prosody'],
    killed: ['user-2', 'message-2', 'prosody-2'],
    ...{ steadySeconds: 1, pauseSeconds: 0.5 },
    env: { DRAIN_SECONDS: '5', XMPP_LOGINS_PER_SECOND: '5', ARGON2_MEMORY_KIB: '64', ARGON2_PASSES: '1' },
  })
  const { calls, messages, streams } = report
  t.equal(calls.ended.failed, 0, 'no call fails while processes end in order')
  t.strictSame(report.wrongCalls, [], 'nor any later that was not under way to a process that was killed')
  t.ok(calls.ended.calls > 100, `${calls.ended.calls} calls were made while processes ended in order`)
  t.ok(messages.receipted > 100, `${messages.receipted} messages were receipted`)
  for (const [what, wrong] of Object.entries(report.faults)) t.strictSame(wrong, [], what)
  t.strictSame(report.twiceWhileEnding, [], 'got twice by a device while processes ended in order')
  t.ok(streams.gaps > 0, `${streams.gaps} streams were interrupted`)
  t.ok(streams.longestGap <= longestGap, `a client was without a stream for ${streams.longestGap} ms`)
  t.ok(streams.mostLoginsInASecond <= 10, `${streams.mostLoginsInASecond} logins in a second`)
  t.equal(report.replacements.length, 6)
  if (t.passing()) await forgetNoon(report)
  else t.comment(`data and logs: ${report.dataDir}`)
})
