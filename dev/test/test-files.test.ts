import { spawnSync } from 'node:child_process'
import { chmodSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'tap'
import { repositoryRoot } from '../src/machine/machine.ts'
import { isLoadTest, loadOf, patient, testFiles, titleOf, together } from '../src/test-files.ts'

test('each test file of the repository is found once; those of load bear nothing beside them', async (t) => {
  const files = testFiles([])
  const all = globSync('**/*.test.ts', { cwd: repositoryRoot, exclude: (name) => /(^|\/)node_modules$/.test(name) })
  t.strictSame(files.toSorted(), all.sort())
  const load = files.filter(isLoadTest)
  t.equal(load.length, 11)
  t.ok(load.every((file) => loadOf(file) === 'alone'))
  for (const pattern of patient) {
    const [, few = ''] = /\{(.*)\}/.exec(pattern) ?? []
    t.equal(globSync(pattern, { cwd: repositoryRoot }).length, few.split(',').length, pattern)
  }
  t.ok(!files.some((file) => loadOf(file) === 'alone' && !isLoadTest(file)))
})

test('short files of one folder share processes, four at most, in their order', (t) => {
  const root = t.testdir()
  const file = (path: string, text = "test('it', () => {})") => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    return path
  }
  const short = (name: string) => file(`services/user/test/${name}.test.ts`)
  const groups = [
    ['a', 'b', 'c', 'd'].map(short),
    ['e', 'f'].map(short),
    [file('services/user/test/providers/g.test.ts')],
    // What they do to their process, others would feel.
    [file('services/user/test/jobs.test.ts', 'tap.jobs = 4')],
    [file('services/user/test/memory.test.ts', 'process.memoryUsage().rss')],
    [file('services/user/test/place.test.ts', "import.meta.resolve('tap')")],
    [short('last')],
    [file('test-e2e/test/journey.test.ts')],
    [file('dev/test/a.test.ts')],
    [file('dev/test/b.test.ts')],
  ]
  t.strictSame(together(groups.flat(), root), groups)
  t.equal(titleOf(groups[1] as string[]), 'services/user/test/{e,f}.test.ts')
  t.equal(titleOf(['services/user/test/e.test.ts']), 'services/user/test/e.test.ts')
  t.end()
})

test('each test file has tests: in a process with others nobody would miss them', (t) => {
  const without = testFiles([]).filter(
    (file) => !/^\s*(tap\.|t\.)?test\(/m.test(readFileSync(join(repositoryRoot, file), 'utf8')),
  )
  t.strictSame(without, [])
  t.end()
})

test('CI runs both commands, and adds up what they count', async (t) => {
  const folder = t.testdir()
  /** Runs CI with an npm that writes this for each of the commands. */
  const ci = (said: Record<string, string>) => {
    const cases = Object.entries(said).map(([script, what]) => `  '--silent run ${script}') ${what} ;;`)
    writeFileSync(join(folder, 'npm'), ['#!/bin/sh', 'case "$*" in', ...cases, 'esac', ''].join('\n'))
    chmodSync(join(folder, 'npm'), 0o755)
    const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}` }
    const { status, stdout } = spawnSync(join(repositoryRoot, '.ci/run'), { env, encoding: 'utf8' })
    return { status, last: stdout.trim().split('\n').at(-1) }
  }
  const good = "echo '20 passed, 0 failed'"
  t.strictSame(ci({ test: good, 'test:load': "echo '3 passed, 0 failed'" }), { status: 0, last: '23 passed, 0 failed' })
  const bad = "echo '2 passed, 1 failed'; exit 1"
  t.strictSame(ci({ test: good, 'test:load': bad }), { status: 1, last: '22 passed, 1 failed' })
  t.strictSame(ci({ test: bad, 'test:load': good }), { status: 1, last: '22 passed, 1 failed' })
  t.strictSame(ci({ test: good, 'test:load': 'exit 137' }), { status: 1, last: '20 passed, 1 failed' })
  t.strictSame(ci({ test: 'exit 0', 'test:load': good }), { status: 1, last: '20 passed, 1 failed' })
})
