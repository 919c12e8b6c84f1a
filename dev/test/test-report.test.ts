import { test } from 'tap'
import { add, fileReport, type Outcome } from '../src/test-report.ts'

/** What is told of files with this TAP. */
function reportOf(files: Record<string, string>) {
  const lines: string[] = []
  const total: Outcome = { passed: 0, failed: 0, skipped: 0 }
  for (const [name, tap] of Object.entries(files)) {
    const { parser, end } = fileReport(name, (line) => lines.push(line))
    parser.write(tap)
    add(total, end())
  }
  return { ...total, lines }
}

const passing = (name: string) => `# Subtest: ${name}\n    ok 1 - one\n    ok 2 - two\n    1..2\nok 1 - ${name}\n1..1\n`

test('tests are counted, not their assertions', async (t) => {
  const { lines, ...counts } = reportOf({ 'a.test.ts': passing('a'), 'b.test.ts': passing('b') })
  t.strictSame(counts, { passed: 2, failed: 0, skipped: 0 })
  t.strictSame(lines, [])
})

test('a test with parts counts by its parts, and one more when it fails although they pass', async (t) => {
  const parts = passing('part').replace(/^/gm, '    ').trimEnd()
  const parent = (ok: string, more = '') => `# Subtest: parent\n${parts}\n${more}${ok} 1 - parent\n1..1\n`
  t.match(reportOf({ 'a.test.ts': parent('ok') }), { passed: 1, failed: 0 })
  t.match(reportOf({ 'a.test.ts': parent('not ok') }), { passed: 1, failed: 1 })
})

test('what fails is told with its place and what was expected', async (t) => {
  const failing = [
    '# Subtest: a',
    '    not ok 1 - should be equal',
    '      ---',
    '      diff: |',
    '        -1',
    '        +2',
    '      at:',
    '        fileName: a.test.ts',
    '        lineNumber: 7',
    '        columnNumber: 3',
    '      ...',
    '    1..1',
    'not ok 1 - a',
    '1..1',
    '',
  ].join('\n')
  const { lines, ...counts } = reportOf({ 'a.test.ts': failing })
  t.strictSame(counts, { passed: 0, failed: 1, skipped: 0 })
  t.strictSame(lines, [
    '  ✖ a.test.ts › a › should be equal',
    ...['      diff:', '      -1', '      +2', '      at a.test.ts:7:3'],
  ])
})

test('a test that asserts nothing, and a file without tests, have failed', async (t) => {
  const empty = '# Subtest: a\n    1..0\nok 1 - a\n1..1\n'
  const { lines, ...counts } = reportOf({ 'a.test.ts': empty, 'b.test.ts': '1..0 # no tests found\n' })
  t.strictSame(counts, { passed: 0, failed: 2, skipped: 0 })
  t.strictSame(lines, ['  ✖ a.test.ts › a: asserts nothing', '  ✖ b.test.ts: asserts nothing'])
})

test('skipped tests and assertions are told and counted', async (t) => {
  const tap = [
    '# Subtest: a',
    '    ok 1 - redis can be killed # SKIP no redis-server',
    '    1..1',
    'ok 1 - a',
    'ok 2 - b # SKIP not today',
    'ok 3 - c # TODO soon',
    '    1..3',
    '',
  ].join('\n')
  const { lines, ...counts } = reportOf({ 'a.test.ts': tap, 'b.test.ts': passing('b') })
  t.match(counts, { passed: 1, skipped: 3 })
  t.match(lines.slice(0, 3), [/a › redis can be killed: no redis-server/, / › b: not today/, / › c: soon/])
})

test('TAP that ends too early has failed, with what was told before', async (t) => {
  const { lines, ...counts } = reportOf({ 'a.test.ts': passing('a').replace(/1\.\.1\n$/, '') })
  t.strictSame(counts, { passed: 1, failed: 1, skipped: 0 })
  t.strictSame(lines, ['  ✖ a.test.ts: no plan'])
})
