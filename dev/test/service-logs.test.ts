import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { followFile } from '../src/machine/follow-file.ts'
import { fatalReason, logPrinter } from '../src/service-logs.ts'
import { temporaryFolder } from './fake-machine.ts'

const log = (level: number, msg: string, more = {}) =>
  JSON.stringify({ level, time: 1_790_000_000_000, service: 'user', ...more, msg })

function printed(lines: string[], verbose = false): string {
  let text = ''
  const print = logPrinter({
    ...{ verbose, colors: false },
    write: (part) => {
      text += part
    },
  })
  for (const line of lines) print(line)
  return text
}

test('a person sees warnings in a line, errors whole, crashes as they are, and the rest only on demand', async (t) => {
  const err = { type: 'Error', message: 'connect ECONNREFUSED', stack: 'Error: connect ECONNREFUSED\n    at connect' }
  const lines = [log(30, 'listening'), log(40, 'Redis is away', { err }), 'TypeError: x', '    at y (z.ts:1)']
  t.match(
    printed(lines),
    /^\[\d\d:\d\d:\d\d\] WARN: \[user\] Redis is away: connect ECONNREFUSED\nTypeError: x\n {4}at y \(z\.ts:1\)\n$/,
  )
  t.match(printed([log(50, 'a request failed', { err })]), /ERROR: \[user\] a request failed.*at connect/s)
  t.match(printed(lines, true), /INFO: \[user\] listening/)
  t.equal(printed([log(60, 'SMS_PROVIDER must be one of …')]), '', 'the launcher tells')
})

test('the last fatal line of a log is the reason of a failed start', async (t) => {
  const lines = [log(60, 'an older one'), log(60, 'A must be …\nB must be …'), 'Error: …', '{"level":60, half']
  t.equal(fatalReason(lines.join('\n')), 'A must be …\nB must be …')
  t.equal(fatalReason('Error: …'), undefined)
})

test('a followed file gives its new lines, each once and whole', async (t) => {
  const file = join(await temporaryFolder(t), 'log')
  await writeFile(file, 'old\n')
  const lines: string[] = []
  const following = followFile(file, 4, (line) => lines.push(line))
  t.after(() => following.close())
  await appendFile(file, '一\nhal')
  await eventually(() => lines.length === 1)
  await appendFile(file, 'f\nlast')
  await eventually(() => lines.length === 2)
  following.close()
  t.strictSame(lines, ['一', 'half', 'last'])
})
